"""What a key point may be taken for: the places around which PoseFix's errors are drawn.

Symbols: B persons, K key points, P other persons, S = 2 + 2P sources, N = B K key points in a row.
"""

import dataclasses

import numpy as np

from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import CLASSES, GOOD, INVERSION, JITTER, MISS, SWAP

_ELSEWHERE = 0.25  # weight of a miss around a source other than the own truth


def distance(similarity, area, sigmas):
    """How far apart two points of that key point similarity are: sqrt(-2 A (2 sigma)^2 ln k).

    similarity: k, in 0..1; area: A, the person's; sigmas: the skeleton's constants; all broadcast.
    Returns float64 in the unit of which A is the square.
    """
    sigmas = np.asarray(sigmas, np.float64)
    return np.sqrt(-8.0 * np.asarray(area, np.float64) * np.log(similarity)) * sigmas


@dataclasses.dataclass(frozen=True)
class Sources:
    """The sources of N key points.

    points: (N, S, 2), first the own truth, then the mirror partner's, then for every other person
    the same key point and for every other person its mirror partner; 0 where there is none.
    there: (N, S) which exist. unit: (N,) the distance of similarity 1/e from the key point.
    """

    points: np.ndarray
    there: np.ndarray
    unit: np.ndarray

    def possible(self):
        """(N, 5) whether a kind has a source; none has at a key point of which nothing is known."""
        own = self.there[:, 0]
        found = np.empty((len(own), len(CLASSES)), bool)
        found[:, [GOOD, JITTER, MISS]] = own[:, None]
        found[:, INVERSION] = own & self.there[:, 1]
        found[:, SWAP] = own & self.there[:, 2:].any(axis=1)
        return found

    def weights(self):
        """(5, S) how likely a kind is around each source."""
        found = np.zeros((len(CLASSES), self.there.shape[1]))
        found[[GOOD, JITTER], 0] = found[INVERSION, 1] = 1.0
        found[SWAP, 2:] = 1.0
        found[MISS] = _ELSEWHERE
        found[MISS, 0] = 1.0
        return found


def sources(truth, visible, area, others, skeleton, stand_in=None) -> Sources:
    """The sources of everybody's key points; takes and refuses what pose_errors.synthesise does."""
    truth, others = np.asarray(truth, np.float64), np.asarray(others, np.float64)
    seen, area = np.asarray(visible) > 0, np.asarray(area, np.float64)
    shape = (*seen.shape[:1], skeleton.count)
    check("visible", seen.shape, shape)
    check("truth", truth.shape, (*shape, 2))
    check("area", area.shape, shape[:1])
    check("others", others.shape, (shape[0], *others.shape[1:2], shape[1], 3))
    others = others[:, (others[..., 2] > 0).any(axis=(0, 2))]
    own, known = truth, seen
    if stand_in is not None:
        stand_in = np.asarray(stand_in, np.float64)
        check("stand_in", stand_in.shape, (*shape, 3))
        own = np.where(seen[..., None], truth, stand_in[..., :2])
        known = seen | (stand_in[..., 2] > 0)

    mirror = np.asarray(skeleton.mirror)
    paired = mirror != np.arange(skeleton.count)
    theirs, labelled = others[..., :2], others[..., 2] > 0
    points = (own[:, None], truth[:, None, mirror], theirs, theirs[:, :, mirror])
    points = np.concatenate(points, axis=1).swapaxes(1, 2)
    # the partner counts where it is annotated: an estimator's guess is no truth to be mistaken for
    partner, mirrored = seen[:, None, mirror] & paired, labelled[..., mirror] & paired
    there = np.concatenate([known[:, None], partner, labelled, mirrored], axis=1).swapaxes(1, 2)
    _check_numbers(points, there, area, known)
    area = np.where(known.any(axis=1), area, 1.0)[:, None]
    return Sources(
        np.where(there[..., None], points, 0.0).reshape(-1, there.shape[2], 2),
        there.reshape(-1, there.shape[2]),
        distance(np.exp(-1.0), area, skeleton.sigmas).reshape(-1),
    )


def check(name, received, expected):
    """Refuses an array of another shape."""
    if received != expected:
        raise PoseError(
            f"{name} of shape {expected}",
            f"{received}",
            "Give every person the key points of the skeleton.",
        )


def _check_numbers(points, there, area, known):
    strange = (there & ~np.isfinite(points).all(axis=-1)).any(axis=(1, 2))
    flat = known.any(axis=1) & ~(np.isfinite(area) & (area > 0))
    for wrong, expected, received in (
        (strange, "finite key points wherever one counts", points),
        (flat, "a positive area of everybody who has key points", area),
    ):
        if wrong.any():
            person = int(np.argmax(wrong))
            raise PoseError(
                expected,
                f"person {person} of the batch with {received[person].tolist()}",
                "Mark the key point as not visible; pose_error_inputs.box_area finds areas.",
            )
