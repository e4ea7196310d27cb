"""Poses as an estimator might have found them: the truth, disturbed key point by key point.

Moon, Chang and Lee, "PoseFix" (CVPR 2019), section 4: a refiner learns from errors that are drawn,
so that it needs no estimator. Each key point is good or has one of four errors, as
metrics.diagnosis tells them apart. Bands and which candidates are kept are those of their release:
an inversion and a swap may lie right on the wrong key point, where the paper has them beside it.

A key point's SOURCES are what it may be taken for: its own truth, its mirror partner's, and the
same and the mirror key point of every other person. d(k) is the distance of similarity k, with the
person's own area and the key point's own sigma. A candidate lies around one of the sources, at an
angle that is uniform and a radius r that is uniform in a band, and has to keep off the others:

    kind       around              r                  kept where
    good       the own truth       0 to d(.85)        every other source is farther away than r
    jitter     the own truth       d(.85) to d(.5)    likewise
    inversion  the partner's       0 to d(.5)         likewise
    swap       another person's    0 to d(.5)         both of this person's are farther away than r
    miss       any, the own truth  d(.5) to d(.1)     every other source is farther away than d(.5)
               four times as often

Symbols: B persons, K key points, P other persons, N = B K key points in a row, S sources,
T candidates.
"""

import numpy as np

from keras_pose.data.pose_error_sources import check, sources
from keras_pose.metrics.diagnosis import (
    CLASSES,
    CLOSE,
    EXACT,
    GOOD,
    INVERSION,
    JITTER,
    MISS,
    SWAP,
    UNANNOTATED,
)

DROPPED = UNANNOTATED  # in place of a kind: there is no point
_FAR = 0.1  # similarity down to which a miss goes
_BANDS = {  # similarities at the inner and the outer radius
    GOOD: (1.0, EXACT),
    JITTER: (EXACT, CLOSE),
    INVERSION: (1.0, CLOSE),
    SWAP: (1.0, CLOSE),
    MISS: (CLOSE, _FAR),
}
_RADII = np.sqrt(-np.log([_BANDS[kind] for kind in range(len(CLASSES))]))  # (5, 2), Sources.unit
_TRIES = (6, 512)  # candidates at a time: most key points need few, what is left gets many


def synthesise(truth, visible, area, others, chances, skeleton, rngs, stand_in=None):
    """Draws an input pose for each of B persons.

    truth: (B, K, 2) the persons' key points, in any one frame and unit: best pixels of the
    network's input after augmentation, a mirror image with its sides swapped already. visible:
    (B, K) which of them are annotated, and count. area: (B,) of the persons' boxes in that unit's
    square, see pose_error_inputs.box_area. others: (B, P, K, 3) x, y and visible of the other
    persons in the crop, 0 in rows without anybody; P may be 0. chances: (B, K, 5) of the kinds, see
    pose_error_rates.chances. skeleton: of the K key points, with mirror partners and sigmas. rngs:
    B numpy Generators, see pose_error_inputs.generators: each person has an own one, so that a pose
    does not depend on who else is in the batch. stand_in: (B, K, 3) x, y and valid (0 or 1), what
    an estimator found; where the truth is not annotated it takes its place.

    Returns poses (B, K, 2) float32, 0 where there is no point; valid (B, K) bool, where there is
    one; kinds (B, K) int8, places in metrics.diagnosis.CLASSES, DROPPED where there is no point:
    at key points with neither truth nor stand-in, and at those for which no kind of error has a
    candidate. A kind without any gives its chance to the others, in proportion.

    Raises PoseError for shapes that do not fit, points that count and are not finite, and an area
    that is not positive.
    """
    found = sources(truth, visible, area, others, skeleton, stand_in)
    shape = np.shape(visible)
    check("chances", np.shape(chances), (*shape, len(CLASSES)))
    check("rngs", (len(rngs),), shape[:1])
    poses = np.zeros((len(found.there), 2), np.float32)
    kinds = np.full(len(poses), DROPPED, np.int8)
    order, last = _orders(found, np.reshape(chances, (-1, len(CLASSES))), rngs)
    for turn in range(len(CLASSES)):
        for tries in _TRIES:
            rows = np.flatnonzero((kinds == DROPPED) & (turn < last))
            if not len(rows):
                break
            kind = order[rows, turn]
            points, kept = _candidates(found, rows, kind, _numbers(rngs, rows, shape[1], 3, tries))
            # the first that is kept is as good as one drawn from all that are
            first, any_kept = kept.argmax(axis=1), kept.any(axis=1)
            poses[rows[any_kept]] = points[any_kept, first[any_kept]]
            kinds[rows[any_kept]] = kind[any_kept]
    kinds = kinds.reshape(shape)
    return poses.reshape(*shape, 2), kinds != DROPPED, kinds


def _orders(found, chances, rngs):
    """(N, 5) in which order kinds are tried, and (N,) how many of them can be.

    A kind waits for a time that is exponential with its chance for rate, and the shortest wait is
    first. Of any kinds that turn out to have candidates, each then comes before the others with its
    share of their chances: what renormalising would give, and only kinds that are needed are tried.
    """
    rates = np.where(found.possible(), chances, 0.0)
    numbers = _numbers(rngs, np.arange(len(rates)), len(rates) // max(len(rngs), 1), len(CLASSES))
    with np.errstate(divide="ignore", invalid="ignore"):
        waits = np.where(rates > 0, -np.log1p(-numbers) / rates, np.inf)
    return np.argsort(waits, axis=1), (rates > 0).sum(axis=1)


def _numbers(rngs, rows, joints, *shape):
    """Uniform numbers (len(rows), *shape) for some of the N key points, from the generators of the
    persons whose they are, and of nobody else."""
    people, place = np.unique(rows // max(joints, 1), return_inverse=True)
    drawn = [rngs[person].random((joints, *shape)) for person in people]
    return np.stack(drawn)[place, rows % joints] if drawn else np.zeros((0, *shape))


def _candidates(found, rows, kind, numbers):
    """Candidates (n, T, 2) for n key points, and which of them (n, T) are kept.

    rows: (n,) which of the N; kind: (n,) of each; numbers: (n, 3, T) uniform.
    """
    points, there = found.points[rows], found.there[rows]
    share = np.cumsum(found.weights()[kind] * there, axis=1)
    around = (numbers[:, 0, :, None] * share[:, None, -1:] >= share[:, None]).sum(axis=2)
    low, high = (_RADII[kind] * found.unit[rows, None]).T[..., None]
    radius, angle = low + (high - low) * numbers[:, 1], 2 * np.pi * numbers[:, 2]
    away = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    tried = points[np.arange(len(rows))[:, None], around] + away

    gaps = ((tried[:, :, None] - points[:, None]) ** 2).sum(axis=-1)
    # measured as the other gaps are: of two sources in one place neither is the nearer one
    least = np.take_along_axis(gaps, around[..., None], axis=-1)
    least = np.where((kind == MISS)[:, None, None], low[..., None] ** 2, least)
    place = np.arange(there.shape[1])
    hinders = there[:, None] & (place != around[..., None])
    hinders &= (kind != SWAP)[:, None, None] | (place < 2)
    return tried, ((gaps > least) | ~hinders).all(axis=-1)
