"""The small layers of Poseur: encodings, attention, noise, direction, integral."""

import keras
import numpy as np
import pytest

from keras_pose.layers import (
    DirectionDense,
    GridEncoding,
    HeadAttention,
    NoisyReferences,
    SineEncoding,
    SoftArgmax,
)
from keras_pose.layers.encoding import grid


def _points(seed=0, count=5):
    return np.random.default_rng(seed).uniform(-0.5, 1.5, (2, count, 2)).astype(np.float32)


def test_sine_encoding_is_that_of_the_supplement():
    points, channels = _points(), 16
    found = np.array(SineEncoding(channels)(points))
    half = channels // 2
    for axis in (0, 1):
        position = 2 * np.pi * points[..., axis]
        for i in range(half // 2):
            angle = position / 10000 ** (2 * i / half)
            own = found[..., axis * half : (axis + 1) * half]
            np.testing.assert_allclose(own[..., 2 * i], np.sin(angle), atol=1e-5)
            np.testing.assert_allclose(own[..., 2 * i + 1], np.cos(angle), atol=1e-5)


def test_a_cell_and_a_point_at_its_centre_have_the_same_encoding():
    height, width = 4, 6
    cells = grid(height, width, 16)
    point = np.float32([[[(2 + 0.5) / width, (1 + 0.5) / height]]])
    np.testing.assert_allclose(cells[1, 2], SineEncoding(16)(point)[0, 0], atol=1e-5)


def test_grid_encoding_adds_the_place_and_one_learned_vector():
    maps = np.random.default_rng(0).normal(size=(2, 4, 6, 16)).astype(np.float32)
    layer = GridEncoding()
    added = np.array(layer(maps)) - maps
    np.testing.assert_allclose(added[0], added[1], atol=1e-5)
    level = added[0] - grid(4, 6, 16)
    np.testing.assert_allclose(level, np.broadcast_to(layer.level, level.shape), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_attention_is_keras_own_within_each_group(groups):
    count, channels, heads = 4, 8, 2
    draw = np.random.default_rng(0)
    x, position = draw.normal(size=(2, 3, groups * count, channels)).astype(np.float32)
    reference = keras.layers.MultiHeadAttention(heads, channels // heads)
    reference.build((2, count, channels), (2, count, channels), (2, count, channels))
    weights = [w + 0.1 * draw.normal(size=w.shape) for w in reference.get_weights()]
    reference.set_weights(weights)
    placed = x + position
    query, key, value = (
        inputs @ weights[2 * i].reshape(channels, channels) + weights[2 * i + 1].reshape(-1)
        for i, inputs in enumerate((placed, placed, x))
    )
    found = np.array(HeadAttention(heads, count)([query, key, value]))
    found = found @ weights[6].reshape(channels, channels) + weights[7]
    for g in range(groups):
        own = slice(g * count, (g + 1) * count)
        expected = reference(placed[:, own], x[:, own], placed[:, own])
        np.testing.assert_allclose(found[:, own], expected, atol=1e-5)


def test_attention_drops_weights_in_training_alone():
    x = np.random.default_rng(0).normal(size=(1, 4, 8)).astype(np.float32)
    layer = HeadAttention(2, 4, dropout=0.5)
    still = np.array(layer([x, x, x]))
    np.testing.assert_array_equal(still, layer([x, x, x], training=False))
    assert np.abs(np.array(layer([x, x, x], training=True)) - still).max() > 0.01


def test_noise_moves_few_points_and_the_same_ones_in_the_whole_batch():
    groups, count, noisy = 3, 17, 4
    points = np.random.default_rng(0).uniform(0, 1, (400, count, 2)).astype(np.float32)
    layer = NoisyReferences(groups, noisy, seed=1)
    found = np.array(layer(points, training=True))
    assert found.shape == (400, (1 + groups) * count, 2)
    np.testing.assert_array_equal(found[:, :count], points)
    added = found[:, count:] - np.tile(points, (1, groups, 1))
    moved = np.abs(added).max(axis=-1) > 0
    assert (moved == moved[0]).all()
    assert moved[0].sum() == groups * noisy
    noise = added[:, moved[0]]
    assert found.min() >= -0.7 and found.max() <= 1.7
    assert np.abs(noise).max() <= 1.0 + 1e-6
    # a normal deviation of sqrt(0.2) = 0.447, cut at 1 (2.2 deviations)
    assert noise.std() == pytest.approx(0.43, abs=0.02)
    assert abs(noise.mean()) < 0.02
    again = np.array(layer(points, training=True))
    other = np.abs(again[:, count:] - np.tile(points, (1, groups, 1))).max(axis=-1) > 0
    assert (other[0] != moved[0]).any()


def test_without_training_all_groups_are_the_points():
    points = _points()
    found = np.array(NoisyReferences(2)(points))
    np.testing.assert_array_equal(found, np.tile(points, (1, 3, 1)))


def test_no_more_points_are_moved_than_there_are():
    points = _points(count=2)
    found = np.array(NoisyReferences(1, noisy=9)(points, training=True))
    assert (np.abs(found[:, 2:] - points).max(axis=-1) > 0).all()


def test_direction_dense_does_not_see_the_length():
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    layer = DirectionDense(4, bias_initializer="ones")
    found = np.array(layer(x))
    np.testing.assert_allclose(layer(7.5 * x), found, atol=1e-5)
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    np.testing.assert_allclose(found, unit @ layer.kernel.numpy() + 1, atol=1e-5)
    assert np.isfinite(np.array(layer(0 * x))).all()


def test_soft_argmax_is_the_mean_of_the_cells_weighted_by_their_softmax():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    found = np.array(SoftArgmax()(logits))
    weights = np.exp(logits) / np.exp(logits).sum(axis=(1, 2), keepdims=True)
    x, y = (np.arange(5) + 0.5) / 5, (np.arange(3)[:, None] + 0.5) / 3
    expected = [(weights * at[..., None]).sum(axis=(1, 2)) for at in (x, y)]
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=1e-6)


def test_soft_argmax_of_equal_logits_is_the_middle_and_of_a_high_one_its_cell():
    logits = np.zeros((1, 4, 6, 2), np.float32)
    logits[0, 3, 0, 1] = 100.0
    found = np.array(SoftArgmax()(logits))[0]
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.5 / 6, 3.5 / 4]], atol=1e-6)
