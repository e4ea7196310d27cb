"""How likely each kind of error is at a key point: the table behind PoseFix's synthesis.

Moon, Chang and Lee, "PoseFix" (CVPR 2019), section 4, take the frequencies from the diagnosis of
Ronchi and Perona (2017), by the type of key point, the number of visible ones and the overlap with
other persons; these numbers are those of their release. Kinds are metrics.diagnosis.CLASSES.

Symbols: B persons, K key points.
"""

import functools
import math

import numpy as np

from keras_pose import skeletons
from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import CLASSES, GOOD, INVERSION, JITTER, MISS, SWAP

_FULL = 17  # key points of COCO, which the limits below are counted in
_HALF, _FEW, _MOST = 10, 5, 15  # V, the annotated key points inside the crop, up to which ..
_CROWD = 3  # O, the overlapping persons, from which on even somebody well seen is in a crowd

# jitter at V <= 10 and above; miss at V <= 5, <= 10 and above; inversion; swap in a crowd and not
_TABLE = {
    "nose": (0.15, 0.10, 0.15, 0.10, 0.02, 0.01, 0.02, 0.01),
    "eye": (0.20, 0.15, 0.15, 0.10, 0.02, 0.01, 0.02, 0.01),
    "ear": (0.20, 0.15, 0.15, 0.10, 0.02, 0.01, 0.02, 0.01),
    "shoulder": (0.20, 0.15, 0.20, 0.13, 0.05, 0.03, 0.15, 0.06),
    "elbow": (0.20, 0.15, 0.25, 0.15, 0.10, 0.03, 0.15, 0.06),
    "wrist": (0.20, 0.15, 0.25, 0.15, 0.10, 0.03, 0.15, 0.06),
    "hip": (0.25, 0.20, 0.25, 0.15, 0.10, 0.06, 0.10, 0.03),
    "knee": (0.15, 0.10, 0.25, 0.15, 0.10, 0.06, 0.10, 0.03),
    "ankle": (0.15, 0.10, 0.20, 0.13, 0.05, 0.06, 0.10, 0.03),
}
_TABLE["pelvis"] = _TABLE["hip"]
_MIDDLING = _TABLE["shoulder"]  # what skeletons.Skeleton takes for unknown names too


def chances(skeleton, annotated, near) -> np.ndarray:
    """Probability of every kind at every key point: (B, K, 5) float64, each row adding up to 1.

    skeleton: of the K key points, whose type is read from their names; unknown ones, as the neck,
    are as likely to be wrong as shoulders, a pelvis as hips. annotated: (B,) how many key points of
    each person are annotated inside the crop; near: (B,) how many other annotated persons' boxes
    overlap with the person's, see pose_error_inputs.near. The limits 5, 10 and 15 of `annotated`
    are of COCO's 17 key points, and as large a share of any other skeleton's.

    The table knows nothing of whether an error can happen: an inversion has a probability at a
    nose as well. `pose_errors.synthesise` shares what cannot happen out among the rest.
    """
    jitter, miss, inversion, swap = _columns(skeleton)
    seen = np.asarray(annotated)[:, None] * _FULL  # no division: the limits stay exact
    near = np.asarray(near)[:, None]
    few, half, most = (seen <= limit * skeleton.count for limit in (_FEW, _HALF, _MOST))
    crowd = (half & (near > 0)) | (most & (near >= _CROWD))

    found = np.empty((len(seen), skeleton.count, len(CLASSES)))
    found[..., JITTER] = np.where(half, jitter[0], jitter[1])
    found[..., MISS] = np.where(few, miss[0], np.where(half, miss[1], miss[2]))
    found[..., INVERSION] = inversion[0]
    found[..., SWAP] = np.where(crowd, swap[0], swap[1])
    found[..., GOOD] = 0.0
    found[..., GOOD] = 1.0 - found.sum(axis=-1)
    return found


def scaled(chances, errors) -> np.ndarray:
    """The same chances (.., 5) with some kinds of errors so many times as likely, and the good ones
    what is left; where the errors alone are more than 1 they share it in proportion.

    errors: pairs (name of a kind, factor). Raises PoseError for what is no such pair.
    """
    factors = np.ones(len(CLASSES))
    for kind, factor in checked(errors):
        factors[CLASSES.index(kind)] = factor
    found = chances * factors
    found[..., GOOD] = 0.0
    total = found.sum(axis=-1, keepdims=True)
    found /= np.maximum(total, 1.0)
    found[..., GOOD] = np.maximum(1.0 - total[..., 0], 0.0)
    return found


def checked(errors):
    """Pairs (name of a kind of error, factor from 0), or PoseError."""
    kinds = CLASSES[GOOD + 1 :]
    for pair in errors:
        kind, factor = pair if isinstance(pair, list | tuple) and len(pair) == 2 else (None, None)
        if kind not in kinds or not isinstance(factor, int | float) or not 0 <= factor < math.inf:
            raise PoseError(
                f"errors as pairs of a kind among {', '.join(kinds)} and a factor from 0",
                repr(errors),
                "Write (('inversion', 2.0),), or () for the paper's frequencies.",
            )
    return errors


@functools.lru_cache(maxsize=8)
def _columns(skeleton):
    """The table for a skeleton, one column per key point: jitter, miss, inversion and swap."""
    types = [skeletons.side(name)[1] for name in skeleton.keypoints]
    table = np.array([_TABLE.get(name, _MIDDLING) for name in types]).T
    return table[:2], table[2:5], table[5:6], table[6:8]
