"""Paints a figure: body parts into a depth buffer, then colour, light and soft edges at once.

Each part writes, where it is nearer than what is there, its depth, its place in the texture atlas
and how much light it gets. So limbs join without seams and hide one another pixel by pixel, and
the colours are looked up once for the whole figure.
"""

import itertools

import cv2
import numpy as np

from keras_pose.data import figure_look as tiles
from keras_pose.data.figure_body import INDEX, Placed

_FAR = np.float32(-1e6)
_RING = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
_RING = np.stack([np.cos(_RING), np.sin(_RING)])  # (2, 16)
_STEPS = 64


class Canvas:
    """The buffers over one window of a picture, whose corner there is (left, top).

    depth: (H, W) float32; surface: (H, W, 3) float32, atlas x and y and the light that falls there.
    """

    def __init__(self, left, top, width, height, light, ambient):
        self.left, self.top, self.width, self.height = int(left), int(top), int(width), int(height)
        self.depth = np.full((self.height, self.width), _FAR, np.float32)
        self.surface = np.zeros((self.height, self.width, 3), np.float32)
        self._xs = np.arange(self.left, self.left + self.width, dtype=np.float32)
        self._ys = np.arange(self.top, self.top + self.height, dtype=np.float32)[:, None]
        # plain floats keep the arithmetic below in float32
        self.light = tuple(float(v) for v in light)
        self.ambient = float(ambient)

    @property
    def covered(self):
        """(H, W) bool: pixels that some part covers."""
        return self.depth > _FAR

    def _window(self, low_x, low_y, high_x, high_y):
        x0, y0 = max(int(low_x) - self.left, 0), max(int(low_y) - self.top, 0)
        x1 = min(int(high_x) - self.left + 2, self.width)
        y1 = min(int(high_y) - self.top + 2, self.height)
        if x0 >= x1 or y0 >= y1:
            return None
        return (slice(y0, y1), slice(x0, x1)), self._xs[x0:x1], self._ys[y0:y1]

    def _put(self, area, inside, depth, tile, column, row, facing):
        """Keeps what is inside and nearer.

        column, row: 0..1 in the tile; facing: cosine between the surface and the light.
        """
        inside = (inside & (depth > self.depth[area])).view(np.uint8)
        left, top, width, height = tile
        surface = cv2.merge(
            (
                (width - 2.0) * column + (left + 0.5),
                (height - 2.0) * row + (top + 0.5),
                (1.0 - self.ambient) * np.maximum(facing, 0.0) + self.ambient,
            )
        )
        cv2.copyTo(depth, inside, self.depth[area])
        cv2.copyTo(surface, inside, self.surface[area])

    def capsule(self, start, end, radii, tile, along=(0.0, 1.0), bulge=0.0, sleeve=None):
        """A tapered round limb between two points (x, y, z) in pixels.

        radii: pixels at both ends; bulge: pixels added in the middle; tile: its rows run over
        `along` from start to end; sleeve: (place along the tile, ease): up to there the limb gets
        wider, by the factor 1 + ease at its end.
        """
        (x0, y0, z0), (x1, y1, z1) = (map(float, p) for p in (start, end))
        r0, r1, bulge = float(radii[0]), float(radii[1]), float(bulge)
        reach = (max(r0, r1) + bulge) * (1.0 + (sleeve[1] if sleeve else 0.0))
        window = self._window(
            min(x0, x1) - reach, min(y0, y1) - reach, max(x0, x1) + reach, max(y0, y1) + reach
        )
        if window is None:
            return
        area, xs, ys = window
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-2)
        ax, ay = (x1 - x0) / length, (y1 - y0) / length
        dx, dy = xs - x0, ys - y0
        along_axis = dx * (ax / length) + dy * (ay / length)
        v = dx * -ay + dy * ax  # to the side of the axis
        u = np.minimum(np.maximum(along_axis, 0.0), 1.0)
        w = (along_axis - u) * length  # beyond either end
        radius = u * ((r1 - r0 + 4.0 * bulge) - (4.0 * bulge) * u) + r0
        row = u * (along[1] - along[0]) + along[0]
        if sleeve:
            cut, ease = sleeve
            radius *= row * (row < cut) * (ease / cut) + 1.0
        rest = radius * radius - v * v - w * w
        out = np.sqrt(np.maximum(rest, 0.0))  # towards the viewer
        lx, ly, lz = self.light
        facing = v * (-ay * lx - ax * ly) + w * (ax * lx - ay * ly) + out * lz
        scale = 1.0 / radius
        self._put(
            area,
            rest > 0.0,
            u * (z1 - z0) + out + z0,
            tile,
            v * scale * 0.5 + 0.5,
            row,
            facing * scale,
        )

    def ellipsoid(self, centre, axes, tile):
        """axes: (3, 3), columns half axes in pixels towards the person's left, up and forward."""
        centre, axes = np.asarray(centre), np.array(axes, np.float64)
        axes[1] *= -1.0  # to the picture's y
        reach = np.sqrt((axes[:2] ** 2).sum(axis=1))
        window = self._window(*(centre[:2] - reach), *(centre[:2] + reach))
        if window is None:
            return
        area, xs, ys = window
        inverse = np.linalg.inv(axes)
        x, y = xs - float(centre[0]), ys - float(centre[1])
        # |K (x, y, z)| = 1 solved for the nearer z, K the inverse
        (xx, xy, xz), (_, yy, yz), (_, _, zz) = (inverse.T @ inverse).tolist()
        b = xz * x + yz * y
        root = b * b - zz * (xx * x * x + (2.0 * xy) * x * y + yy * y * y - 1.0)
        z = (np.sqrt(np.maximum(root, 0.0)) - b) * (1.0 / zz)
        rows = inverse.tolist()
        aside, up, fore = (row[0] * x + row[1] * y + row[2] * z for row in rows)
        # the normal is K^T (aside, up, fore)
        lx, ly, lz = self.light
        nx, ny, nz = (rows[0][i] * aside + rows[1][i] * up + rows[2][i] * fore for i in range(3))
        facing = (lx * nx - ly * ny + lz * nz) / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        column = np.arctan2(aside, fore) * (0.5 / np.pi) + 0.5
        self._put(
            area, root > 0.0, z + float(centre[2]), tile, column, 0.5 - 0.5 * up.clip(-1, 1), facing
        )

    def torso(self, centres, wide, deep, tile):
        """A tube of N elliptic sections: (N, 3) centres and half axes (left, forward) in pixels.

        The silhouette is exact (hulls of neighbouring sections); the surface inside is that of an
        elliptic cylinder with the sections' widths.
        """
        flip = np.array([1.0, -1.0, 1.0])
        wide, deep = wide * flip, deep * flip
        rings = centres[:, :2, None] + wide[:, :2, None] * _RING[0] + deep[:, :2, None] * _RING[1]
        low, high = rings.min(axis=(0, 2)), rings.max(axis=(0, 2))
        window = self._window(*low, *high)
        if window is None:
            return
        area, xs, ys = window
        corner = (xs[0], ys[0, 0])
        mask = np.zeros((len(ys), len(xs)), np.uint8)
        dots = np.rint((rings.transpose(0, 2, 1) - corner) * 16).astype(np.int32)
        for first, second in itertools.pairwise(dots):
            cv2.fillConvexPoly(mask, cv2.convexHull(np.concatenate([first, second])), 1, 8, 4)

        axis = centres[-1, :2] - centres[0, :2]
        length = float(np.hypot(*axis)) + 1e-3
        axis = axis / length
        normal = np.array([-axis[1], axis[0]])
        # tables over the height u along the straight axis
        at = np.maximum.accumulate((centres[:, :2] - centres[0, :2]) @ axis / length)
        at += np.arange(len(at)) * 1e-6
        grid = np.linspace(0.0, 1.0, _STEPS)
        wn, dn = wide[:, :2] @ normal, deep[:, :2] @ normal
        half = np.hypot(wn, dn) + 1e-3
        cos, sin = wn / half, dn / half
        lean = wide[:, 2] * cos + deep[:, 2] * sin
        belly = -wide[:, 2] * sin + deep[:, 2] * cos
        middle = (centres[:, :2] - centres[0, :2]) @ normal
        table = np.stack(
            [np.interp(grid, at, v) for v in (middle, half, lean, np.abs(belly), centres[:, 2])]
        ).astype(np.float32)
        x0, y0 = centres[0, :2].tolist()
        (ax, ay), (sx, sy) = axis.tolist(), normal.tolist()
        dx, dy = xs - x0, ys - y0
        u = (dx * (ax / length) + dy * (ay / length)).clip(0.0, 1.0)
        places = (u * (_STEPS - 1)).astype(np.intp)
        middle, half, lean, thick, base = (np.take(t, places) for t in table)
        s = ((dx * sx + dy * sy - middle) / half).clip(-1.0, 1.0)
        q = np.sqrt(1.0 - s * s)
        across, out = thick * s - lean * q, half * q
        lx, ly, lz = self.light
        facing = (lx * sx - ly * sy) * across + lz * out
        facing /= np.sqrt(across * across + out * out + 1e-6)
        # the angle around the body: 0 at the person's left, a quarter turn at the front
        mid = len(centres) // 2
        turn = float(np.arctan2(sin[mid], cos[mid]))
        angle = turn + np.arctan2(q, s) * (1.0 if belly[mid] >= 0 else -1.0)
        column = angle * (0.5 / np.pi) + 0.5
        column -= np.floor(column)
        self._put(area, mask > 0, base + lean * s + thick * q, tile, column, u, facing)

    def shade(self, atlas, softness, picture):
        """Colours the figure and lays it over `picture` (H, W, 3) uint8, in place.

        softness: pixels over which a near limb darkens what lies behind it. Edges are softened
        inwards, since nothing is known of the figure beyond them.
        """
        covered = self.covered
        found = np.flatnonzero(covered)
        tx, ty, gain = self.surface.reshape(-1, 3).take(found, axis=0).T
        side = max(3, int(softness) | 1)
        depth = np.maximum(self.depth, self.depth.ravel().take(found).min())
        near = cv2.subtract(cv2.blur(depth, (side, side)), depth).ravel().take(found)
        gain = gain * (1.0 - (near * (1.0 / (2.5 * softness + 1.0))).clip(0.0, 0.45))
        color = _sample(atlas, tx, ty) * gain[:, None]

        covered = covered.view(np.uint8)
        soft = cv2.blur(255 * covered, (3, 3)).ravel().take(found)
        edge = np.flatnonzero(soft < 253)
        opacity = np.maximum(soft.take(edge) / 127.5 - 1.0, 0.0)[:, None]
        behind = picture[np.divmod(found.take(edge), self.width)]
        color[edge] = behind + (color[edge] - behind) * opacity
        filled = np.zeros((self.height * self.width, 3), np.uint8)
        filled[found] = color
        cv2.copyTo(filled.reshape(self.height, self.width, 3), covered, picture)


