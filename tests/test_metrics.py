"""PCK and presence against figures worked out by hand."""

import numpy as np
import pytest

from keras_pose import metrics
from keras_pose.errors import PoseError
from keras_pose.skeletons import COCO17, LSP14, MPII16, Skeleton

RNG = np.random.default_rng(1)
TRUTH = RNG.uniform(0, 100, (6, 14, 2)).astype(np.float32)
SEEN = np.ones((6, 14))
SHOULDER, HIP = LSP14.index("left_shoulder"), LSP14.index("right_hip")


def test_truth_scores_hundred_and_far_points_zero():
    length = metrics.torso(TRUTH, SEEN, LSP14)
    assert set(metrics.pck(TRUTH, TRUTH, SEEN, length, 0.2, LSP14).values()) == {100.0}
    assert metrics.pck(TRUTH + 1e4, TRUTH, SEEN, length, 0.2, LSP14)["mean"] == 0.0


def test_threshold_is_a_share_of_the_torso():
    length = metrics.torso(TRUTH, SEEN, LSP14)
    for share, expected in ((0.199, 100.0), (0.201, 0.0)):
        moved = TRUTH + np.array([1.0, 0.0]) * (share * length)[:, None, None]
        assert metrics.pck(moved, TRUTH, SEEN, length, 0.2, LSP14)["mean"] == expected


def test_torso_takes_the_other_diagonal_and_then_gives_up():
    seen = SEEN.copy()
    seen[1, HIP] = 0
    seen[2, [HIP, LSP14.index("left_hip")]] = 0
    length = metrics.torso(TRUTH, seen, LSP14)
    first = np.linalg.norm(TRUTH[0, SHOULDER] - TRUTH[0, HIP])
    other = np.linalg.norm(
        TRUTH[1, LSP14.index("right_shoulder")] - TRUTH[1, LSP14.index("left_hip")]
    )
    assert np.isclose(length[0], first) and np.isclose(length[1], other) and np.isnan(length[2])


def test_invisible_joints_and_persons_without_torso_do_not_count():
    seen = SEEN.copy()
    seen[:, 3] = 0
    wrong = TRUTH.copy()
    wrong[:, 3] += 1e4
    wrong[5] += 1e4
    length = metrics.torso(TRUTH, seen, LSP14)
    length[5] = np.nan
    table = metrics.pck(wrong, TRUTH, seen, length, 0.2, LSP14)
    assert table["mean"] == 100.0 and np.isnan(table[LSP14.keypoints[3]])


def test_sides_are_separate():
    wrong = TRUTH.copy()
    left = [i for i, n in enumerate(LSP14.keypoints) if n.startswith("left")]
    wrong[:, left] += 1e4
    table = metrics.pck(wrong, TRUTH, SEEN, metrics.torso(TRUTH, SEEN, LSP14), 0.2, LSP14)
    assert (table["left"], table["right"]) == (0.0, 100.0)
    assert table["mean"] == pytest.approx(100 * 8 / 14)


def test_names_that_the_skeleton_lacks_are_refused():
    length = metrics.torso(TRUTH, SEEN, LSP14)
    for only in (("left_hip", "nose"), ("nose",)):
        with pytest.raises(PoseError, match="nose"):
            metrics.pck(TRUTH, TRUTH, SEEN, length, 0.2, LSP14, only=only)


def test_head_length_needs_a_head():
    assert np.allclose(
        metrics.head(TRUTH, SEEN, LSP14), np.linalg.norm(TRUTH[:, 12] - TRUTH[:, 13], axis=1)
    )
    assert metrics.head(np.zeros((1, 17, 2)), np.ones((1, 17)), COCO17) is None
    assert metrics.head(np.ones((1, 16, 2)), np.ones((1, 16)), MPII16).shape == (1,)


def test_skeleton_without_torso_uses_the_extent():
    chain = Skeleton("chain", ("a", "b", "c"), ((0, 1), (1, 2)))
    points = np.array([[(0, 0), (3, 4), (1, 8)], [(1, 1), (2, 2), (3, 3)]], np.float32)
    lengths = metrics.torso(points, np.array([[1, 1, 1], [1, 0, 0]]), chain)
    assert lengths[0] == 8 and np.isnan(lengths[1])


def test_auc_extremes_and_ties():
    assert metrics.auc([0.9, 0.8], [0.1, 0.2]) == 1.0
    assert metrics.auc([0.1], [0.9]) == 0.0
    assert metrics.auc([0.5, 0.5], [0.5]) == 0.5
    assert np.isnan(metrics.auc([], [0.5]))


def test_auc_counts_pairs():
    present, absent = RNG.normal(1, 1, 50), RNG.normal(0, 1, 40)
    pairs = [(p > a) + 0.5 * (p == a) for p in present for a in absent]
    assert metrics.auc(present, absent) == pytest.approx(np.mean(pairs))


def test_threshold_separates():
    present, absent = np.array([0.6, 0.7, 0.9]), np.array([0.1, 0.2, 0.3])
    assert absent.max() < metrics.threshold(present, absent) < present.min()


def test_threshold_is_the_highest_that_is_as_good():
    present = np.linspace(0.5, 0.9, 101)
    absent = np.linspace(0.1, 0.2, 50)
    # up to 2 of the 101 persons may be missed
    assert present[1] < metrics.threshold(present, absent) < present[2]
    assert metrics.threshold(present, absent, slack=0.0) == pytest.approx((0.2 + 0.5) / 2)
