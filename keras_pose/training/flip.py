"""The flip test: a picture and its mirror image are looked at, and the two answers become one.

It works on key points, so it is the same for every model.

Symbols: B pictures of H x W pixels, K key points.
"""

import dataclasses

import numpy as np

from keras_pose.errors import PoseError
from keras_pose.training.looking import Refining

_AGREE = 0.1  # of the patch's side: two answers are the same
_POWER = 5  # of the score that weighs, in Poseur's release


def flipping(predict, skeleton, fusion="agreeing"):
    """A predictor that asks `predict` twice and fuses its answers.

    predict: patches (B, H, W, 3) to key points (B, K, 2) in pixels and scores (B, K); fusion: one
    of FUSIONS. One that refines poses (looking.Refining) is asked with the mirrored pose, and so is
    what comes back. A mirror image has pixel W - 1 - x at x (u is 1 - u), and left for right.
    Raises PoseError for an unknown fusion.
    """
    if fusion not in FUSIONS:
        raise PoseError(
            f"a fusion of the flip test among {sorted(FUSIONS)}",
            repr(fusion),
            "Choose one of them.",
        )
    fuse, mirror = FUSIONS[fusion], list(skeleton.mirror)

    def both(patches, *poses):
        points, scores = predict(patches, *poses)
        seen = [_mirrored(pose, mirror) for pose in poses]
        turned, other = predict(np.ascontiguousarray(patches[:, :, ::-1]), *seen)
        turned, other = turned[:, mirror].copy(), other[:, mirror]
        turned[..., 0] = patches.shape[2] - 1 - turned[..., 0]
        weight = fuse(points, scores, turned, other, patches.shape[1:3])[..., None]
        return weight * points + (1 - weight) * turned, (scores + other) / 2

    return dataclasses.replace(predict, answer=both) if isinstance(predict, Refining) else both


def _mirrored(poses, mirror):
    """Normalised poses (B, K, 3) in the mirror images; rows without a key point stay 0."""
    turned = poses[:, mirror]
    turned[..., 0] = (1 - turned[..., 0]) * turned[..., 2]
    return turned


def chosen(look, fusion=None) -> str:
    """The fusion of a command line: the one it names, "agreeing" where it asks to look at mirror
    images and names none, "" for no flip test."""
    return fusion or ("agreeing" if look else "")


def _agreeing(points, scores, turned, other, size):
    """Averages two answers within a tenth of the patch by their scores; between two further apart
    it takes the more confident, since half way lies nothing."""
    weight = (scores + 1e-9) / (scores + other + 2e-9)  # two without any score count alike
    near = np.linalg.norm(points - turned, axis=-1) < _AGREE * max(size)
    return np.where(near, weight, weight >= 0.5)


def _mean(points, scores, turned, other, size):
    return np.full_like(scores, 0.5)


def _weighted(points, scores, turned, other, size):
    """The fifth power of the score, of the best variant in Poseur's release."""
    best = np.maximum(scores, other)
    best = np.where(best > 0, best, 1)  # divided by it, small scores keep their fifth power
    first, second = (scores / best) ** _POWER, (other / best) ** _POWER
    total = first + second
    return np.where(total > 0, first / np.where(total > 0, total, 1), 0.5)


# name -> the first answer's weight (B, K), from (points, scores, the same of the mirrored, (H, W))
FUSIONS = {"agreeing": _agreeing, "mean": _mean, "weighted": _weighted}