def _sample(atlas, tx, ty):
    """Bilinear texture look-up of N places, folded because remap takes no row beyond 32767."""
    count, fold = len(tx), 1024
    places = np.zeros((2, -(-count // fold) * fold), np.float32)
    places[0, :count], places[1, :count] = tx, ty
    places = places.reshape(2, -1, fold)
    return cv2.remap(atlas, places[0], places[1], cv2.INTER_LINEAR).reshape(-1, 3)[:count]


def rasterise(placed: Placed, look, size):
    """A Canvas with all body parts, None if all are outside the picture of size (H, W)."""
    pixels, zoom = placed.project(placed.posed.points)
    # limbs are thin; around the trunk and the head there is more
    reach = np.where(np.arange(len(zoom)) < INDEX["right_shoulder"], 0.14, 0.075) * zoom
    flat, reach = pixels[:, :2], reach[:, None]
    low = np.maximum(np.floor((flat - reach).min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil((flat + reach).max(axis=0)) + 1, size[::-1]).astype(int)
    if (low >= high).any():
        return None
    canvas = Canvas(*low, *(high - low), look.light, look.ambient)
    _trunk(canvas, placed)
    _limbs(canvas, placed.posed.body, pixels, zoom, look)
    _head(canvas, placed, zoom, look)
    return canvas if canvas.covered.any() else None


# start, end, radii at both ends, bulge, tile, rows of the tile; statures for an average build
_ARM = (
    ("shoulder", "elbow", 0.031, 0.0235, 0.002, tiles.ARM, (0.0, 0.5)),
    ("elbow", "wrist", 0.0230, 0.0160, 0.003, tiles.ARM, (0.5, 0.97)),
    ("wrist", "hand", 0.0135, 0.0110, 0.007, tiles.SKIN, (0.0, 1.0)),
)
_LEG = (
    ("hip", "knee", 0.0530, 0.0345, 0.002, tiles.LEG, (0.0, 0.5)),
    ("knee", "ankle", 0.0330, 0.0205, 0.007, tiles.LEG, (0.5, 1.0)),
    ("heel", "toe", 0.0205, 0.0150, 0.005, tiles.SHOE, (0.0, 1.0)),
)


def _limbs(canvas, body, pixels, zoom, look):
    girth = body.girth**0.8
    for side in ("right", "left"):
        for limb, cut, ease in ((_ARM, look.sleeve, look.ease[0]), (_LEG, look.leg, look.ease[1])):
            for first, second, r0, r1, bulge, tile, along in limb:
                a, b = INDEX[f"{side}_{first}"], INDEX[f"{side}_{second}"]
                cloth = tile in (tiles.ARM, tiles.LEG) and along[0] < cut
                canvas.capsule(
                    pixels[a], pixels[b], (girth * r0 * zoom[a], girth * r1 * zoom[b]), tile, along,
                    girth * bulge * zoom[a], (cut, ease) if cloth else None,
                )  # fmt: skip


def _trunk(canvas, placed):
    posed, body = placed.posed, placed.posed.body
    pelvis, waist, chest, _ = posed.frames
    points, g = posed.points, body.girth
    soft = g**0.6
    rows = (  # frame, centre, half width, half depth
        (pelvis, points[0] - 0.045 * pelvis[:, 1], body.hips + 0.012 * g, 0.046 * soft),
        (pelvis, points[0] + 0.030 * pelvis[:, 1], body.hips + 0.036 * g, 0.062 * soft),
        (waist, points[1], 0.076 * g * body.belly, 0.056 * g * body.belly),
        (chest, points[2], 0.6 * body.shoulders + 0.032 * g, 0.064 * soft * body.belly**0.5),
        (chest, points[2] + 0.29 * body.trunk * chest[:, 1], body.shoulders + 0.004, 0.052 * soft),
        (chest, points[2] + 0.38 * body.trunk * chest[:, 1], body.shoulders * 0.74, 0.044 * soft),
        (chest, points[3] + 0.020 * chest[:, 1], 0.036 * soft, 0.036 * soft),
    )
    centres, zoom = placed.project(np.array([r[1] for r in rows]))
    wide = np.array([r[0][:, 0] * r[2] for r in rows]) * zoom[:, None]
    deep = np.array([r[0][:, 2] * r[3] for r in rows]) * zoom[:, None]
    canvas.torso(centres, wide, deep, tiles.TORSO)


# places on the head about its centre, in head heights to the left, up and forward
_SPOTS = {
    "centre": (0, 0, 0), "nose": (0, 0.06, 0.38), "nostrils": (0, -0.10, 0.43),
    "right_ear": (-0.33, -0.02, -0.02), "left_ear": (0.33, -0.02, -0.02),
    "hair": (0, 0.10, -0.10), "nape": (0, 0, -0.22), "bun": (0, 0.42, -0.42),
    "right_brim": (-0.14, 0.26, 0.3), "right_peak": (-0.14, 0.2, 0.62),
    "left_brim": (0.14, 0.26, 0.3), "left_peak": (0.14, 0.2, 0.62),
}  # fmt: skip
_OFFSETS = np.array(tuple(_SPOTS.values()), np.float64)


def _head(canvas, placed, zoom, look):
    posed, body = placed.posed, placed.posed.body
    chest, frame = posed.frames[2:]
    skull, neck = posed.points[INDEX["skull"]], posed.points[INDEX["neck"]]
    size = body.head * float(zoom[INDEX["skull"]])
    centre = skull + 0.49 * body.head * frame[:, 1]
    throat = skull + 0.2 * body.head * frame[:, 1]
    back = neck + chest @ (0, -0.05, -0.055)
    places = np.vstack([centre + body.head * _OFFSETS @ frame.T, throat, neck, back])
    places = dict(zip((*_SPOTS, "throat", "neck", "back"), placed.project(places)[0], strict=True))

    def tube(first, second, r0, r1, tile):
        canvas.capsule(places[first], places[second], (r0 * size, r1 * size), tile)

    thick = 0.030 * body.girth**0.7 / body.head
    tube("neck", "throat", 1.1 * thick, thick, tiles.SKIN)
    canvas.ellipsoid(places["centre"], frame * (np.array([0.34, 0.52, 0.41]) * size), tiles.HEAD)
    tube("nose", "nostrils", 0.05, 0.07, tiles.SKIN)
    tube("right_ear", "left_ear", 0.075, 0.075, tiles.SKIN)
    if look.hair == "bald":
        return
    top = tiles.CAP if look.hair == "cap" else tiles.HAIR
    canvas.ellipsoid(places["hair"], frame * (np.array([0.365, 0.47, 0.39]) * size), top)
    if look.hair == "cap":
        for side in ("right", "left"):
            tube(f"{side}_brim", f"{side}_peak", 0.1, 0.08, top)
    elif look.hair == "bun":
        tube("bun", "bun", 0.2, 0.2, top)
    elif look.hair == "long":
        tube("nape", "back", 0.34, 0.25, top)
    elif look.hair == "tail":
        tube("nape", "back", 0.13, 0.06, top)


def draw_placed(image, placed: Placed, look) -> None:
    """Paints a placed body onto an RGB picture (H, W, 3) uint8, in place."""
    canvas = rasterise(placed, look, image.shape[:2])
    if canvas is None:
        return
    area = image[canvas.top : canvas.top + canvas.height, canvas.left : canvas.left + canvas.width]
    canvas.shade(look.atlas, 0.05 * placed.height, area)
