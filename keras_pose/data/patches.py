"""Which part of a picture a network sees: from a person and a draw to a box and a warp.

Three frames: the picture; the PATCH, a square that the host cuts from it, axis-aligned and at the
scale of the network's input, antialiased; the INPUT, which the accelerator warps out of the patch
by a pure turn or mirror image. Every map between them is an exact affine matrix.
"""

import dataclasses

import numpy as np

from keras_pose import geometry
from keras_pose.data.augment import UPPER, Draw
from keras_pose.data.sample import Sample

_FEWEST = 3  # visible joints that make a half body
_WHOLE = 0.5  # share of joints that a body shows before one looks at half of it, at least
_SIZES = (0.4, 1.0)  # of a crop without anyone, in crops of the person
_INSIDE = 0.5  # share of such a crop that lies in the picture, at least
_BEYOND, _HIDDEN = 0.1, 0.5  # what bodies reach beyond their joints, and when all are hidden


@dataclasses.dataclass(frozen=True)
class View:
    """What the input shows: the picture's point at its centre; input pixels per picture pixel."""

    centre: np.ndarray
    scale: float
    person: bool = True


def patch_side(input_size, degrees: float) -> int:
    """Side of the square patch that holds an input of (H, W) turned by up to `degrees`."""
    height, width = input_size
    if degrees == 0:
        return max(height, width)
    angle = np.deg2rad(np.linspace(0, min(degrees, 90), 91))
    cos, sin = np.cos(angle), np.sin(angle)
    side = max((width * cos + height * sin).max(), (height * cos + width * sin).max())
    return int(np.ceil(side)) + 2  # one more pixel on each side for the interpolation


def person_view(sample: Sample, draw: Draw, input_size, margin, skeleton, shift=0.0) -> View:
    """The person's crop (DESIGN: extent x margin at the input's aspect), zoomed and moved."""
    extent = _half_extent(sample, draw, skeleton) if draw.half else None
    crop = geometry.crop_box(sample.box if extent is None else extent, input_size, margin)
    zoom = draw.share * margin if draw.share else draw.zoom
    # someone seen small may stand anywhere in the crop
    shift = max(shift, (1 - draw.share) / 2) if draw.share else shift
    scale = zoom * input_size[0] / crop[3]
    size = np.array(input_size[::-1], np.float64)
    return View(crop[:2] + crop[2:] / 2 - np.multiply(draw.move, shift) * size / scale, scale)


def _half_extent(sample, draw, skeleton):
    """Extent of the drawn half of the body, None when too few joints are visible.

    Of somebody cut off by the picture or half hidden, half a body would be next to nothing; mmpose
    asks for more than 8 of COCO's 17 joints.
    """
    if sample.visible.mean() < _WHOLE:
        return None
    lower = np.array([name in skeleton.lower for name in skeleton.keypoints])
    chosen = sample.visible & (lower != (draw.half == UPPER))
    return geometry.extent(sample.keypoints, chosen) if chosen.sum() >= _FEWEST else None


def background_view(sample: Sample, draw: Draw, input_size, margin, picture_size) -> View | None:
    """A crop of the same picture in which nobody is known to be, None when none was found.

    draw.places: (N, 3) uniform numbers, candidates of size, x and y. The largest that fits is
    taken, because smaller ones are blurred by enlarging, which would tell them from people.
    picture_size: (H, W). Crops may leave the picture, as crops of persons do.
    """
    crop = geometry.crop_box(sample.box, input_size, margin)
    low, high = _SIZES
    sizes = crop[2:] * (low * (high / low) ** draw.places[:, :1])
    picture = np.array(picture_size[::-1], np.float64)
    centres = draw.places[:, 1:] * picture - 0.5
    corners = centres - sizes / 2
    inside = np.minimum(corners + sizes, picture - 0.5) - np.maximum(corners, -0.5)
    good = (inside > 0).all(axis=1) & (inside.prod(axis=1) >= _INSIDE * sizes.prod(axis=1))
    # the input may be turned: keep people out of the upright box around it
    turn = np.abs(np.deg2rad(draw.degrees))
    reach = np.abs([[np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    half = sizes @ reach / 2
    people = np.concatenate([sample.people, sample.box[None]])
    beyond = _BEYOND + _HIDDEN * (1 - sample.visible.mean())
    grown = beyond * people[:, 2:].max(axis=1, keepdims=True)
    first, last = people[:, :2] - grown, people[:, :2] + people[:, 2:] + grown
    apart = (centres[:, None] + half[:, None] < first) | (centres[:, None] - half[:, None] > last)
    good &= apart.any(axis=-1).all(axis=-1)
    if not good.any():
        return None
    chosen = int(np.argmax(good * sizes[:, 0]))
    return View(centres[chosen], input_size[0] / sizes[chosen, 1], person=False)


def largest_background(sample: Sample, input_size, margin) -> float:
    """The largest scale at which `background_view` may look at the picture."""
    return input_size[0] / (geometry.crop_box(sample.box, input_size, margin)[3] * _SIZES[0])


def reduction(scale: float) -> int:
    """How many times smaller a JPEG may be read when it is needed at `scale`: 1, 2, 4 or 8."""
    return next((r for r in (8, 4, 2) if scale * r <= 1), 1)


def reduced(box, factor: int) -> np.ndarray:
    """A box (x, y, w, h) of the picture in a picture read `factor` times smaller."""
    x, y, w, h = box
    return np.array([(x + 0.5) / factor - 0.5, (y + 0.5) / factor - 0.5, w / factor, h / factor])


def frames(view: View, draw: Draw, input_size, patch_size):
    """Where the patch lies in the picture, and how the input lies in the patch.

    Both sizes are (H, W). Returns the patch's box (x, y, w, h) in the picture and the (2, 3) maps
    INPUT -> PATCH and back.
    """
    size, patch = np.array(input_size[::-1]), np.array(patch_size[::-1])
    middle = (size - 1) / 2
    # whole pixels between input and patch, so that an input that is not turned is not blurred
    target = middle + (patch - size) // 2
    back = geometry.similarity(target, 1.0, draw.degrees, middle, draw.flip)
    turn = back[:, :2].T  # a turn's inverse
    corner = view.centre - (target + 0.5) / view.scale
    return (
        np.concatenate([corner, patch / view.scale]),
        np.column_stack([turn, target - turn @ middle]),
        back,
    )
