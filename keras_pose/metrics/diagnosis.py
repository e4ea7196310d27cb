"""What went wrong at each key point: good, jitter, inversion, swap or miss.

Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation" (2017),
section 3.1, as PoseFix takes them over (section 4 and figure 8). Everything is told from the key
point similarity of a predicted point to an annotated one, exp(-d^2 / (2 A (2 sigma)^2)), with d
their distance, A the area of the annotated person and sigma the predicted key point's constant.

Symbols: N diagnosed persons, P further persons, K key points. Points are (x, y) in any one unit,
areas in its square. `visible` says which key points are annotated; the others do not count.
"""

import dataclasses

import numpy as np

from keras_pose.errors import PoseError

CLASSES = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
UNANNOTATED = -1
CLOSE, EXACT = 0.5, 0.85  # similarity from which on a point is close to, or right on, another

FILLED = 0.53  # of a COCO box by the outline of its person, whose area COCO gives
# and its boxes are about 1.5 times the extent of the key points, which end at wrists, ankles, eyes
_AREA_OF_EXTENT = 0.8
_NARROWEST = 0.25  # of the longer side: somebody upright is wider than the line of his joints


@dataclasses.dataclass(frozen=True)
class Others:
    """Annotated persons beside the diagnosed ones: P pairs of a person and somebody in sight.

    of: (P,) index of the diagnosed person, several times the same or never; keypoints: (P, K, 2);
    visible: (P, K); area: (P,).
    """

    of: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    area: np.ndarray


def others_in(picture, keypoints, visible, area, persons=None) -> Others:
    """For each diagnosed person everybody else of the same picture.

    picture: (M,) number or name of the picture of each annotated person; keypoints: (M, K, 2);
    visible: (M, K); area: (M,); persons: (N,) which of the M are diagnosed, by default all.
    """
    picture = np.unique(np.asarray(picture), return_inverse=True)[1].reshape(-1)
    persons = np.arange(len(picture)) if persons is None else np.asarray(persons, int)
    together = np.argsort(picture, kind="stable")  # the persons of a picture one after the other
    counts = np.bincount(picture)
    starts, sizes = (np.cumsum(counts) - counts)[picture[persons]], counts[picture[persons]]
    of = np.repeat(np.arange(len(persons)), sizes)
    which = together[np.arange(len(of)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)]
    of, which = of[which != persons[of]], which[which != persons[of]]
    return Others(of, *(np.asarray(part)[which] for part in (keypoints, visible, area)))


def area_from_extent(keypoints, visible):
    """(N,) areas for data that have none, comparable with COCO's: 0.8 of the key points' extent.

    keypoints: (N, K, 2); visible: (N, K). The narrower side of the extent counts as at least a
    quarter of the longer one. NaN where fewer than two different points are annotated.
    """
    points = np.asarray(keypoints, np.float64)
    seen = (np.asarray(visible) > 0)[..., None]
    high = np.max(points, axis=1, where=seen, initial=-np.inf)
    low = np.min(points, axis=1, where=seen, initial=np.inf)
    sides = np.where(seen.any(axis=1), high - low, 0.0)
    longer = sides.max(axis=-1, initial=0.0)
    area = _AREA_OF_EXTENT * longer * np.maximum(sides.min(axis=-1), _NARROWEST * longer)
    return np.where(area > 0, area, np.nan)


def classify(predicted, truth, visible, area, skeleton, others=None):
    """The class of every key point: (N, K) int8 codes, indices of CLASSES or UNANNOTATED.

    predicted, truth: (N, K, 2); visible: (N, K); area: (N,) in the square of the points' unit,
    see `area_from_extent` where data have none; skeleton: of the K key points, with mirror
    partners and sigmas; others: `Others` in the same pictures, None where there are none.

    The annotated point that a prediction is most similar to decides, of these: its own truth, the
    mirror partner's truth (inversion), the same and the mirror key point of another person (swap),
    whose similarity is measured with that person's area. Is even that similarity below 0.5, it is
    a miss. Is it the own truth, it is good from 0.85 on, jitter below. Of equally similar points
    the own one comes first, then the partner, then other persons. A prediction that is not finite
    is a miss.

    Raises PoseError for shapes that do not fit, and, naming the person, for an annotated point
    that is not finite or an area that is not positive.
    """
    predicted = np.asarray(predicted, np.float64)
    _check_shape("predicted", predicted, (*predicted.shape[:1], skeleton.count, 2))
    truth, seen, area = _people(truth, visible, area, len(predicted), skeleton, "person")
    sigmas, mirror = np.asarray(skeleton.sigmas, np.float64), np.asarray(skeleton.mirror)
    paired = mirror != np.arange(skeleton.count)

    own = _similarity(predicted, truth, seen, area, sigmas)
    inverted = _similarity(predicted, truth[:, mirror], seen[:, mirror] & paired, area, sigmas)
    swapped = np.zeros_like(own)
    if others is not None:
        of = _rows(others.of, len(predicted))
        points, there, size = _people(
            others.keypoints, others.visible, others.area, len(of), skeleton, "other person"
        )
        for order in (slice(None), mirror):
            found = _similarity(predicted[of], points[:, order], there[:, order], size, sigmas)
            np.maximum.at(swapped, of, found)

    best = np.maximum(np.maximum(own, inverted), swapped)
    codes = np.full(own.shape, SWAP, np.int8)
    codes[inverted >= best] = INVERSION
    codes[own >= best] = JITTER
    codes[(own >= best) & (own >= EXACT)] = GOOD
    codes[best < CLOSE] = MISS
    codes[~seen] = UNANNOTATED
    return codes


