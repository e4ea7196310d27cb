"""Gradient descent with momentum: the rule, what decays, and who moves faster."""

import keras
import numpy as np
import pytest
from test_optimizers import FAST, SLOW, trained, variables

from keras_pose.errors import PoseError
from keras_pose.models import CPM
from keras_pose.training import optimizers
from keras_pose.training.recipe import Optimizer

PLAIN = {"name": "sgd", "warmup": 0, "schedule": "constant", "clip": 0.0}
RATES = ((FAST, 5.0), ("bias", 2.0))


def test_it_is_caffes_rule():
    """velocity = momentum velocity - rate (gradient + decay weight), and the weight adds it."""
    given = Optimizer(**PLAIN, rate=0.05, momentum=0.8, decay=0.1, rates=RATES)
    optimizer = optimizers.build(given, 10)
    moved = variables(optimizer, (SLOW, FAST))
    expected = [np.asarray(v, np.float64) for v in moved]
    velocity = [np.zeros_like(v) for v in expected]
    draw = np.random.default_rng(0)
    for _ in range(4):
        gradients = [draw.normal(size=v.shape).astype(np.float32) for v in moved]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], moved)
        for i, gradient in enumerate(gradients):
            factor = (5 if FAST in moved[i].path else 1) * (2 if moved[i].name == "bias" else 1)
            decay = 0.0 if moved[i].name == "bias" else 0.1
            velocity[i] = 0.8 * velocity[i] - 0.05 * factor * (gradient + decay * expected[i])
            expected[i] = expected[i] + velocity[i]
    for variable, values in zip(moved, expected, strict=True):
        np.testing.assert_allclose(np.asarray(variable), values, atol=1e-5)


def test_without_decay_and_rates_it_is_keras_own():
    given = Optimizer(**{**PLAIN, "clip": 0.7}, rate=0.03, decay=0.0)
    ours = optimizers.build(given, 9)
    theirs = keras.optimizers.SGD(0.03, momentum=0.9, global_clipnorm=0.7)
    pairs = [variables(o, ("one", "two")) for o in (ours, theirs)]
    for mine, other in zip(*pairs, strict=True):
        other.assign(mine)
    draw = np.random.default_rng(1)
    for _ in range(3):
        gradients = [draw.normal(size=v.shape).astype(np.float32) for v in pairs[0]]
        for optimizer, moved in zip((ours, theirs), pairs, strict=True):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], moved)
    for mine, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(other), rtol=1e-6)


@pytest.mark.parametrize("where", [{"precision": "mixed_float16"}, {"backend": "jax"}], ids=str)
def test_rates_and_decay_hold_wherever_it_trains(where):
    after = trained(**where, name="sgd", clip=0.0, decay=0.25, rates=RATES)
    # every gradient is 1, every weight 2, the rate 0.1
    assert after[f"{FAST}/kernel"] == pytest.approx(2 - 0.1 * 5 * (1 + 0.25 * 2), abs=1e-5)
    assert after[f"{SLOW}/kernel"] == pytest.approx(2 - 0.1 * (1 + 0.25 * 2), abs=1e-5)
    assert after[f"{FAST}/bias"] == pytest.approx(2 - 0.1 * 5 * 2, abs=1e-5)
    assert after[f"{SLOW}/bias"] == pytest.approx(2 - 0.1 * 2, abs=1e-5)


def test_a_saved_optimizer_keeps_its_rates():
    optimizer = optimizers.build(Optimizer(**PLAIN, decay=0.2, rates=RATES), 10)
    again = optimizers.SGD.from_config(optimizer.get_config())
    assert (again.rates, again.decay, again.momentum) == (RATES, 0.2, 0.9)


def test_the_published_rates_reach_stage_one_and_biases_of_cpm():
    """CPM's recipe, as released: five times as fast in stage 1, biases twice as fast and without
    decay."""
    from keras_pose.training import recipe

    optimizer = optimizers.build(recipe.load("cpm_lsp").optimizer, 10)
    network = CPM(stages=3, input_size=(32, 32), channels=2, wide=2)
    weights = network.trainable_variables
    optimizer.build(weights)
    for i, weight in enumerate(weights):
        first = weight.path.startswith("stage1_")
        bias = weight.path.endswith("/bias")
        assert optimizer._factors[i] == (5 if first else 1) * (2 if bias else 1), weight.path
        assert (i in optimizer._decayed) == (not bias), weight.path


@pytest.mark.parametrize(
    "wrong", [("bias",), (("bias", 0.0),), (("", 2.0),), (("bias", "2"),), (("bias", 1, 2),)]
)
def test_rates_that_are_none_are_refused(wrong):
    with pytest.raises(PoseError, match="rates as pairs"):
        Optimizer(rates=wrong)
    with pytest.raises(PoseError, match="momentum"):
        Optimizer(momentum=1.5)
