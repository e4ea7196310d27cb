"""Residual log-likelihood estimation: its closed form, what it teaches and what it survives."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from model_checks import ModelChecks
from tiny import CHAIN

from keras_pose import losses
from keras_pose.errors import PoseError

B, K = 2, 3
RNG = np.random.default_rng(0)
NAMES = ("coarse", "layer1", "coordinates")


def _y(**changes):
    y = {
        "keypoints": np.random.default_rng(5).uniform(0.1, 0.9, (B, K, 2)),
        "visible": np.ones((B, K)),
        "person": np.ones(B),
    }
    return {k: np.asarray(v, np.float32) for k, v in {**y, **changes}.items()}


def _predicted(groups=1, seed=1):
    draw = np.random.default_rng(seed)
    place = draw.uniform(-0.2, 1.2, (B, groups * K, 2))
    scale = draw.uniform(0.05, 0.9, (B, groups * K, 2))
    return np.concatenate([place, scale], axis=-1).astype(np.float32)


@functools.cache
def _criterion(residual="laplace", names=NAMES):
    keras.utils.set_random_seed(0)
    criterion = losses.RLE(K, residual)
    criterion.build({name: (None, K, 4) for name in names})
    return criterion


@functools.cache
def _trained():
    """A criterion whose flows are neither the identity nor equal."""
    keras.utils.set_random_seed(0)
    criterion = losses.RLE(K)
    criterion.build({name: (None, K, 4) for name in NAMES})
    draw = np.random.default_rng(2)
    for weight in criterion.weights:
        weight.assign(draw.normal(0, 0.5 / np.sqrt(max(weight.shape[-2], 2)), weight.shape))
    return criterion


def _cost(predictions, y=None, criterion=None):
    return float((criterion or _criterion())(predictions, y or _y()))


def _gradients(predictions, y, criterion=None):
    """Of the loss, with respect to each prediction."""
    criterion = criterion or _criterion()
    predictions = {k: tf.Variable(v) for k, v in predictions.items()}
    with tf.GradientTape() as tape:
        loss = criterion(predictions, y)
    found = tape.gradient(loss, predictions)
    return {k: v.numpy() for k, v in found.items()}


def test_at_the_start_it_is_a_normal_times_a_laplace_density():
    predicted, y = _predicted(), _y()
    total = 0.0
    for i in range(B):
        for k in range(K):
            x, y_, sx, sy = (float(v) for v in predicted[i, k])
            ex = (x - y["keypoints"][i, k, 0]) / sx
            ey = (y_ - y["keypoints"][i, k, 1]) / sy
            normal = np.exp(-0.5 * (ex**2 + ey**2)) / (2 * np.pi) / (sx * sy)
            across, down = np.exp(-abs(ex)) / (2 * sx), np.exp(-abs(ey)) / (2 * sy)
            # the flow's density is counted once for either axis, its scale too
            total -= np.log(normal**2 * across * down) + np.log(sx * sy)
    assert _cost({"coordinates": predicted}) == pytest.approx(total / (B * K), rel=5e-3)


def test_the_joint_density_is_counted_for_both_axes():
    """2 (log sx + log sy) + log 4 + |error| - 2 log phi: written once more, from the docstring."""
    predicted, y, criterion = _predicted(), _y(), _trained()
    scale = predicted[..., 2:] + 1e-4
    error = (predicted[..., :2] - y["keypoints"]) / scale
    density = np.asarray(criterion.flows["decoder"].log_prob(error.reshape(-1, 2))).reshape(B, K)
    expected = (2 * np.log(scale) + np.log(2) + np.abs(error)).sum(axis=-1) - 2 * density
    found = _cost({"coordinates": predicted}, y, criterion)
    assert found == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("residual", losses.RESIDUALS)
def test_nearer_is_better(residual):
    y, scale = _y(), np.full((B, K, 2), 0.2, np.float32)
    costs = [
        _cost({"coordinates": np.concatenate([y["keypoints"] + d, scale], -1)}, y,
              _criterion(residual))
        for d in (0.0, 0.02, 0.1, 0.3, 2.0)
    ]  # fmt: skip
    assert (np.diff(costs) > 0).all()


def test_the_best_scale_of_the_laplace_part_is_the_mean_absolute_error():
    apart = RNG.normal(0, 0.1, 1000)
    scales = np.linspace(0.02, 0.2, 400)
    costs = [np.log(s) + np.asarray(losses.laplace(apart / s)).mean() for s in scales]
    assert scales[np.argmin(costs)] == pytest.approx(np.abs(apart).mean(), abs=1e-3)
    # and it is equation 7
    np.testing.assert_allclose(
        np.exp(-(np.log(0.3) + losses.laplace(apart / 0.3))),
        np.exp(-np.abs(apart) / 0.3) / 0.6,
        rtol=1e-5,
    )


def test_the_released_constants_differ_as_documented():
    error = RNG.normal(0, 3, 20)
    apart = np.asarray(losses.released(error)) - np.asarray(losses.laplace(error))
    expected = 0.5 * np.log(np.pi / 2) - (1 - np.sqrt(0.5)) * np.abs(error)
    np.testing.assert_allclose(apart, expected, atol=1e-6)

    predicted, y = _predicted(), _y()
    error = (predicted[..., :2] - y["keypoints"]) / (predicted[..., 2:] + 1e-4)
    apart = 0.5 * np.log(np.pi / 2) - (1 - np.sqrt(0.5)) * np.abs(error)
    one, other = (_cost({"layer1": predicted}, y, _criterion(r)) for r in ("laplace", "released"))
    assert other - one == pytest.approx(apart.sum(axis=-1).mean(), rel=1e-3)


def test_points_that_do_not_count_change_nothing():
    visible = np.ones((B, K))
    visible[0, 1] = visible[1, 2] = 0
    y, predicted = _y(visible=visible), _predicted()
    elsewhere = np.where(visible[..., None] > 0, predicted, _predicted(seed=9))
    assert _cost({"coarse": predicted}, y) == pytest.approx(_cost({"coarse": elsewhere}, y))
    gradient = _gradients({"coarse": predicted}, y)["coarse"]
    assert not gradient[visible == 0].any() and gradient[visible > 0].all()
    # they are in the mean all the same, so a person with few of them does not count for more
    full = [_cost({"coarse": predicted}, _y(visible=np.eye(K)[[k] * B])) for k in range(K)]
    assert _cost({"coarse": predicted}) == pytest.approx(sum(full), rel=1e-5)


def test_coordinates_of_what_is_not_visible_may_be_anything():
    visible = np.ones((B, K))
    visible[0, 1] = 0
    clean = _y(visible=visible)
    dirty = {**clean, "keypoints": clean["keypoints"].copy()}
    dirty["keypoints"][0, 1] = np.nan, np.inf
    predictions = {name: _predicted() for name in NAMES}
    assert _cost(predictions, dirty) == _cost(predictions, clean)
    for gradient in _gradients(predictions, dirty).values():
        assert np.isfinite(gradient).all()


def test_a_crop_without_a_person_teaches_scales_alone():
    predicted, y = _predicted(), _y(person=[1, 0])
    gradient = _gradients({"coordinates": predicted}, y)["coordinates"]
    assert gradient[0].all()
    assert not gradient[1, :, :2].any()
    # d -log(scale) / d scale: down the gradient, scales grow
    expected = -1 / (predicted[1, :, 2:] + 1e-4) / (B * K)
    np.testing.assert_allclose(gradient[1, :, 2:], expected, rtol=1e-4)
    nobody = _y(person=[0, 0], visible=np.zeros((B, K)), keypoints=np.full((B, K, 2), np.nan))
    assert _cost({"layer1": predicted}, nobody) == pytest.approx(
        -np.log(predicted[..., 2:] + 1e-4).sum(axis=-1).mean(), rel=1e-5
    )
    sure = np.concatenate([predicted[..., :2], np.ones((B, K, 2), np.float32)], -1)
    assert _cost({"layer1": sure}, nobody) == pytest.approx(0, abs=1e-3)


def test_groups_are_compared_with_the_truth_of_their_key_point():
    groups, y, criterion = 4, _y(visible=[[1, 1, 0], [0, 1, 1]], person=[1, 1]), _trained()
    predicted = _predicted(groups)
    apart = np.split(predicted, groups, axis=1)
    singles = [_cost({"coordinates": one}, y, criterion) for one in apart]
    together = _cost({"coordinates": predicted}, y, criterion)
    assert together == pytest.approx(np.mean(singles), rel=1e-5)
    perfect = np.concatenate([y["keypoints"], np.full((B, K, 2), 0.05, np.float32)], -1)
    assert _cost({"coordinates": np.tile(perfect, (1, groups, 1))}, y, criterion) == pytest.approx(
        _cost({"coordinates": perfect}, y, criterion), rel=1e-5
    )


def test_the_loss_is_the_sum_over_predictions():
    criterion = _trained()
    predictions = {name: _predicted(seed=i) for i, name in enumerate(NAMES)}
    singles = [_cost({n: p}, None, criterion) for n, p in predictions.items()]
    assert _cost(predictions, None, criterion) == pytest.approx(sum(singles), rel=1e-5)


def test_the_coarse_prediction_has_a_flow_of_its_own():
    criterion, predicted = _trained(), _predicted()
    assert set(criterion.flows) == {"coarse", "decoder"}
    assert criterion.count_params() == 2 * 53_784
    costs = {n: _cost({n: predicted}, None, criterion) for n in NAMES}
    assert costs["layer1"] == costs["coordinates"]
    assert abs(costs["coarse"] - costs["layer1"]) > 0.01
    for name, other in (("coarse", "decoder"), ("layer1", "coarse")):
        with tf.GradientTape() as tape:
            loss = criterion({name: predicted}, _y())
        found = tape.gradient(loss, criterion.trainable_variables)
        for weight, gradient in zip(criterion.trainable_variables, found, strict=True):
            assert (gradient is None) == (f"{other}_flow" in weight.path)
    # where there is no coarse branch, no flow waits for it
    alone = _criterion(names=("layer1", "coordinates"))
    assert set(alone.flows) == {"decoder"} and alone.count_params() == 53_784


@pytest.mark.parametrize("criterion", [_criterion, _trained], ids=["start", "trained"])
def test_both_flows_learn(criterion):
    criterion = criterion()
    with tf.GradientTape() as tape:
        loss = criterion({name: _predicted() for name in NAMES}, _y())
    for gradient in tape.gradient(loss, criterion.trainable_variables):
        assert np.isfinite(gradient).all() and np.any(gradient)


@pytest.mark.parametrize("residual", losses.RESIDUALS)
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-6, 0.5, 1.0])
@pytest.mark.parametrize("far", [0.0, 1e-30, 1.0, 1e4, 1e12])
def test_nothing_overflows(residual, scale, far):
    y = _y()
    predicted = np.empty((B, K, 4), np.float32)
    predicted[..., :2], predicted[..., 2:] = y["keypoints"] + far, scale
    for trained in (_criterion(residual), _trained()):
        assert np.isfinite(_cost({"coordinates": predicted}, y, trained))
        gradient = _gradients({"coordinates": predicted}, y, trained)["coordinates"]
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("logit", [-8.0, -12.0, -16.0])
def test_an_overconfident_scale_comes_back(logit):
    """Through the sigmoid, whose own gradient has nearly vanished there."""
    y, criterion = _y(), _criterion()
    place = tf.constant(y["keypoints"] + 0.3)
    logits = tf.Variable(np.full((B, K, 2), logit, np.float32))
    with tf.GradientTape() as tape:
        predicted = ops.concatenate([place, ops.sigmoid(logits)], axis=-1)
        loss = criterion({"coordinates": predicted}, y)
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient < -1e-3).all() and np.isfinite(gradient).all()


def test_a_far_guess_is_pulled_home():
    """Beyond what the flow sees, too."""
    y = _y()
    predicted = np.full((B, K, 4), 0.01, np.float32)
    predicted[..., :2] = y["keypoints"] + np.float32([50.0, -50.0])
    gradient = _gradients({"coordinates": predicted}, y)["coordinates"]
    assert (gradient[..., 0] > 0).all() and (gradient[..., 1] < 0).all()
    assert (gradient[..., 2:] < 0).all(), "and its scale grows"
    # by the residual alone: at 5,000 scales, the flow's square would pull 10,000 times as much
    np.testing.assert_allclose(np.abs(gradient[..., :2]), 1 / 0.0101 / (B * K), rtol=1e-4)


def test_a_broken_prediction_is_seen():
    predicted = _predicted()
    predicted[0, 0, 0] = np.nan
    assert np.isnan(_cost({"coordinates": predicted}))


def test_half_precision_is_compared_in_full():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        criterion = losses.RLE(K)
        criterion.build({name: (None, K, 4) for name in NAMES})
    finally:
        keras.config.set_dtype_policy("float32")
    kinds = {layer.compute_dtype for layer in criterion._flatten_layers()}
    assert kinds == {"float32"} == {w.dtype for w in criterion.weights}
    half = {"coarse": ops.cast(_predicted(), "float16")}
    assert criterion(half, _y()).dtype == "float32"


def test_an_unknown_residual_is_refused():
    with pytest.raises(PoseError, match="laplace"):
        losses.RLE(K, residual="gaussian")


class TestRegression(ModelChecks):
    """A network that regresses, with groups of its own in training, does what all must do."""

    home, builder = "tiny", "TinyPoints"
    arguments = {"skeleton": CHAIN.to_dict(), "input_size": [16, 16], "width": 8}  # noqa: RUF012
    outputs = {"coarse": (3, 4), "layer1": (3, 4), "coordinates": (3, 4)}  # noqa: RUF012
