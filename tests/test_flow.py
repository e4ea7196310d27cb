"""The flow: a map of the plane that can be undone, and a density that is one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_pose.layers.flow import RealNVP

POINTS = np.random.default_rng(0).normal(0, 2, (50, 2)).astype(np.float32)


def _flow(dtype="float32", strength=0.6):
    """A flow that has learned something: far from the identity."""
    keras.utils.set_random_seed(0)
    flow = RealNVP(dtype=dtype)
    flow.build()
    draw = np.random.default_rng(1)
    for weight in flow.weights:
        fan_in = max(weight.shape[-2], 2)
        weight.assign(draw.normal(0, strength / np.sqrt(fan_in), weight.shape))
    return flow


def test_size_and_start():
    flow = RealNVP()
    flow.build()
    assert flow.count_params() == 53_784
    kernels = [w for w in flow.weights if "kernel" in w.path]
    for kernel in kernels:  # Xavier's with a gain of 0.01
        limit = 0.01 * np.sqrt(6 / sum(kernel.shape[-2:]))
        spread = np.abs(kernel.numpy())
        assert 0.95 * limit < spread.max() <= limit
        assert spread.mean() == pytest.approx(limit / 2, rel=0.1)
    z, area = flow(POINTS)
    np.testing.assert_allclose(z, POINTS, atol=1e-4)
    np.testing.assert_allclose(area, 0, atol=1e-4)
    normal = -0.5 * (POINTS**2).sum(axis=1) - np.log(2 * np.pi)
    np.testing.assert_allclose(flow.log_prob(POINTS), normal, atol=1e-3)


def _net(flow, coupling, which, x):
    for j in range(3):
        x = x @ np.asarray(flow.kernels[j])[coupling, which]
        x = x + np.asarray(flow.biases[j])[coupling, which, 0]
        x = np.where(x > 0, x, 0.01 * x) if j < 2 else x
    return np.tanh(x) if which == 0 else x


def test_couplings_written_out():
    """The first moves x by what its nets say of y, the second y by x, and so on."""
    flow, area = _flow("float64", strength=1.5), 0.0
    points = POINTS.astype(np.float64)
    expected = points.copy()
    for i in range(6):
        moved = i % 2
        other = expected.copy()
        other[:, moved] = 0
        scale, shift = (_net(flow, i, which, other)[:, moved] for which in (0, 1))
        expected[:, moved] = (expected[:, moved] - shift) * np.exp(-scale)
        area -= scale
    assert (np.abs(expected - points).max(axis=0) > 0.5).all()
    found, log_area = flow(points)  # TensorFlow keeps the slope in float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_area, area, rtol=1e-5, atol=1e-6)
    assert np.abs(area).max() <= 6, "a coupling stretches by a factor of e at most"


def test_every_weight_takes_part():
    flow = _flow()
    with tf.GradientTape() as tape:
        loss = -ops.mean(flow.log_prob(POINTS))
    for weight, gradient in zip(
        flow.weights, tape.gradient(loss, flow.trainable_variables), strict=True
    ):
        values = gradient.numpy()
        assert np.isfinite(values).all()
        # of both nets of every coupling
        assert np.any(values, axis=(-2, -1)).all(), weight.path
    assert len(flow.weights) == 6


def test_it_can_be_undone():
    flow = _flow()
    z, _ = flow(POINTS)
    assert np.abs(z - POINTS).max() > 0.5
    np.testing.assert_allclose(flow.inverse(z), POINTS, atol=1e-5)
    np.testing.assert_allclose(flow(flow.inverse(POINTS))[0], POINTS, atol=1e-5)


def test_the_log_determinant_is_that_of_the_numeric_jacobian():
    flow, step = _flow("float64"), 1e-5
    points = POINTS.astype(np.float64)
    moved = [
        (np.asarray(flow(points + d)[0]) - np.asarray(flow(points - d)[0])) / (2 * step)
        for d in step * np.eye(2)
    ]
    expected = np.log(np.abs(np.linalg.det(np.stack(moved, axis=-1))))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(flow(points)[1], expected, atol=1e-6)


def test_the_density_is_one_in_all():
    flow, side = _flow(), np.linspace(-12, 12, 481, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    density = np.exp(np.asarray(flow.log_prob(grid)))
    assert density.sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_the_density_is_that_of_what_it_generates():
    flow = _flow()
    normal = np.random.default_rng(2).normal(size=(4000, 2)).astype(np.float32)
    made = np.asarray(flow.inverse(normal))
    z, area = flow(made)
    np.testing.assert_allclose(z, normal, atol=1e-4)
    expected = area - 0.5 * np.sum(normal**2, axis=1) - np.log(2 * np.pi)
    np.testing.assert_allclose(flow.log_prob(made), expected, atol=1e-3)


def test_it_learns_a_density():
    """Two clusters are likelier under a flow that has seen them than under the normal one."""
    draw = np.random.default_rng(3)
    seen = draw.normal(0, 0.3, (256, 2)) + np.where(draw.random((256, 1)) < 0.5, -1.5, 1.5)
    seen = seen.astype(np.float32)
    flow = _flow(strength=0.3)
    optimizer = keras.optimizers.Adam(5e-3)
    first = float(ops.mean(flow.log_prob(seen)))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -ops.mean(flow.log_prob(seen))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply_gradients(zip(gradients, flow.trainable_variables, strict=True))

    optimizer.build(flow.trainable_variables)
    for _ in range(120):
        step()
    assert float(ops.mean(flow.log_prob(seen))) > max(first, -3.0) + 0.5


def test_config():
    flow = RealNVP(couplings=2, width=8)
    twin = RealNVP.from_config(flow.get_config())
    twin.build()
    assert twin.count_params() == 4 * (2 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2)
