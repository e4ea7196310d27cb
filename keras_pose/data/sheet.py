"""A sheet of what the network is shown, with its targets drawn: the first thing to look at."""

import itertools
import math

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.data.batches import Loader
from keras_pose.results import Pose
from keras_pose.runtime.crop import GREY
from keras_pose.runtime.drawing import contact_sheet, draw

_TILE = 256  # least height of one picture on the sheet
_OUTLINE = (255, 255, 255)


def inputs(x, size) -> np.ndarray:
    """The network's inputs as uint8 (B, H, W, 3): the same warp and colours as in training."""
    height, width = size
    pictures = []
    for patch, matrix, (gain, offset) in zip(x["patch"], x["matrix"], x["color"], strict=True):
        warped = cv2.warpAffine(
            patch,
            matrix.astype(np.float64),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=GREY,
        )
        pictures.append(np.clip(warped * gain + offset, 0, 255).astype(np.uint8))
    return np.stack(pictures)


def pictures(loader, epoch=0):
    """Yields each sample of an epoch as the network sees it: uint8 (H, W, 3), and its part of y."""
    for step in range(loader.steps):
        x, y = loader.batch(epoch, step)
        for i, picture in enumerate(inputs(x, loader.input_size)):
            yield picture, {k: v[i] for k, v in y.items()}


def sheet(loader: Loader, count: int = 24, columns: int = 6, epoch: int = 0) -> np.ndarray:
    """The first `count` samples of an epoch, augmented, with key points and bones drawn.

    Only points that count in the loss are drawn; where some beyond the crop do, it has a thin
    outline and a grey margin that they lie in. Crops without anyone have a red frame.
    Returns RGB uint8.
    """
    shown = itertools.islice(pictures(loader, epoch), count)
    tiles = [_tile(picture, y, loader) for picture, y in shown]
    return contact_sheet(tiles, columns, tiles[0].shape[:2])


def enlarged(picture) -> np.ndarray:
    """A picture, larger by a whole factor, so that key points drawn on it can be told apart."""
    factor = max(1, -(-_TILE // picture.shape[0]))
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def _tile(picture, y, loader):
    picture = enlarged(picture)
    if not y["person"]:
        picture = cv2.rectangle(picture, (0, 0), picture.shape[1::-1], (255, 0, 0), 6)
    points = geometry.denormalise(y["keypoints"], picture.shape[:2])
    if loader.reach:
        high, wide = (math.ceil(loader.reach * side) for side in picture.shape[:2])
        for margin, color in (((1, 1, 1, 1), _OUTLINE), ((high - 1,) * 2 + (wide - 1,) * 2, GREY)):
            picture = cv2.copyMakeBorder(picture, *margin, cv2.BORDER_CONSTANT, value=color)
        points = points + np.array([wide, high], np.float32)
    if not y["person"]:
        return picture
    return draw(picture, Pose(points, y["visible"]), loader.reader.skeleton, threshold=0.5)
