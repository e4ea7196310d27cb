"""The flip test and its three ways to make one answer of two."""

import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.skeletons import LSP14
from keras_pose.training.flip import FUSIONS, flipping

EMPTY = np.zeros((1, 32, 32, 3), np.uint8)
MIRROR = list(LSP14.mirror)


def answers(*given):
    """A predictor that gives these (points, scores) in turn."""
    left = iter(given)
    return lambda patches: next(left)


def told(x, score, mirrored_x, mirrored_score, fusion, y=0.0):
    """(x, y) and score of every key point from two answers about x; the second is in the mirror."""
    first, second = (np.full((1, 14, 2), v, np.float32) for v in (x, mirrored_x))
    first[..., 1] = y
    scores = [np.full((1, 14), s, np.float32) for s in (score, mirrored_score)]
    second[..., 1] = y
    predict = answers((first, scores[0]), (second, scores[1]))
    points, fused = flipping(predict, LSP14, fusion)(EMPTY)
    assert np.ptp(points, axis=1).max() == 0 and np.isfinite(points).all()
    return points[0, 0], fused[0, 0]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_fair_predictor_gives_what_it_gave(fusion):
    """Left and right treated alike: the mirrored picture has the same answer, W - 1 - x."""
    patches = np.random.default_rng(0).integers(0, 255, (3, 32, 40, 3)).astype(np.uint8)

    def predict(seen):
        points = np.full((len(seen), 14, 2), 7, np.float32)
        # the column with the most red
        points[..., 0] = seen[..., 0].sum(axis=1).argmax(axis=1)[:, None]
        return points, np.full((len(seen), 14), 0.8, np.float32)

    points, scores = flipping(predict, LSP14, fusion)(patches)
    assert np.allclose(points, predict(patches)[0], atol=1e-4) and np.allclose(scores, 0.8)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_sides_are_exchanged_with_their_scores(fusion):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 30, (1, 14, 2)).astype(np.float32)
    scores = rng.uniform(0.1, 1, (1, 14)).astype(np.float32)
    turned = points[:, MIRROR].copy()
    turned[..., 0] = 31 - turned[..., 0]
    both = flipping(answers((points, scores), (turned, scores[:, MIRROR])), LSP14, fusion)(EMPTY)
    assert np.allclose(both[0], points, atol=1e-4) and np.allclose(both[1], scores)


def test_the_predictors_arrays_stay_as_they_were():
    kept = np.full((1, 14, 2), 4.0, np.float32)
    scores = np.ones((1, 14), np.float32)
    flipping(lambda _: (kept, scores), LSP14, "mean")(EMPTY)
    assert (kept == 4.0).all()


@pytest.mark.parametrize(
    "x, first, second, expected",
    [
        (15.0, 0.9, 0.1, 0.9 * 15 + 0.1 * 16),  # the mirrored answer is at 16: they agree
        (15.0, 0.0, 0.0, 15.5),
        (10.0, 0.9, 0.1, 10.0),  # the mirrored answer is at 21: the more confident counts
        (10.0, 0.1, 0.9, 21.0),
        (10.0, 0.0, 0.0, 10.0),
    ],
)
def test_agreeing_averages_what_agrees_and_else_takes_the_better(x, first, second, expected):
    (found, height), score = told(x, first, x, second, "agreeing", y=x)
    assert found == pytest.approx(expected) and height == x
    assert score == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("size", [(48, 32), (32, 48)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("apart, share", [(4.75, 0.75), (4.85, 1.0)])
def test_answers_agree_within_a_tenth_of_the_larger_side(size, axis, apart, share):
    first = np.full((1, 14, 2), 8.0, np.float32)
    second = first.copy()
    second[..., axis] += apart
    second[..., 0] = size[1] - 1 - second[..., 0]  # as the mirror image shows it
    scores = [np.full((1, 14), s, np.float32) for s in (0.75, 0.25)]
    predict = answers((first, scores[0]), (second, scores[1]))
    points, _ = flipping(predict, LSP14)(np.zeros((1, *size, 3), np.uint8))
    assert np.allclose(points[..., axis], 8 + (1 - share) * apart, atol=1e-4)
    assert np.allclose(points[..., 1 - axis], 8, atol=1e-4)


@pytest.mark.parametrize("first, second", [(0.9, 0.1), (0.0, 0.0), (0.2, 0.2)])
def test_the_mean_does_not_look_at_scores(first, second):
    (found, _), score = told(10.0, first, 1.0, second, "mean")
    assert found == pytest.approx((10 + 30) / 2) and score == pytest.approx((first + second) / 2)


@pytest.mark.parametrize(
    "first, second, share",
    [
        (0.6, 0.6, 0.5),  # the mean
        (0.7, 0.0, 1.0),  # only one knows
        (0.0, 0.7, 0.0),
        (0.0, 0.0, 0.5),
        (1e-30, 1e-30, 0.5),  # too small for a fifth power
        (0.8, 0.4, 32 / 33),
        (1e-12, 2e-12, 1 / 33),
    ],
)
def test_weighted_is_by_the_fifth_power_of_the_score(first, second, share):
    (found, _), score = told(10.0, first, 1.0, second, "weighted")
    assert found == pytest.approx(share * 10 + (1 - share) * 30, rel=1e-6)
    assert score == pytest.approx((first + second) / 2)


def test_points_beyond_the_border_are_mirrored_too():
    (found, _), _ = told(-5.0, 1.0, 36.0, 1.0, "weighted")
    assert found == -5.0


def test_an_unknown_fusion_is_refused():
    with pytest.raises(PoseError, match="weighted"):
        flipping(None, LSP14, "wieghted")
