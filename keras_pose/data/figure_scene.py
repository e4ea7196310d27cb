"""What surrounds a figure: rooms and fields, clutter, shadows, and the flaws of a camera.

Everything is drawn with a handful of OpenCV calls on (H, W, 3) uint8 RGB pictures; textures come
from noise that is computed once.
"""

import functools

import cv2
import numpy as np

from keras_pose.data.figure_look import SKIN_TONES, blend, cloth_color

_BANK = 512


def background(rng: np.random.Generator, size=(256, 320), clutter: float = 1.0) -> np.ndarray:
    """A random scene without people: (H, W, 3) uint8. clutter: 0 empty, 1 as in training data."""
    height, width = size
    kind = rng.random()
    if kind < 0.30:
        picture = _room(rng, size)
    elif kind < 0.55:
        picture = _field(rng, size)
    elif kind < 0.80:
        picture = _haze(rng, size)
    else:
        picture = _weave(rng, size)
    things = (
        _polygon,
        _boards,
        _furniture,
        _furniture,
        _limbs,
        _limbs,
        _blob,
        _pole,
        _wires,
        _leaves,
    )
    count = int(clutter * rng.integers(1, 11))
    picks = rng.integers(0, len(things), count)
    for pick, place in zip(picks, rng.random((count, 2)), strict=True):
        unit = min(height, width)
        things[pick](picture, rng, (place[0] * width, place[1] * height), unit)
    if rng.random() < 0.5:
        # out of focus, as backgrounds are behind people; a box costs a fifth of a Gaussian
        side = 1 + 2 * int((1.2 + 2.2 * rng.random()) * min(size) / 256)
        picture = cv2.blur(picture, (side, side))
    return picture


def occluder(picture: np.ndarray, rng: np.random.Generator, place, unit: float) -> None:
    """Draws one small thing in front of everything, around `place` (x, y); in place."""
    (_furniture, _pole, _leaves, _limbs)[rng.integers(0, 4)](picture, rng, place, 0.5 * unit)


