"""Pictures from files, and crops of them at a network's size, exact to a fraction of a pixel.

Pictures are RGB uint8 (H, W, 3); points and boxes as in keras_pose.geometry.
"""

import os

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.errors import PoseError

GREY = (127, 127, 127)  # what a crop shows outside the picture
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def load_image(path: str | os.PathLike, reduce: int = 1, orient: bool = False) -> np.ndarray:
    """A picture file as RGB uint8 (H, W, 3); grey and RGBA files become RGB.

    reduce: 1, 2, 4 or 8, the factor by which it is read smaller (for a JPEG inside its decoder,
    which is much faster than reading it whole). orient: turn the picture as its EXIF entry says;
    off by default, because labels of datasets refer to the stored pixels.
    Raises PoseError, naming the file, when it is missing or no readable picture.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise PoseError(
            "a readable picture file", f"{path} ({error.strerror})", "Check the path."
        ) from error
    return decode_image(content, path, reduce, orient)


def decode_image(content: bytes, path, reduce: int = 1, orient: bool = False) -> np.ndarray:
    """A picture file's bytes as `load_image` reads them; `path` is what errors call it."""
    if reduce not in REDUCED:
        raise PoseError("reduce of 1, 2, 4 or 8", repr(reduce), "Choose one of the four.")
    flags = REDUCED[reduce] | (0 if orient else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        pixels = np.frombuffer(content, np.uint8)
        image = None if _cut_short(content) else cv2.imdecode(pixels, flags)
    except cv2.error:  # an empty file, or more pixels than OpenCV accepts
        image = None
    if image is None:
        raise PoseError(
            "a picture that OpenCV can decode (JPEG, PNG, WebP, ...)",
            f"{path}, which is empty, cut short, damaged or of another kind",
            "Open it in a picture viewer and save it again, or remove it.",
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _cut_short(content: bytes) -> bool:
    """Whether a JPEG lacks its end mark: OpenCV would fill up what is missing with grey."""
    return content.startswith(b"\xff\xd8") and b"\xff\xd9" not in content


def cut(image: np.ndarray, box, size) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture inside a box, resampled to a size, antialiased when it shrinks.

    image: (H, W, 3) uint8; box: (x, y, w, h), any floats, may leave the picture (grey there);
    size: (H, W) of the result. Returns the patch and the (2, 3) float64 map from the picture's
    pixels to the patch's, which is geometry.box_to_size(box, size).
    Raises PoseError for a box without area or with values that are not finite.
    """
    box = np.asarray(box, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or min(box[2:]) <= 0:
        raise PoseError(
            "a box (x, y, w, h) of finite numbers with positive width and height",
            str(box.tolist()),
            "Check the annotation or the --box argument.",
        )
    matrix = geometry.box_to_size(box, size)
    height, width = int(size[0]), int(size[1])
    # whole pixels into one, along x and y
    shrink = np.clip(np.rint(box[2:] / (width, height)), 1, max(image.shape[:2]))
    # the pixels under the box and one more on each side for the interpolation
    low = np.maximum(np.floor(box[:2] - shrink), 0).astype(int)
    high = np.minimum(np.ceil(box[:2] + box[2:] + shrink) + 1, image.shape[1::-1]).astype(int)
    if (high <= low).any():
        return np.full((height, width, 3), GREY, np.uint8), matrix
    region = image[low[1] : high[1], low[0] : high[0]]
    scale = np.ones(2)
    if (shrink > 1).any():
        region, low, scale = _shrink(image, low, high, shrink.astype(int))
    # region pixel r lies at picture pixel (r + 0.5) / scale - 0.5 + low
    inner = np.array([[1 / scale[0], 0, low[0]], [0, 1 / scale[1], low[1]]], np.float64)
    inner[:, 2] += 0.5 / scale - 0.5
    patch = cv2.warpAffine(
        region,
        geometry.compose(matrix, inner),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=GREY,
    )
    return patch, matrix


def _shrink(image, low, high, factor):
    """Averages blocks of `factor` pixels between `low` and `high`.

    Returns the smaller region, its first pixel in the picture and its scale along x and y. Whole
    blocks take OpenCV's fast path, so the region grows to a multiple of `factor` where the picture
    allows; where it does not, fractional blocks keep the last pixels.
    """
    limit = np.array(image.shape[1::-1])
    blocks = -(-(high - low) // factor)
    first = np.maximum(np.minimum(low, limit - blocks * factor), 0)
    last = np.minimum(first + blocks * factor, limit)
    region = image[first[1] : last[1], first[0] : last[0]]
    scale = blocks / (last - first)
    while (factor % 2 == 0).all() and (first + blocks * factor == last).all():
        factor = factor // 2  # halving is several times faster than other factors
        half = tuple(int(v) for v in blocks * factor)
        region = cv2.resize(region, half, interpolation=cv2.INTER_AREA)
        last = first + blocks * factor
    size = tuple(int(b) for b in blocks)
    if (factor > 1).any():
        region = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    return region, first, scale
