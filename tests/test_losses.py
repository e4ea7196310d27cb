"""Equation 3 and the cross-entropy, against sums written out."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import losses
from keras_pose.codecs import GaussianHeatmap

RNG = np.random.default_rng(0)
TARGET = RNG.random((3, 4, 5, 6)).astype(np.float32)
PREDICTED = RNG.random((3, 4, 5, 6)).astype(np.float32)
WEIGHT = np.array([[1] * 6, [1, 0, 0, 1, 0, 0], [0] * 6], np.float32)


def _by_hand(cost):
    """Mean over persons of the mean over their annotated key points of cost(i, k)."""
    total = 0.0
    for i in range(3):
        annotated = [k for k in range(6) if WEIGHT[i, k]]
        total += sum(cost(i, k) for k in annotated) / len(annotated) if annotated else 0.0
    return total / 3


def test_partial_mse_is_equation_three():
    expected = _by_hand(lambda i, k: ((TARGET[i, ..., k] - PREDICTED[i, ..., k]) ** 2).sum() / 20)
    assert float(losses.partial_mse(TARGET, PREDICTED, WEIGHT)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy():
    target = TARGET / TARGET.sum(axis=(1, 2), keepdims=True)

    def cost(i, k):
        logits = PREDICTED[i, ..., k]
        return -(target[i, ..., k] * np.log(np.exp(logits) / np.exp(logits).sum())).sum()

    result = float(losses.softmax_cross_entropy(target, PREDICTED, WEIGHT))
    assert result == pytest.approx(_by_hand(cost), rel=1e-5)


def test_cross_entropy_is_least_at_the_targets_logarithm():
    target = TARGET / TARGET.sum(axis=(1, 2), keepdims=True)
    best = float(losses.softmax_cross_entropy(target, np.log(target), WEIGHT))
    shifted = float(losses.softmax_cross_entropy(target, np.log(target) + 7, WEIGHT))
    other = float(losses.softmax_cross_entropy(target, np.log(target) + PREDICTED, WEIGHT))
    assert shifted == pytest.approx(best, rel=1e-4) and other > best


@pytest.mark.parametrize("loss", losses.BY_CODEC.values())
def test_unannotated_key_points_have_no_say(loss):
    changed = PREDICTED + 100 * (1 - WEIGHT)[:, None, None, :]
    assert float(loss(TARGET, changed, WEIGHT)) == pytest.approx(
        float(loss(TARGET, PREDICTED, WEIGHT)), rel=1e-4
    )


@pytest.mark.parametrize("loss", losses.BY_CODEC.values())
def test_a_batch_of_nobody_costs_nothing(loss):
    assert float(loss(TARGET, PREDICTED, ops.zeros_like(WEIGHT))) == 0.0


def test_losses_run_on_the_backend():
    result = losses.partial_mse(*map(ops.convert_to_tensor, (TARGET, PREDICTED, WEIGHT)))
    assert keras.ops.is_tensor(result) and tuple(result.shape) == ()


def test_maps_of_a_crop_without_a_person_are_asked_to_be_empty():
    """Whatever its key points say; and each map is compared at the codec's size."""
    codec = GaussianHeatmap((16, 16), (8, 8), 2.0)
    maps = {n: RNG.random((2, s, s, 3)).astype(np.float32) for n, s in (("early", 4), ("last", 8))}
    y = {
        "keypoints": RNG.random((2, 3, 2)).astype(np.float32),
        "visible": np.array([[1, 0, 1], [1, 1, 0]], np.float32),
        "person": np.array([1, 0], np.float32),
    }
    target = codec.encode(y["keypoints"], y["visible"])
    target[1] = 0
    weight = np.stack([y["visible"][0], np.ones(3, np.float32)])
    expected = sum(
        float(losses.partial_mse(target, ops.image.resize(m, (8, 8)), weight))
        for m in maps.values()
    )
    assert float(losses.Maps(codec)(maps, y)) == pytest.approx(expected, rel=1e-5)
    y["keypoints"][1] = 0.5
    assert float(losses.Maps(codec)(maps, y)) == pytest.approx(expected, rel=1e-5)