def shadow(picture: np.ndarray, place, radii, strength: float) -> None:
    """Darkens a soft ellipse on the ground, in place. place: (x, y); radii: (rx, ry) pixels."""
    (x, y), (rx, ry) = place, radii
    x0, y0 = max(int(x - rx), 0), max(int(y - ry), 0)
    x1, y1 = min(int(x + rx) + 1, picture.shape[1]), min(int(y + ry) + 1, picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    dx = (np.arange(x0, x1, dtype=np.float32) - x) / rx
    dy = (np.arange(y0, y1, dtype=np.float32)[:, None] - y) / ry
    gain = 1.0 - strength * np.maximum(1.0 - dx * dx - dy * dy, 0.0)
    area = picture[y0:y1, x0:x1]
    cv2.multiply(area, cv2.merge((gain, gain, gain)), area, dtype=cv2.CV_8U)


def seat(picture: np.ndarray, rng: np.random.Generator, top, width: float, floor: float) -> None:
    """A stool or a box below `top` (x, y), down to the line `floor`; in place."""
    x, y = top
    color, half = cloth_color(rng), 0.5 * width
    if rng.random() < 0.5:
        _box(picture, (x - half, y), (x + half, floor), color, 0.2 * width)
        return
    for side in (-0.8, 0.8, -0.4):
        start, end = (x + side * half, y), (x + 1.1 * side * half, floor)
        cv2.line(
            picture, _whole(start), _whole(end), 0.6 * color, max(int(0.12 * width), 1), cv2.LINE_AA
        )
    _box(picture, (x - half, y), (x + half, y + 0.25 * width), color, 0.15 * width)


def photograph(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light, a colour cast, a little blur and sensor noise. Returns a new picture."""
    height, width = picture.shape[:2]
    draw = rng.random(4)
    gains = (0.72 + 0.5 * draw[0]) * (0.85 + 0.3 * rng.random((2, 2, 1)))
    gains = 128 * gains * (0.9 + 0.2 * rng.random(3))
    picture = cv2.multiply(picture, _ramp(gains, (height, width)), scale=1 / 128)
    if draw[1] < 0.4:
        sigma = (0.3 + 0.6 * draw[2]) * min(height, width) / 256
        side = 1 + 2 * int(np.ceil(sigma))
        picture = cv2.GaussianBlur(picture, (side, side), sigma)
    if draw[3] < 0.7:
        grain = _grain()[int(draw[3] / 0.7 * len(_grain()))]
        more = [max(side - _BANK, 0) for side in (height, width)]
        if any(more):
            grain = cv2.copyMakeBorder(grain, 0, more[0], 0, more[1], cv2.BORDER_WRAP)
        free = np.array(grain.shape[:2]) - (height, width)
        top, left = (rng.random(2) * (free + 1)).astype(int)
        grain = grain[top : top + height, left : left + width]
        picture = cv2.add(picture, grain, dtype=cv2.CV_8U)
    return picture


@functools.cache
def _clouds():
    """(BANK, BANK) uint8 noise of many scales, mean 128."""
    rng = np.random.default_rng(3)
    total = np.zeros((_BANK, _BANK))
    for cells in (4, 8, 16, 32, 64, 128, 256):
        layer = rng.standard_normal((cells, cells))
        total += cells**-0.55 * cv2.resize(layer, (_BANK, _BANK), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 60 * total / total.std(), 0, 255).astype(np.uint8)


@functools.cache
def _grain():
    """Noise pictures (BANK, BANK, 3) int16 of growing strength."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((_BANK, _BANK, 3))
    return [np.rint(sigma * noise).astype(np.int16) for sigma in (1.5, 3.0, 5.0, 8.0)]


def _texture(rng, size, zoom):
    """A crop of the clouds, (H, W) uint8; zoom: how many pixels wide one of theirs is at least."""
    height, width = size
    zoom = max(zoom, height / _BANK, width / _BANK)
    h, w = max(int(height / zoom), 2), max(int(width / zoom), 2)
    top, left = (rng.random(2) * (_BANK - h + 1, _BANK - w + 1)).astype(int)
    return cv2.resize(_clouds()[top : top + h, left : left + w], (width, height))


def _roughen(picture, rng, zoom, strength):
    """Adds clouds to a picture's brightness, in place."""
    grey = _texture(rng, picture.shape[:2], zoom)
    cv2.addWeighted(picture, 1.0, cv2.merge((grey, grey, grey)), strength, -128 * strength, picture)


def _ramp(corners, size):
    """A smooth picture from a small one, (h, w, 3) colours."""
    return cv2.resize(
        np.clip(corners, 0, 255).astype(np.uint8), size[::-1], interpolation=cv2.INTER_LINEAR
    )


def _haze(rng, size):
    base = cloth_color(rng)
    corners = base + rng.normal(0.0, 45.0, (3, 4, 3))
    picture = _ramp(corners, size)
    _roughen(picture, rng, 0.5 + 2 * rng.random(), 0.15 + 0.3 * rng.random())
    return picture


def _weave(rng, size):
    """Two colours mixed by noise: grass, gravel, camouflage, cloth."""
    first, second = cloth_color(rng), cloth_color(rng)
    grey = _texture(rng, size, 0.5 + 2.5 * rng.random())
    ramp = first + (second - first) * np.linspace(0, 1, 256)[:, None]
    return cv2.applyColorMap(grey, ramp.astype(np.uint8)[:, None])


def _room(rng, size):
    height, width = size
    wall, floor = cloth_color(rng) * 0.6 + 90, cloth_color(rng) * 0.8 + 20
    picture = _ramp(wall * (0.75 + 0.35 * rng.random((2, 3, 1))), size)
    line = int(height * (0.5 + 0.4 * rng.random()))
    picture[line:] = _ramp(floor * (0.7 + 0.4 * rng.random((2, 3, 1))), (height - line, width))
    style, tiles, x = rng.random(3)
    if style < 0.6:
        # floor boards run towards a vanishing point
        for i in range(-8, 9):
            start = (width * (0.2 + 0.6 * x) + i * width * 0.07, line)
            end = (width * (0.2 + 0.6 * x) + i * width * (0.15 + 0.2 * tiles), height)
            cv2.line(picture, _whole(start), _whole(end), 0.7 * floor, 1, cv2.LINE_AA)
    cv2.rectangle(picture, (0, line - max(height // 60, 1)), (width, line), 0.6 * wall + 20, -1)
    if style > 0.4:
        for i in range(1 + int(3 * tiles)):
            left = int(width * ((x + 0.37 * i) % 1.0))
            top, wide, tall = int(0.1 * height), int(0.16 * width), int(0.28 * height)
            inside = wall * 0.4 + 0.6 * cloth_color(rng)
            cv2.rectangle(picture, (left, top), (left + wide, top + tall), inside, -1)
            cv2.rectangle(picture, (left, top), (left + wide, top + tall), 0.5 * wall, 2)
    _roughen(picture, rng, 0.7, 0.1 + 0.15 * rng.random())
    return picture


def _field(rng, size):
    """Sky, trees or houses on the horizon, and ground with its texture."""
    height, width = size
    draw = rng.random(6)
    sky = np.array((150, 185, 225)) * (0.6 + 0.5 * draw[0]) + 30 * draw[1]
    ground = np.array(((70, 120, 50), (150, 130, 90), (125, 122, 118), (200, 180, 140)))
    ground = ground[int(4 * draw[2])] * (0.75 + 0.5 * draw[3])
    picture = _ramp(np.stack([[sky * 0.85], [sky * 1.1]]), size)
    line = int(height * (0.25 + 0.5 * draw[4]))
    band = max(int(height * (0.04 + 0.25 * draw[5])), 2)
    top = max(line - band, 0)
    trees = np.array((62, 92, 48)) * (0.6 + 0.9 * draw[1])
    picture[top:line] = trees if draw[3] < 0.6 else cloth_color(rng)
    if draw[3] < 0.6:
        for x in rng.random(7) * width:
            cv2.circle(picture, (int(x), top), int(band * 0.6), trees * (0.6 + 0.6 * (x % 1)), -1)
    picture[line:] = _ramp(np.stack([[ground], [ground * 0.75]]), (height - line, width))
    _roughen(picture, rng, 0.5 + 0.7 * draw[2], 0.12 + 0.2 * draw[0])
    return picture


def _whole(point):
    return int(point[0]), int(point[1])


def _polygon(picture, rng, place, unit):
    angles = np.sort(rng.random(rng.integers(3, 7))) * 2 * np.pi
    radii = unit * (0.06 + 0.22 * rng.random((1, 2)))
    points = place + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillConvexPoly(picture, points.astype(np.int32), cloth_color(rng), cv2.LINE_AA)


def _boards(picture, rng, place, unit):
    """A striped or latticed panel: fences, shelves, windows, bricks."""
    wide, tall, step, style = rng.random(4)
    w, h = int(unit * (0.1 + 0.4 * wide)), int(unit * (0.1 + 0.4 * tall))
    x, y = int(place[0] - w / 2), int(place[1] - h / 2)
    first, second = cloth_color(rng), cloth_color(rng)
    if style < 0.7:
        cv2.rectangle(picture, (x, y), (x + w, y + h), first, -1)
    step = max(int(unit * (0.02 + 0.06 * step)), 3)
    thick = max(step // 3, 1)
    if style < 0.6:
        for i in range(x, x + w, step):
            cv2.line(picture, (i, y), (i, y + h), second, thick)
    if style > 0.3:
        for i in range(y, y + h, step):
            cv2.line(picture, (x, i), (x + w, i), second, thick)


def _box(picture, low, high, color, depth):
    """A solid box: its front between two corners, and its lighter top and darker side."""
    (x0, y0), (x1, y1) = _whole(low), _whole(high)
    d = int(depth)
    top = np.array([(x0, y0), (x1, y0), (x1 + d, y0 - d // 2), (x0 + d, y0 - d // 2)])
    side = np.array([(x1, y0), (x1 + d, y0 - d // 2), (x1 + d, y1 - d // 2), (x1, y1)])
    cv2.fillConvexPoly(picture, top, 1.2 * color, cv2.LINE_AA)
    cv2.fillConvexPoly(picture, side, 0.6 * color, cv2.LINE_AA)
    cv2.rectangle(picture, (x0, y0), (x1, y1), 0.9 * color, -1)


def _furniture(picture, rng, place, unit):
    wide, tall, depth, drawers = rng.random(4)
    w, h = unit * (0.08 + 0.3 * wide), unit * (0.08 + 0.3 * tall)
    color = cloth_color(rng) * 0.8 + 20
    x, y = place
    _box(picture, (x - w / 2, y - h / 2), (x + w / 2, y + h / 2), color, unit * 0.15 * depth)
    for i in range(int(4 * drawers)):
        row = int(y - h / 2 + h * (i + 1) / (1 + int(4 * drawers)))
        cv2.line(picture, (int(x - w / 2), row), (int(x + w / 2), row), 0.5 * color, 1)


def _limbs(picture, rng, place, unit):
    """A bent, shaded rod in the colour of skin or cloth, easily taken for an arm or a leg."""
    draw = rng.random(6)
    color = blend(SKIN_TONES, draw[0]) if draw[1] < 0.5 else cloth_color(rng)
    angle, turn = 2 * np.pi * draw[2], 2.5 * (draw[3] - 0.5)
    length, thick = unit * (0.07 + 0.12 * draw[4]), unit * (0.02 + 0.04 * draw[5])
    joint = (place[0] + length * np.cos(angle), place[1] + length * np.sin(angle))
    end = (joint[0] + length * np.cos(angle + turn), joint[1] + length * np.sin(angle + turn))
    for share, gain in ((1.0, 0.6), (0.75, 0.8), (0.4, 1.0)):
        width = max(int(thick * share), 1)
        cv2.line(picture, _whole(place), _whole(joint), gain * color, width, cv2.LINE_AA)
        cv2.line(
            picture, _whole(joint), _whole(end), gain * color, max(int(0.8 * width), 1), cv2.LINE_AA
        )


def _blob(picture, rng, place, unit):
    rx, ry, angle, thin = rng.random(4)
    axes = (int(unit * (0.02 + 0.16 * rx)), int(unit * (0.02 + 0.16 * ry)))
    color = blend(SKIN_TONES, angle) if thin < 0.3 else cloth_color(rng)
    thick = -1 if thin < 0.85 else max(int(unit / 60), 1)
    cv2.ellipse(picture, _whole(place), axes, 180 * angle, 0, 360, color, thick, cv2.LINE_AA)


def _pole(picture, rng, place, unit):
    draw = rng.random(3)
    thick, lean = max(int(unit * (0.015 + 0.05 * draw[0])), 2), unit * 0.4 * (draw[1] - 0.5)
    color = cloth_color(rng) * 0.8
    reach = unit * (0.2 + 0.9 * draw[2])
    start, end = (place[0] - lean, place[1] - reach), (place[0] + lean, place[1] + reach)
    for share, gain in ((1.0, 0.7), (0.5, 1.0)):
        cv2.line(picture, _whole(start), _whole(end), gain * color, max(int(thick * share), 1))


def _wires(picture, rng, place, unit):
    color, ends = cloth_color(rng), rng.normal(0.0, 0.5 * unit, (2, 2))
    step = rng.normal(0.0, 0.05 * unit, 2)
    for i in range(rng.integers(2, 7)):
        a, b = place + ends[0] + i * step, place + ends[1] + i * step
        cv2.line(picture, _whole(a), _whole(b), color, 1, cv2.LINE_AA)


def _leaves(picture, rng, place, unit):
    color = (
        np.array((60, 110, 45)) * (0.5 + rng.random()) if rng.random() < 0.6 else cloth_color(rng)
    )
    spots = place + rng.normal(0.0, 0.08 * unit, (14, 2))
    for (x, y), shade in zip(spots, rng.random(14), strict=True):
        size = (max(int(0.05 * unit * shade), 1), max(int(0.025 * unit), 1))
        cv2.ellipse(
            picture, (int(x), int(y)), size, 180 * shade, 0, 360, color * (0.6 + 0.6 * shade), -1
        )