def match(similarity, scores, least=0.1):
    """Which person each pose of one picture is taken for: (D,) indices, -1 for nobody.

    similarity: (D, G) OKS of D poses with G annotated persons, NaN counts as none; scores: (D,).
    The pose with the best score chooses first, of equal scores the first in order: the person that
    it is most similar to, if that is at least `least` (0.1 as in Ronchi and Perona) and nobody has
    chosen that person before.
    """
    free = np.where(np.isnan(similarity), -1.0, np.asarray(similarity, np.float64))
    chosen = np.full(len(free), -1)
    for pose in np.argsort(-np.asarray(scores, np.float64), kind="stable") if free.size else ():
        person = int(np.argmax(free[pose]))
        if free[pose, person] >= least:
            chosen[pose] = person
            free[:, person] = -1.0
    return chosen


def frequencies(codes, skeleton) -> dict:
    """How often each class occurs, in percent of the annotated key points.

    codes: (N, K) of `classify`. Returns {"mean": {"good": .., "jitter": .., ..}, "<key point>":
    {..}, ..}; each adds up to 100, "mean" is of all annotated key points together. NaN for a key
    point that nobody has annotated. Raises PoseError when nothing was annotated at all.
    """
    codes = np.asarray(codes)
    _check_shape("codes", codes, (*codes.shape[:1], skeleton.count))
    counts = np.stack([(codes == code).sum(axis=0) for code in range(len(CLASSES))], axis=1)
    if not counts.any():
        raise PoseError(
            "at least one annotated key point to diagnose",
            f"{len(codes)} persons without any",
            "Check that results and annotations are of the same pictures.",
        )
    rows = {"mean": counts.sum(axis=0), **dict(zip(skeleton.keypoints, counts, strict=True))}
    return {name: _percent(row) for name, row in rows.items()}


def _percent(counts):
    total = counts.sum()
    shares = 100.0 * counts / total if total else np.full(len(counts), np.nan)
    return dict(zip(CLASSES, shares.tolist(), strict=True))


def _similarity(predicted, points, seen, area, sigmas):
    """(N, K) in 0..1; 0 where there is no annotated point, or no finite prediction."""
    with np.errstate(invalid="ignore", over="ignore"):
        squared = ((predicted - np.where(seen[..., None], points, 0.0)) ** 2).sum(axis=-1)
        squared = np.where(seen & np.isfinite(squared), squared, np.inf)
        return np.exp(-squared / (8.0 * area[:, None] * sigmas**2))


def _people(points, visible, area, count, skeleton, who):
    """Checked: points (N, K, 2) float64, annotated (N, K) bool, area (N,), 1 where none counts."""
    points, area = np.asarray(points, np.float64), np.asarray(area, np.float64)
    seen = np.asarray(visible) > 0
    _check_shape(f"key points of each {who}", points, (count, skeleton.count, 2))
    _check_shape(f"visible of each {who}", seen, (count, skeleton.count))
    _check_shape(f"area of each {who}", area, (count,))
    strange = (seen & ~np.isfinite(points).all(axis=-1)).any(axis=1)
    flat = seen.any(axis=1) & ~(np.isfinite(area) & (area > 0))
    for wrong, expected, received in (
        (strange, "finite annotated key points", points),
        (flat, "a positive area of everybody with annotated key points", area),
    ):
        if wrong.any():
            place = int(np.argmax(wrong))
            raise PoseError(
                expected,
                f"{who} {place} with {received[place].tolist()}",
                "Leave the person out, or the point unannotated; area_from_extent finds areas.",
            )
    return points, seen, np.where(seen.any(axis=1), area, 1.0)


def _rows(of, count):
    of = np.asarray(of)
    if of.ndim != 1 or (len(of) and (of.min() < 0 or of.max() >= count)):
        raise PoseError(
            f"others.of as indices 0..{count - 1} of the diagnosed persons",
            f"{of.tolist()}",
            "Make them with others_in.",
        )
    return of.astype(int)


def _check_shape(name, array, expected):
    if array.shape != expected:
        raise PoseError(
            f"{name} of shape {expected}",
            f"{array.shape}",
            "Give every person the same number of key points, those of the skeleton.",
        )
