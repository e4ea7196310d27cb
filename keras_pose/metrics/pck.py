"""Percentage of correct key points.

Symbols: N persons, K key points. Points are (x, y) in any one unit, as long as prediction and truth
share it. `visible` (N, K) says which key points are annotated; the others do not count.
"""

import numpy as np

from keras_pose.errors import PoseError
from keras_pose.skeletons import side


def torso(keypoints, visible, skeleton):
    """Torso diameter: left shoulder to right hip, or right shoulder to left hip if one is missing.

    Returns (N,), NaN for persons with neither. A skeleton without shoulders and hips has no
    torso: there the larger side of the annotated points' extent takes its place.
    """
    diagonals = [("left_shoulder", "right_hip"), ("right_shoulder", "left_hip")]
    lengths = [_distance(keypoints, visible, skeleton, *pair) for pair in diagonals]
    if lengths[0] is None or lengths[1] is None:
        return _extent(keypoints, visible)
    return np.where(np.isnan(lengths[0]), lengths[1], lengths[0])


# MPII's table: its rows, and what a row is the mean of
_ROWS = {"Head": ("upper_neck", "head_top")} | {
    part.capitalize(): (f"left_{part}", f"right_{part}")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


def mpii_names(skeleton, only=()):
    """The key points in MPII's mean: `only`, or all of them, without pelvis and thorax."""
    chosen = tuple(only) or skeleton.keypoints
    return tuple(n for n in chosen if n not in ("pelvis", "thorax")) or chosen


def mpii_rows(table):
    """MPII's usual rows of PCKh: Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle and Mean.

    table: of `pck` with the head lengths of Sample.head, over `mpii_names`. As in MPII's evaluation
    (Andriluka et al., CVPR 2014), a row is the mean of two joints, Head of upper neck and head top
    (others print head top alone, which has a row of its own in `table`), and Mean is of all
    annotated joints together. NaN where nothing was annotated.
    """
    rows = {}
    for name, joints in _ROWS.items():
        found = [table[j] for j in joints if not np.isnan(table.get(j, np.nan))]
        rows[name] = float(np.mean(found)) if found else float("nan")
    return rows | {"Mean": table["mean"]}


def head(keypoints, visible, skeleton):
    """Head length, neck to head top. (N,) with NaN, or None where a skeleton has no head.

    It stands in for PCKh's own where a data set has no head boxes (Sample.head)."""
    for neck in ("neck", "upper_neck"):
        length = _distance(keypoints, visible, skeleton, neck, "head_top")
        if length is not None:
            return length
    return None


def _distance(keypoints, visible, skeleton, first, second):
    a, b = skeleton.index(first), skeleton.index(second)
    if a is None or b is None:
        return None
    length = np.linalg.norm(keypoints[:, a] - keypoints[:, b], axis=-1)
    seen = (visible[:, a] > 0) & (visible[:, b] > 0) & (length > 0)
    return np.where(seen, length, np.nan)


def _extent(keypoints, visible):
    points = np.where(visible[..., None] > 0, keypoints, np.nan)
    with np.errstate(all="ignore"):
        seen = (visible > 0).sum(axis=1) > 1
        sides = np.full(len(points), np.nan)
        span = np.nanmax(points[seen], axis=1) - np.nanmin(points[seen], axis=1)
        sides[seen] = span.max(axis=-1)
    return np.where(sides > 0, sides, np.nan)


def pck(predicted, truth, visible, reference, threshold, skeleton, only=()):
    """PCK: a key point is correct within `threshold` times its person's reference length.

    predicted, truth: (N, K, 2); visible: (N, K); reference: (N,), persons with NaN are left out.
    only: names of the key points that count, all of them where it is empty.
    Raises PoseError for a name that the skeleton does not have.
    Returns a dict in percent: "mean" over all annotated key points, "left" and "right" over those
    of a side, and one entry per key point name. NaN where nothing was annotated.
    """
    unknown = sorted(set(only) - set(skeleton.keypoints))
    if unknown:
        raise PoseError(
            f"names of {skeleton.name}'s key points: {', '.join(skeleton.keypoints)}",
            ", ".join(unknown),
            "Leave out what it does not have; training.evaluate.shared finds what two share.",
        )
    counted = (visible > 0) & ~np.isnan(reference)[:, None]
    distance = np.linalg.norm(predicted - truth, axis=-1)
    with np.errstate(invalid="ignore"):
        correct = (distance <= threshold * reference[:, None]) & counted

    def percent(columns):
        total = counted[:, columns].sum()
        return float(100.0 * correct[:, columns].sum() / total) if total else float("nan")

    names = {n: i for i, n in enumerate(skeleton.keypoints) if not only or n in only}
    table = {"mean": percent(list(names.values()))}
    for hand in ("left", "right"):
        columns = [i for n, i in names.items() if side(n)[0] == hand]
        if columns:
            table[hand] = percent(columns)
    table.update({name: percent([i]) for name, i in names.items()})
    return table
