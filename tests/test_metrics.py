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


def moved_by(share, lengths, count):
    """Points so far off that they lie at this share of their persons' lengths."""
    return np.array([1.0, 0.0]) * (share * np.asarray(lengths))[:, None, None] * np.ones((count, 1))


def test_pckh_has_mpiis_rows():
    names = metrics.mpii_names(MPII16)
    assert len(names) == 14 and not {"pelvis", "thorax"} & set(names)
    truth, seen = RNG.uniform(0, 100, (5, 16, 2)), np.ones((5, 16))
    heads = np.array([10.0, 20.0, 30.0, np.nan, 15.0])
    right = metrics.pck(truth, truth, seen, heads, 0.5, MPII16, names)
    rows = metrics.mpii_rows(right)
    assert list(rows) == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean"]
    assert set(rows.values()) == {100.0}
    for share, expected in ((0.49, 100.0), (0.51, 0.0)):
        wrong = truth + moved_by(share, heads, 16)
        table = metrics.pck(wrong, truth, seen, heads, 0.5, MPII16, names)
        assert metrics.mpii_rows(table)["Mean"] == expected


def test_a_row_of_mpii_is_the_mean_of_two_joints():
    truth, seen = RNG.uniform(0, 100, (4, 16, 2)), np.ones((4, 16))
    wrong, heads = truth.copy(), np.full(4, 10.0)
    for name, persons in (("left_wrist", 2), ("head_top", 1), ("pelvis", 4), ("thorax", 4)):
        wrong[:persons, MPII16.index(name)] += 1e3
    seen[1:, MPII16.index("right_knee")] = 0
    wrong[0, MPII16.index("right_knee")] += 1e3
    table = metrics.pck(wrong, truth, seen, heads, 0.5, MPII16, metrics.mpii_names(MPII16))
    rows = metrics.mpii_rows(table)
    assert (rows["Wrist"], rows["Head"], rows["Hip"]) == (75.0, 87.5, 100.0)
    assert rows["Knee"] == 50.0  # of 100 and 0, however many are annotated
    assert rows["Mean"] == pytest.approx(100 * (1 - 4 / (4 * 14 - 3)))  # of all joints alike
    seen[:, MPII16.index("left_wrist")] = 0
    table = metrics.pck(wrong, truth, seen, heads, 0.5, MPII16, metrics.mpii_names(MPII16))
    assert metrics.mpii_rows(table)["Wrist"] == 100.0


def test_mpiis_names_within_those_asked_for():
    assert metrics.mpii_names(MPII16, ("pelvis", "left_hip")) == ("left_hip",)
    assert metrics.mpii_names(LSP14) == LSP14.keypoints


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
