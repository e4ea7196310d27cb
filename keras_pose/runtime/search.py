"""Where to look for a person, and what a found person must look like.

A network trained on crops finds persons that fill roughly 0.4 of a crop or more. So a whole frame
shows it only near persons, and overlapping tiles of two sizes show it the others: together they
find a person from a quarter of the frame's shorter side to all of it.
"""

import numpy as np

from keras_pose import geometry
from keras_pose.results import Pose

GLANCE = 0.6  # of the threshold: the score of a first pass that is worth a second one
JOINT = 0.5  # of the threshold: the score from which a key point of a known person is used
TILES = (1.0, 0.6)  # tile heights, of the picture's shorter side
_LOWEST = 16.0  # px: lower tiles show nobody, and a banner has thousands of them
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
        if high >= boxes[0][3] * 0.9 or high < _LOWEST:
            continue  # as good as the whole picture, or as bad as none
        for y in _starts(height, high):
            boxes += [np.array([x - 0.5, y - 0.5, wide, high]) for x in _starts(width, wide)]
    return boxes


def _starts(length, tile):
    """First pixels of evenly spread tiles; one centred tile when it is longer than the picture."""
    spare = length - tile
    if spare <= 0:
        return [spare / 2]
    return np.linspace(0.0, spare, int(np.ceil(spare / (tile * _STRIDE))) + 1).tolist()


class Look:
    """What the confident key points of a pose amount to, at one threshold.

    pose: as the estimator gave it; score: the person's; share: of key points with at least the
    threshold; extent: the box (x, y, w, h) around these, loose: around those with at least half of
    it (JOINT); None without any. Floats and lists: on a dozen points numpy is slower than Python.
    """

    __slots__ = ("extent", "loose", "pose", "score", "share")

    def __init__(self, pose: Pose, threshold: float):
        scores, points = pose.scores.tolist(), pose.keypoints.tolist()
        sure = [p for p, s in zip(points, scores, strict=True) if s >= threshold]
        self.pose = pose
        self.score = sum(scores) / len(scores)
        self.share = len(sure) / len(scores)
        self.extent = self.loose = _extent(sure)
        if len(sure) < len(scores):
            least = JOINT * threshold
            self.loose = _extent([p for p, s in zip(points, scores, strict=True) if s >= least])

    def plausible(self, centred: bool = False) -> bool:
        """Whether this could be a person in the crop `pose.box`.

        Enough key points must be confident, and together they must be neither a heap in one place
        nor larger than the crop. centred: the crop was made around this person, who must fill it.
        """
        if self.extent is None or self.share < _ENOUGH:
            return False
        longer = max(self.extent[2:]) / max(self.pose.box[2:].tolist())
        return (_CENTRED if centred else _EXTENT[0]) <= longer <= _EXTENT[1]


def _extent(points):
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    x, y = min(xs), min(ys)
    return (x, y, max(xs) - x, max(ys) - y)


def agree(first: Look, second: Look, threshold: float) -> bool:
    """Whether two passes mean the same person: most key points are in nearly the same place."""
    both = (first.pose.scores >= threshold) & (second.pose.scores >= threshold)
    if np.count_nonzero(both) < _ENOUGH * len(both) or second.loose is None:
        return False
    apart = first.pose.keypoints[both] - second.pose.keypoints[both]
    return float(np.median(np.hypot(*apart.T))) <= _AGREE * max(second.loose[2:])


def complete(estimator, image: np.ndarray, look: Look, threshold: float) -> Look:
    """The same look, or a better one from a wider crop when some of its key points are missing.

    A tile that cuts a person in two shows half of them with confidence, and the crop around that
    half would never see the rest. Costs one run of the estimator, none when nothing is missing.
    """
    if look.share >= 1.0 - _MISSING:
        return look
    x, y, w, h = look.pose.box.tolist()
    grow = (_WIDER - 1.0) / 2
    box = (x - w * grow, y - h * grow, w * _WIDER, h * _WIDER)
    wide = Look(estimator(image, box), threshold)
    return wide if wide.score > look.score + _BETTER and wide.plausible() else look
