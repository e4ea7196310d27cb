"""Augmentation as numbers: what is drawn for one person in one epoch, and nothing else.

`draw` is a pure function of (seed, epoch, sample index), so a run sees the same pictures on every
backend, on every replica and after a resume. keras_pose.data.patches turns a draw into geometry.
"""

import dataclasses
import math

import numpy as np

from keras_pose.errors import PoseError

UPPER, LOWER = 1, -1  # values of Draw.half
_PLACES = 64  # candidate boxes for a crop without anyone


@dataclasses.dataclass(frozen=True)
class Augment:
    """How strongly pictures are changed; every value has the person's crop as its measure.

    scale: smallest and largest zoom of the person. rotate: largest turn to either side, degrees;
    rotate_chance: probability of a turn. Between these limits every zoom and turn is as likely as
    another, or, with a spread above 0, normal and cut off there: scale_spread is the standard
    deviation of the crop's size about 1 (the zoom is 1 over it), rotate_spread that of the turn
    about 0 in degrees.
    shift: largest move to either side, as a share of the crop. flip: probability of a mirror image.
    color: strength of contrast, brightness and tint, 0..1. half_body: probability of a crop around
    the upper or the lower body. zoom_out: probability that the person is seen small, between
    `smallest` of the crop and half as much again, and anywhere in it. background: probability of a
    crop of the same picture without anyone.
    """

    scale: tuple[float, float] = (0.75, 1.3)
    scale_spread: float = 0.0
    rotate: float = 45.0
    rotate_chance: float = 1.0
    rotate_spread: float = 0.0
    shift: float = 0.1
    flip: float = 0.5
    color: float = 0.3
    half_body: float = 0.0
    zoom_out: float = 0.0
    smallest: float = 0.4
    background: float = 0.0

    def __post_init__(self):
        numbers = len(self.scale) == 2 and all(isinstance(s, int | float) for s in self.scale)
        if not numbers or not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise PoseError(
                "scale as (smallest, largest) zoom, both positive",
                str(self.scale),
                "Write (0.75, 1.3).",
            )
        for name in ("flip", "half_body", "zoom_out", "background", "color", "rotate_chance"):
            if not 0 <= getattr(self, name) <= 1:
                raise PoseError(
                    f"{name} between 0 and 1", repr(getattr(self, name)), "Change the recipe."
                )
        if not (0 < self.smallest <= 1 and 0 <= self.shift < 0.5 and 0 <= self.rotate <= 180):
            raise PoseError(
                "smallest in (0, 1], shift in [0, 0.5) and rotate in 0..180 degrees",
                f"smallest={self.smallest}, shift={self.shift}, rotate={self.rotate}",
                "Change the recipe.",
            )
        for name in ("scale_spread", "rotate_spread"):
            if not 0 <= getattr(self, name) < math.inf:
                raise PoseError(
                    f"{name} as a standard deviation, or 0 for none",
                    repr(getattr(self, name)),
                    "Change the recipe.",
                )


@dataclasses.dataclass(frozen=True)
class Draw:
    """One person's augmentation; the defaults change nothing.

    zoom: of the person. share: of the crop that the person takes when zoomed out, 0 when not.
    degrees: clockwise. move: (2,) in -1..1, along x and y, of the largest shift. flip: mirrored.
    gain, offset: (3,) per colour channel, pixel * gain + offset on 0..255. half: UPPER, LOWER or 0.
    places: (N, 3) uniform numbers that choose a crop without anyone, None for a crop of the person.
    """

    zoom: float = 1.0
    share: float = 0.0
    degrees: float = 0.0
    move: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    half: int = 0
    places: np.ndarray | None = None


def draw(augment: Augment, seed: int, epoch: int, index: int) -> Draw:
    """What happens to sample `index` in `epoch`: a pure function of its arguments."""
    rng = np.random.default_rng((seed, epoch, index))
    # one number per decision, always all of them: a changed probability moves nothing else
    chance = rng.random(6).tolist()
    zoom, turn, x, y, contrast, brightness, *tint = rng.uniform(-1, 1, 9).tolist()
    places = rng.random((_PLACES, 3))
    turned = rng.random() < augment.rotate_chance
    normal_size, normal_turn = rng.standard_normal(2).tolist()
    small = chance[0] < augment.zoom_out
    gains, offsets = _color(augment.color, contrast, brightness, tint)
    half = 0
    if chance[2] < augment.half_body:
        half = UPPER if chance[3] < 0.5 else LOWER
    return Draw(
        zoom=_zoom(augment, zoom, normal_size),
        share=min(1.0, augment.smallest * (1 + chance[1] / 2)) if small else 0.0,
        degrees=_degrees(augment, turn, normal_turn) if turned else 0.0,
        move=(x, y),
        flip=chance[4] < augment.flip,
        gain=gains,
        offset=offsets,
        half=half,
        places=places if chance[5] < augment.background else None,
    )


def _zoom(augment, uniform, normal):
    """The person's zoom, from a number in -1..1 or from a standard normal one."""
    low, high = augment.scale
    if augment.scale_spread:
        size = 1 + augment.scale_spread * normal
        return 1 / min(max(size, 1 / high), 1 / low)
    return low + (high - low) * (uniform + 1) / 2


def _degrees(augment, uniform, normal):
    """The turn, from a number in -1..1 or from a standard normal one."""
    if augment.rotate_spread:
        return min(max(augment.rotate_spread * normal, -augment.rotate), augment.rotate)
    return augment.rotate * uniform


def _color(strength, contrast, brightness, tint):
    """Contrast and tint about mid grey, then brightness: up to 1 +- strength and +- half of it."""
    gains = tuple((1 + strength * contrast) * (1 + strength / 2 * t) for t in tint)
    light = 127.5 * strength * brightness
    return gains, tuple(127.5 * (1 - gain) + light for gain in gains)
