"""Object key point similarity, COCO's measure of how near two poses are, for any skeleton.

Symbols: P pairs of poses, N poses of one picture, K key points. Points are (x, y) in any one unit,
areas in its square. `sigmas` (K,) are the constants of a skeleton, half of COCO's k_i.
"""

import numpy as np

from keras_pose.errors import PoseError


def oks(predicted, truth, visible, area, sigmas, box=None):
    """OKS of P pairs: the mean of exp(-d^2 / (2 A (2 sigma)^2)) over the annotated key points.

    predicted, truth: (P, K, 2); visible: (P, K), which points of the truth are annotated; area:
    (P,), A of the truth; box: (P, 4) of the truth as (x, y, w, h), for persons of whom no point is
    annotated: there, as in COCO's evaluation, a point counts by its distance to the box grown by
    its own size on every side. Without boxes the OKS of such persons is NaN.
    Returns (P,) float64, the same to the last bit as pycocotools' computeOks.
    """
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    area, seen = np.asarray(area, np.float64), np.asarray(visible) > 0
    variances = (np.asarray(sigmas, np.float64) * 2) ** 2
    away = predicted - truth
    unlabelled = ~seen.any(axis=1)
    if box is not None and unlabelled.any():
        away[unlabelled] = _outside(predicted[unlabelled], np.asarray(box)[unlabelled])
        seen = seen | unlabelled[:, None]
    # in COCO's order of operations: what lies right on a threshold must fall on the same side
    error = (away[..., 0] ** 2 + away[..., 1] ** 2) / variances
    error = error / (area + np.spacing(1))[:, None] / 2
    similarity = np.exp(-error)
    found = np.full(len(error), np.nan)
    counts = seen.sum(axis=1)
    for count in np.unique(counts[counts > 0]):
        rows = counts == count
        # a row is summed without its gaps, as COCO does: with zeros in them the last bit may differ
        found[rows] = similarity[rows][seen[rows]].reshape(-1, count).sum(axis=1) / count
    return found


def _outside(points, box):
    """How far each point lies outside its box, grown by its size on every side. (P, K, 2)"""
    corner, size = box[:, None, :2], box[:, None, 2:]
    low, high = corner - size, corner + size * 2
    return np.maximum(0, low - points) + np.maximum(0, points - high)


def nms(keypoints, scores, areas, sigmas, threshold=0.9):
    """OKS-NMS: of poses in one picture that are nearly the same, the one with the best score stays.

    keypoints: (N, K, 2); scores: (N,), equal ones keep their order; areas: (N,), of the crops
    that the poses were found in (in the releases the person's box, grown and at the input's
    aspect), in two poses' OKS their mean; threshold: a pose goes whose OKS with a better one is
    above it (0.9 in SimpleBaseline's, HRNet's and PoseFix's releases).
    Returns the indices of those that stay, best first.
    Raises PoseError for scores that are not finite.
    """
    keypoints, areas = np.asarray(keypoints, np.float64), np.asarray(areas, np.float64)
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        raise PoseError(
            "finite scores to choose poses by", str(scores.tolist()), "Leave such poses out."
        )
    left, stay = np.argsort(-scores, kind="stable"), []
    everything = np.ones((len(keypoints), keypoints.shape[1]) if len(keypoints) else (0, 0), bool)
    while len(left):
        best, left = left[0], left[1:]
        stay.append(best)
        same = np.broadcast_to(keypoints[best], keypoints[left].shape)
        between = (areas[best] + areas[left]) / 2
        near = oks(keypoints[left], same, everything[left], between, sigmas)
        left = left[~(near > threshold)]
    return np.array(stay, int)
