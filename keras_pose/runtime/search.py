"""Where to look for a person, and what a found person must look like.

A network trained on crops finds persons that fill roughly 0.4 of a crop or more. So a whole frame
shows it only near persons, and overlapping tiles of two sizes show it the others: together they
find a person from a quarter of the frame's shorter side to all of it.
"""

import numpy as np

from keras_pose import geometry
from keras_pose.results import Pose

GLANCE = 0.6  # of the threshold: the score of a first pass that is worth a second one
TILES = (1.0, 0.6)  # tile heights, of the picture's shorter side
_STRIDE = 2 / 3  # of a tile: a person on a border is mostly inside a neighbour, then centred
_EXTENT = (0.1, 1.1)  # confident key points' longer extent, of the crop
_CENTRED = 0.3  # least of it in a crop that was made around the person
_ENOUGH = 0.3  # least share of confident key points
_MISSING = 0.1  # share of key points without confidence from which it pays to look wider
_WIDER = 2.0  # times the crop: half a person may have been taken for a whole one
_BETTER = 0.03  # of the person score, for the wider look to be preferred
_AGREE = 0.2  # most that the median key point moves from one pass to the next, of the extent


def plan(size, input_size) -> list[np.ndarray]:
    """The boxes to search, the whole picture first, then tiles from large to small.

    size: (h, w) of the picture; input_size: (H, W) of the network. Each box (x, y, w, h) has the
    network's aspect; those of one size overlap by a third or more and cover the picture.
    """
    height, width = size
    aspect = input_size[1] / input_size[0]
    boxes = [geometry.crop_box(geometry.whole(size), input_size, margin=1.0, smallest=1.0)]
    for share in TILES:
        high = share * min(height, width)
        wide = high * aspect
        if high >= boxes[0][3] * 0.9:
            continue  # as good as the whole picture
        for y in _starts(height, high):
            boxes += [np.array([x - 0.5, y - 0.5, wide, high]) for x in _starts(width, wide)]
    return boxes


def _starts(length, tile):
    """First pixels of evenly spread tiles; one centred tile when it is longer than the picture."""
    spare = length - tile
    if spare <= 0:
        return [spare / 2]
    return np.linspace(0.0, spare, int(np.ceil(spare / (tile * _STRIDE))) + 1).tolist()


def person_extent(pose: Pose, threshold: float) -> np.ndarray | None:
    """The tight box around the key points with at least half of `threshold`, None without any."""
    return geometry.extent(pose.keypoints, pose.scores >= 0.5 * threshold)


def plausible(pose: Pose, threshold: float, centred: bool = False) -> bool:
    """Whether the confident key points could be a person in the crop `pose.box`.

    Enough of them must be confident, and together they must be neither a heap in one place nor
    larger than the crop. centred: the crop was made around this person, who must then fill it.
    """
    confident = pose.scores >= threshold
    if np.count_nonzero(confident) < _ENOUGH * len(confident):
        return False
    points = pose.keypoints[confident]
    extent = float((points.max(axis=0) - points.min(axis=0)).max()) / max(pose.box[2:])
    return (_CENTRED if centred else _EXTENT[0]) <= extent <= _EXTENT[1]


def agree(first: Pose, second: Pose, threshold: float) -> bool:
    """Whether two passes mean the same person: most key points are in nearly the same place."""
    both = (first.scores >= threshold) & (second.scores >= threshold)
    extent = person_extent(second, threshold)
    if np.count_nonzero(both) < _ENOUGH * len(both) or extent is None:
        return False
    apart = np.linalg.norm(first.keypoints[both] - second.keypoints[both], axis=1)
    return float(np.median(apart)) <= _AGREE * float(max(extent[2:]))


def complete(estimator, image: np.ndarray, pose: Pose, threshold: float) -> Pose:
    """The same pose, or a better one from a wider crop when some of its key points are missing.

    A tile that cuts a person in two shows half of them with confidence, and the crop around that
    half would never see the rest. Costs one run of the estimator, none when nothing is missing.
    """
    if np.count_nonzero(pose.scores < threshold) <= _MISSING * len(pose.scores):
        return pose
    x, y, w, h = pose.box
    grow = (_WIDER - 1.0) / 2
    wide = estimator(image, (x - w * grow, y - h * grow, w * _WIDER, h * _WIDER))
    better = wide.score > pose.score + _BETTER and plausible(wide, threshold)
    return wide if better else pose
