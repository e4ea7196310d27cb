"""Boxes, affine maps and normalised coordinates, in one convention.

Points are (x, y) in pixels, float32, and a pixel's centre sits at its integer index: a picture of
width W covers x from -0.5 to W - 0.5. Normalised u = (x + 0.5) / W; resizing by s maps x to
(x + 0.5) s - 0.5; a flip is u -> 1 - u. Boxes are (x, y, w, h) with (x, y) the top left corner
in the same coordinates, so a whole picture is (-0.5, -0.5, W, H). Sizes are (H, W).
Affine maps are (2, 3) float64 matrices acting on columns (x, y, 1).

Symbols: N points (any leading shape), H x W a picture's size.
"""

import numpy as np


def normalise(points, size):
    """Pixels to 0..1. points: (..., 2); size: (H, W); returns (..., 2) float32."""
    height, width = size
    return ((np.asarray(points, np.float32) + 0.5) / (width, height)).astype(np.float32)


def denormalise(points, size):
    """0..1 to pixels, the inverse of `normalise`. points: (..., 2); size: (H, W)."""
    height, width = size
    return (np.asarray(points, np.float32) * (width, height) - 0.5).astype(np.float32)


def apply(matrix, points):
    """Maps points through an affine map. matrix: (2, 3); points: (..., 2); returns float32."""
    points = np.asarray(points, np.float64)
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def compose(second, first):
    """The map that does `first`, then `second`. Both (2, 3)."""
    return (_square(second) @ _square(first))[:2]


def invert(matrix):
    """The inverse of a (2, 3) affine map."""
    return np.linalg.inv(_square(matrix))[:2]


def _square(matrix):
    return np.vstack([matrix, (0.0, 0.0, 1.0)])


def whole(size):
    """The box of a whole picture of size (H, W)."""
    return np.array([-0.5, -0.5, size[1], size[0]], np.float64)


def box_to_size(box, size):
    """The map that takes box (x, y, w, h) onto a picture of size (H, W). Returns (2, 3)."""
    x, y, w, h = np.asarray(box, np.float64)
    sx, sy = size[1] / w, size[0] / h
    return np.array([[sx, 0.0, -x * sx - 0.5], [0.0, sy, -y * sy - 0.5]])


def extent(points, visible=None):
    """The tight box (x, y, w, h) around points. points: (N, 2); visible: (N,) or None for all.

    Returns None when no point is visible.
    """
    points = np.asarray(points, np.float64)
    if visible is not None:
        points = points[np.asarray(visible, bool)]
    if len(points) == 0:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])


def crop_box(box, size, margin=1.25, smallest=16.0):
    """A person's crop: `box` grown about its centre by `margin`, then to the aspect of `size`.

    box: (x, y, w, h); size: (H, W) of the network's input; smallest: pixels, the least height and
    width, so that a person with one joint still has a crop. Returns (4,) float64.
    """
    x, y, w, h = np.asarray(box, np.float64).tolist()  # floats: this runs for every frame
    aspect = size[1] / size[0]
    width, height = max(w * margin, smallest), max(h * margin, smallest)
    width, height = max(width, height * aspect), max(height, width / aspect)
    return np.array([x + w / 2 - width / 2, y + h / 2 - height / 2, width, height])


def similarity(centre, scale=1.0, degrees=0.0, target=None, flip=False):
    """Turns about `centre`, scales, optionally mirrors left-right, and moves `centre` to `target`.

    Positive degrees turn the picture clockwise as seen on a screen (y points down).
    Returns (2, 3) float64.
    """
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    if flip:
        turn = np.diag([-1.0, 1.0]) @ turn
    centre = np.asarray(centre, np.float64)
    target = centre if target is None else np.asarray(target, np.float64)
    return np.column_stack([turn, target - turn @ centre])


def overlap(first, second):
    """Intersection over union of two boxes (x, y, w, h)."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low = np.maximum(a[:2], b[:2])
    high = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = np.prod(np.maximum(high - low, 0.0))
    return float(shared / (np.prod(a[2:]) + np.prod(b[2:]) - shared))
