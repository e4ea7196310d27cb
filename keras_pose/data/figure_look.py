"""What a figure wears: colours, cloth patterns, hair and light, kept as one small texture atlas.

A tile of the atlas is unrolled from a body part: rows run along the part (head: from crown to
chin), columns around it. The pictures that come out of it are RGB.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

TILE = 64
ATLAS = (4 * TILE, 2 * TILE)
# Left, top, width and height of each tile in the atlas. Torso and head go once around the body.
TORSO = (0, 0, 2 * TILE, TILE)
HEAD = (0, TILE, 2 * TILE, TILE)
ARM = (0, 2 * TILE, TILE, TILE)
LEG = (TILE, 2 * TILE, TILE, TILE)
SKIN = (0, 3 * TILE, 32, TILE)
SHOE = (32, 3 * TILE, 32, TILE)
HAIR = (64, 3 * TILE, 32, TILE)
CAP = (96, 3 * TILE, 32, TILE)

SKIN_TONES = np.array(
    [(252, 224, 204), (241, 205, 178), (224, 178, 142), (196, 144, 104), (150, 102, 70),
     (112, 74, 52), (78, 52, 40)], np.float64)  # fmt: skip
HAIR_TONES = np.array(
    [(28, 22, 20), (52, 36, 28), (88, 58, 38), (140, 96, 56), (206, 168, 108), (228, 208, 164),
     (150, 70, 36), (150, 148, 146), (214, 212, 208)], np.float64)  # fmt: skip
_JEANS = np.array([(38, 52, 88), (66, 92, 138), (30, 32, 38), (120, 110, 90), (92, 96, 100)])


@dataclass(frozen=True)
class Look:
    """atlas: ATLAS + (3,) uint8 RGB; light: (3,) unit vector to the light in the camera's frame.

    ambient: 0..1 light from everywhere; sleeve, leg: 0..1 along the limb where the cloth ends;
    ease: how much wider loose sleeves and trousers are than the limb; hair: "short", "long",
    "tail", "bun", "bald" or "cap".
    """

    atlas: np.ndarray
    light: np.ndarray
    ambient: float
    sleeve: float
    leg: float
    ease: tuple[float, float]
    hair: str

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Look":
        """Random clothes, skin, hair and light."""
        draw = rng.random(24)
        skin = blend(SKIN_TONES, draw[0]) * (0.92 + 0.08 * draw[1])
        hair_color = blend(HAIR_TONES, draw[2])
        shirt, second = cloth_color(rng), cloth_color(rng)
        trousers = _JEANS[int(draw[3] * 10)] if draw[3] < 0.5 else cloth_color(rng)
        sleeve = (0.0, 0.28, 0.40, 0.93)[np.searchsorted((0.12, 0.4, 0.6), draw[4])]
        leg = (0.22, 0.48, 0.62, 0.97)[np.searchsorted((0.18, 0.35, 0.42), draw[5])]
        hair = ("short", "long", "tail", "bun", "bald", "cap")[
            np.searchsorted((0.45, 0.65, 0.75, 0.80, 0.88), draw[6])
        ]
        pattern = int(draw[8] * len(_patterns())) if draw[7] < 0.6 else 0
        tint = tuple(int(c) for c in skin)

        atlas = np.empty((*ATLAS, 3), np.uint8)
        torso, arm, limb = _view(atlas, TORSO), _view(atlas, ARM), _view(atlas, LEG)
        cloth = _dye(_patterns()[pattern], shirt, second)
        torso[:] = cloth
        arm[:] = cloth[:, :TILE] if draw[9] < 0.8 else second
        limb[:] = trousers
        if draw[10] < 0.15:
            stripe = slice(TILE // 2 - 5, TILE // 2 + 5)
            limb[:, stripe] = second
        elif draw[10] < 0.25:
            limb[:] = _dye(_patterns()[int(draw[11] * len(_patterns()))], trousers, second)[
                :, :TILE
            ]
        arm[int(sleeve * TILE) :] = tint
        limb[int(leg * TILE) :] = tint
        if draw[12] < 0.4 and leg < 0.9:
            limb[int((0.86 - 0.2 * draw[13]) * TILE) :] = (
                (235, 235, 232) if draw[14] < 0.6 else second
            )
        belt = int((0.16 + 0.10 * draw[15]) * TILE)
        torso[:belt] = trousers
        if draw[16] < 0.4:
            torso[belt : belt + 3] = trousers * 0.4
        _decorate(torso, draw[17:20], second, tint, sleeve)
        _fabric(atlas, rng)
        _view(atlas, SKIN)[:] = tint
        _view(atlas, SHOE)[:] = (30, 28, 30) if draw[20] < 0.4 else cloth_color(rng)
        _view(atlas, HAIR)[:] = hair_color
        _view(atlas, CAP)[:] = second
        _face(_view(atlas, HEAD), skin, hair_color, hair, second, draw[21:24])
        return cls(
            atlas=atlas,
            light=_light(rng.random(2)),
            ambient=0.42 + 0.3 * rng.random(),
            sleeve=sleeve,
            leg=leg,
            ease=(0.05 + 0.3 * draw[11], 0.03 + 0.25 * draw[13]),
            hair=hair,
        )


def cloth_color(rng: np.random.Generator) -> np.ndarray:
    """A colour that clothes and furniture have: grey, muted or bright. Returns (3,) RGB."""
    kind, hue, shade, soft = rng.random(4)
    saturation = 0.06 if kind < 0.3 else 0.3 + 0.3 * soft if kind < 0.65 else 0.65 + 0.35 * soft
    value = 30 + 215 * shade**0.8
    wheel = np.clip(np.abs((hue * 6.0 + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    return value * (1.0 - saturation + saturation * wheel)


def blend(palette, share):
    """The colour at `share` (0..1) of the way through a palette (N, 3)."""
    at = share * (len(palette) - 1)
    low = min(int(at), len(palette) - 2)
    return palette[low] + (palette[low + 1] - palette[low]) * (at - low)


def _view(atlas, tile):
    left, top, width, height = tile
    return atlas[top : top + height, left : left + width]


def _light(draw):
    """From above and in front, as daylight and lamps are; a few from the side."""
    light = np.array([2.4 * draw[0] - 1.2, 0.1 + 0.9 * draw[1], 0.9])
    return light / np.linalg.norm(light)


def _dye(pattern, first, second):
    """(H, W) pattern of 0..255 to (H, W, 3): 0 becomes `first`, 255 `second`."""
    share = np.linspace(0.0, 1.0, 256)[:, None]
    ramp = (first + (second - first) * share).astype(np.uint8)
    return cv2.applyColorMap(pattern, ramp[:, None])


@functools.cache
def _patterns():
    """(N, TILE, 2 TILE) uint8: plain first, then stripes, checks, plaids, dots, blocks, noise."""
    y, x = np.mgrid[:TILE, : 2 * TILE]
    rng = np.random.default_rng(7)

    def band(t, period, share):
        return (t % period < period * share).astype(np.float64)

    found = [np.zeros((TILE, 2 * TILE))]
    for period, share in ((8, 0.5), (12, 0.35), (16, 0.5), (22, 0.25)):
        found += [band(y, period, share), band(x, period, share)]
    found += [band(x + y, 12, 0.4), band(x + y, 20, 0.5)]
    for period in (8, 16, 24):
        found.append((band(x, period, 0.5) + band(y, period, 0.5)) % 2)
        found.append(0.5 * band(x, period, 0.3) + 0.5 * band(y, period, 0.3))
    found.append(((x % 12 - 6) ** 2 + (y % 12 - 6) ** 2 < 9).astype(np.float64))
    found += [(y > 0.55 * TILE) * 1.0, (y > 0.7 * TILE) * 1.0, (np.abs(y - 36) < 6) * 1.0]
    for size in ((8, 16), (16, 32), (32, 64)):
        noise = cv2.resize(rng.random(size), (2 * TILE, TILE), interpolation=cv2.INTER_CUBIC)
        found += [np.clip(noise, 0, 1), (noise > 0.55) * 1.0]
    return np.stack([(255 * f).astype(np.uint8) for f in found])


@functools.cache
def _folds():
    """(2 ATLAS height, ...) uint8 around 230: the folds and weave that cloth shows, repeatable."""
    rng = np.random.default_rng(11)
    size = (2 * ATLAS[1], 2 * ATLAS[0])
    soft = cv2.resize(rng.standard_normal((64, 24)), size, interpolation=cv2.INTER_CUBIC)
    weave = rng.standard_normal(size[::-1])
    grey = np.clip(226 + 14 * soft + 5 * weave, 150, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _fabric(atlas, rng):
    top, left = rng.integers(0, ATLAS[1], 2)
    folds = _folds()[top : top + ATLAS[0], left : left + ATLAS[1]]
    cv2.multiply(atlas, folds, atlas, 1 / 230)


FRONT, BACK = 3 * TILE // 2, TILE // 2  # columns of the torso tile


def _decorate(torso, draw, color, skin, sleeve):
    """What only the front or only the back of a shirt has, so that they can be told apart."""
    color = tuple(int(c) for c in color)
    kind, size, neck = draw
    if neck < 0.75:
        # the neckline: deep in front, shallow behind
        depth = 5 + 10 * neck
        cv2.ellipse(torso, (FRONT, TILE), (7, int(depth)), 0, 0, 360, skin, -1)
        cv2.ellipse(torso, (BACK, TILE), (7, 3), 0, 0, 360, skin, -1)
    if kind < 0.15:
        half = int(5 + 8 * size)
        cv2.rectangle(torso, (FRONT - half, 32), (FRONT + half, 32 + half), color, -1)
    elif kind < 0.3:
        cv2.circle(torso, (FRONT, 42), int(4 + 7 * size), color, -1)
    elif kind < 0.45:
        cv2.line(torso, (FRONT, 16), (FRONT, TILE), color, 2)
    elif kind < 0.55:
        for row in range(20, TILE - 8, 8):
            cv2.circle(torso, (FRONT, row), 1, color, -1)
    elif kind < 0.62:
        cv2.line(torso, (FRONT, 24), (FRONT, TILE - 6), color, 5)
    elif kind < 0.74:
        for column, digit in ((BACK + 1, int(10 * size)), (BACK - 14, int(100 * size) % 10)):
            torso[26:44, column : column + 13][_digits()[digit]] = color
    elif kind < 0.82 and sleeve:
        for side in (-9, 9):
            cv2.line(torso, (BACK + side, 30), (BACK + side, TILE), color, 3)
            cv2.line(torso, (FRONT + side, 30), (FRONT + side, TILE), color, 3)


@functools.cache
def _digits():
    """(10, 18, 13) bool: numerals for a shirt's back, turned and mirrored as the tile is there.

    Its rows run upwards, and its columns to the person's left, which is left as seen from behind.
    """
    found = np.zeros((10, 18, 13), np.uint8)
    for number, tile in enumerate(found):
        cv2.putText(tile, str(number), (0, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 1, 2)
    return found[:, ::-1, ::-1] > 0


def _face(tile, skin, hair_color, style, cap_color, draw):
    """The head unrolled: face in the middle columns, hair around it.

    Rows are proportional to the height on the head, 64 columns are half a turn.
    """
    hair = tuple(int(c) for c in hair_color)
    tile[:] = skin
    middle = TILE
    if style == "bald":
        shadow = tuple(int(c) for c in 0.85 * skin + 0.15 * hair_color)
        cv2.rectangle(tile, (0, 14), (30, 52), shadow, -1)
        cv2.rectangle(tile, (98, 14), (127, 52), shadow, -1)
    else:
        low = 60 if style in ("long", "tail") else 48
        line = int(9 + 7 * draw[0])
        tile[:line] = hair
        temple = 31
        tile[:low, : middle - temple] = hair
        tile[:low, middle + temple :] = hair
        cv2.ellipse(tile, (middle - temple, line), (9, 14), 0, 0, 360, hair, -1)
        cv2.ellipse(tile, (middle + temple, line), (9, 14), 0, 0, 360, hair, -1)
    dark = tuple(int(c) for c in 0.5 * skin)
    flush = tuple(int(c) for c in skin * (0.92, 0.72, 0.70))
    for side in (-1, 1):
        eye = (middle + side * 10, 29)
        cv2.ellipse(tile, eye, (4, 2), 0, 0, 360, (228, 224, 218), -1)
        cv2.circle(tile, eye, 2, (46, 34, 28), -1)
        cv2.line(tile, (eye[0] - 5, 24), (eye[0] + 5, 24), hair if style != "bald" else dark, 2)
        cv2.ellipse(tile, (middle + side * 33, 34), (3, 7), 0, 0, 360, flush, -1)
    cv2.ellipse(tile, (middle, 38), (4, 2), 0, 0, 180, dark, -1)
    cv2.ellipse(tile, (middle, 48), (8, 2), 0, 0, 360, (150, 70, 66), -1)
    if draw[1] < 0.15:
        cv2.ellipse(tile, (middle, 55), (20, 8), 0, 0, 360, hair, -1)
        cv2.ellipse(tile, (middle, 48), (6, 2), 0, 0, 360, (130, 64, 60), -1)
    if draw[2] < 0.15:
        for side in (-1, 1):
            cv2.circle(tile, (middle + side * 10, 29), 6, (26, 26, 28), -1 if draw[2] < 0.07 else 1)
        cv2.line(tile, (middle - 32, 28), (middle + 32, 28), (26, 26, 28), 1)
    if style == "cap":
        tile[:17] = cap_color
