"""Object key point similarity and its suppression of doubles."""

import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.metrics.oks import nms, oks
from keras_pose.skeletons import COCO17

SIGMAS = np.array([0.05, 0.1, 0.025])


def poses(count, points=3, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (count, points, 2))
    said = truth + rng.normal(0, 4, truth.shape)
    return said, truth, rng.random((count, points)) < 0.7, rng.uniform(500, 5000, count)


def test_the_same_pose_has_one_and_a_far_one_nothing():
    _, truth, _, area = poses(5)
    everything = np.ones((5, 3))
    assert (oks(truth, truth, everything, area, SIGMAS) == 1).all()
    assert (oks(truth + 1e4, truth, everything, area, SIGMAS) == 0).all()


def test_one_sigma_away():
    """At d = 2 sigma sqrt(A) the exponent is a half, whatever the size."""
    for area in (100.0, 1e4):
        away = 2 * SIGMAS * np.sqrt(area)
        said = np.column_stack([away, np.zeros(3)])[None]
        found = oks(said, np.zeros((1, 3, 2)), np.ones((1, 3)), [area], SIGMAS)
        assert found == pytest.approx(np.exp(-0.5))


def test_only_labelled_points_count():
    said, truth, visible, area = poses(40)
    visible[:, 0] = True
    wild = np.where(visible[..., None], said, 1e6)
    assert np.array_equal(
        oks(wild, truth, visible, area, SIGMAS), oks(said, truth, visible, area, SIGMAS)
    )
    assert np.isnan(oks(said, truth, np.zeros_like(visible), area, SIGMAS)).all()


def test_size_and_place_do_not_matter():
    said, truth, visible, area = poses(40)
    visible[:, 0] = True
    base = oks(said, truth, visible, area, SIGMAS)
    moved = oks(3 * said + 50, 3 * truth + 50, visible, 9 * area, SIGMAS)
    assert np.allclose(base, moved, atol=1e-12)


def test_without_labels_the_box_counts():
    inside, box = np.full((1, 3, 2), 15.0), [[10.0, 10.0, 10.0, 10.0]]
    nothing = np.zeros((1, 3))
    # the box grown by its size reaches from 0 to 30
    for where, expected in ((15.0, 1), (29.9, 1), (30 + 2 * 0.1 * 20, None), (1e4, 0)):
        found = oks(np.full((1, 3, 2), where), inside, nothing, [400.0], SIGMAS, box)
        assert (0 < found < 1) if expected is None else found == expected


@pytest.mark.parametrize("count", [17, 3])
def test_the_same_as_pycocotools_to_the_last_bit(count):
    evaluator = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(count)
    sigmas = np.array(COCO17.sigmas) if count == 17 else SIGMAS
    said, truth, visible, area = poses(60, count)
    visible[:5] = False
    boxes = np.column_stack([truth.min(axis=1), np.ptp(truth, axis=1)])
    reference = evaluator.COCOeval(iouType="keypoints")
    reference.params.kpt_oks_sigmas = sigmas
    for n in range(60):
        points = np.column_stack([truth[n], 2 * visible[n]]).ravel().tolist()
        person = {"keypoints": points, "bbox": boxes[n].tolist(), "area": area[n]}
        pose = {"keypoints": np.column_stack([said[n], visible[n]]).ravel(), "score": rng.random()}
        reference._gts[n, 1], reference._dts[n, 1] = [person], [pose]
    found = oks(said, truth, visible, area, sigmas, boxes)
    assert found.tolist() == [reference.computeOks(n, 1)[0, 0] for n in range(60)]


def test_doubles_go_and_the_best_stays():
    _, truth, _, area = poses(3, seed=1)
    points = np.concatenate([truth, truth + 0.1, truth[:1] + 300])
    scores = np.array([0.5, 0.9, 0.4, 0.6, 0.8, 0.7, 0.1])
    areas = np.concatenate([area, area, area[:1]])
    # the better of each pair, best first, and the one that stands alone
    assert nms(points, scores, areas, SIGMAS).tolist() == [1, 5, 3, 6]
    assert sorted(nms(points, scores, areas, SIGMAS, threshold=1.0)) == list(range(7))


def test_what_was_removed_removes_nothing():
    """b is near a and c near b; b goes for a, and c, far enough from a, stays."""
    steps = np.arange(3)[:, None, None] * np.array([[4.0, 0.0]]) + np.zeros((3, 3, 2))
    near = oks(steps[1:2], steps[:1], np.ones((1, 3)), [4e4], SIGMAS)[0]
    far = oks(steps[2:], steps[:1], np.ones((1, 3)), [4e4], SIGMAS)[0]
    stay = nms(steps, [0.9, 0.8, 0.7], [4e4] * 3, SIGMAS, threshold=(near + far) / 2)
    assert stay.tolist() == [0, 2]


def test_equal_scores_keep_their_order_and_nothing_is_nothing():
    points = np.arange(3)[:, None, None] * np.full((3, 2), 500.0)
    assert nms(points, np.ones(3), np.full(3, 100.0), SIGMAS).tolist() == [0, 1, 2]
    assert nms(np.zeros((0, 3, 2)), [], [], SIGMAS).tolist() == []
    with pytest.raises(PoseError, match="nan"):
        nms(points, [1, np.nan, 0], np.ones(3), SIGMAS)
