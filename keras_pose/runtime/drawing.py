"""Poses on pictures: quick enough for every frame of a video on a small computer.

Pictures are RGB uint8 (H, W, 3). Lines are not antialiased, and the points are plain numbers: after
a network has emptied the caches, every other numpy function costs as much as several bones.
"""

import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np

from keras_pose.errors import PoseError
from keras_pose.results import Pose
from keras_pose.runtime.crop import GREY
from keras_pose.skeletons import Skeleton

_ACROSS = (255, 255, 255)  # bones from one side to the other


def draw(
    image: np.ndarray,
    pose: Pose,
    skeleton: Skeleton,
    threshold: float = 0.3,
    thickness: int | None = None,
) -> np.ndarray:
    """Draws the confident part of a pose into the picture, and returns the picture.

    A key point is drawn when its score reaches `threshold`, a bone when both ends do, in the
    colours of the skeleton's sides. thickness: px, or None for one that fits the picture.
    """
    if thickness is None:
        thickness = max(1, round(min(image.shape[:2]) / 300))
    bones, dots = _lines(skeleton)
    shown = [s >= threshold for s in pose.scores.tolist()]
    places = [(int(x), int(y)) for x, y in (pose.keypoints + 0.5).tolist()]
    for a, b, color in bones:
        if shown[a] and shown[b]:
            cv2.line(image, places[a], places[b], color, thickness)
    for i, color in dots:
        if shown[i]:
            cv2.circle(image, places[i], thickness, color, cv2.FILLED)
    return image


@functools.lru_cache(maxsize=8)
def _lines(skeleton):
    """Bones as [(end, other end, colour)] and key points as [(index, colour)]."""
    bones = []
    for ends in skeleton.edges:
        sides = [e for e in ends if skeleton.mirror[e] != e] or [ends[0]]
        colors = {skeleton.colors[e] for e in sides}
        bones.append((*ends, colors.pop() if len(colors) == 1 else _ACROSS))
    return bones, list(enumerate(skeleton.colors))


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """Writes a line of text into the upper left corner of the picture, and returns the picture."""
    label = _label(text, max(0.4, min(image.shape[:2]) / 1200))
    height, width = image.shape[0], image.shape[1]
    image[: len(label), : label.shape[1]] = label[:height, :width]
    return image


@functools.lru_cache(maxsize=128)
def _label(text, scale):
    """The text as a picture: copying one is much quicker than writing in every frame."""
    thick = max(1, round(2 * scale))
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    edge = round(8 * scale)
    label = np.zeros((height + below + 2 * edge, width + 2 * edge, 3), np.uint8)
    place = (edge, edge + height)
    cv2.putText(label, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick)
    return label


def contact_sheet(
    images: Sequence[np.ndarray], columns: int = 4, cell: tuple[int, int] = (256, 256), gap: int = 4
) -> np.ndarray:
    """Pictures side by side, each scaled to fit its cell, in reading order.

    images: RGB uint8 of any sizes, at least one; cell: (H, W) px; gap: grey px between cells.
    """
    if not len(images) or columns < 1:
        raise PoseError(
            "at least one picture and one column",
            f"{len(images)} pictures and {columns} columns",
            "Pass the pictures to show.",
        )
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = cell[0] + gap, cell[1] + gap
    sheet = np.full((rows * height + gap, columns * width + gap, 3), GREY, np.uint8)
    for i, image in enumerate(images):
        scale = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
        h, w = (max(1, round(n * scale)) for n in image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        y = gap + i // columns * height + (cell[0] - h) // 2
        x = gap + i % columns * width + (cell[1] - w) // 2
        sheet[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=method)
    return sheet
