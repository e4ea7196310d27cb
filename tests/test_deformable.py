"""Deformable sampling against loops, and EMSDA against MSDA."""

import keras
import numpy as np
import pytest

from keras_pose.layers import HeadProjection, Sampling, table
from keras_pose.layers.deformable import ring

SIZES = ((6, 4), (3, 2))
HEADS, POINTS, CHANNELS, QUERIES, BATCH = 2, 3, 8, 5, 2
SAMPLES = HEADS * len(SIZES) * POINTS


def _inputs(seed=0, spread=2.0):
    """Maps, offsets, logits and references; `spread` in pixels: some samples fall outside."""
    draw = np.random.default_rng(seed)
    maps = [draw.normal(size=(BATCH, *size, CHANNELS)).astype(np.float32) for size in SIZES]
    offsets = draw.normal(0, spread, (BATCH, QUERIES, 2 * SAMPLES)).astype(np.float32)
    logits = draw.normal(size=(BATCH, QUERIES, SAMPLES)).astype(np.float32)
    reference = draw.uniform(-0.2, 1.2, (BATCH, QUERIES, 2)).astype(np.float32)
    return maps, offsets, logits, reference


def _table(maps, parts=1):
    inputs = [keras.Input(m.shape[1:]) for m in maps]
    return keras.Model(inputs, table(inputs, parts, name="table"))(maps)


def _sample(maps, offsets, logits, reference, parts=1):
    layer = Sampling(SIZES, HEADS, POINTS, parts)
    return np.array(layer([offsets, logits, reference, _table(maps, parts)]))


def _pixel(image, x, y):
    height, width, channels = image.shape
    inside = 0 <= x < width and 0 <= y < height
    return image[y, x] if inside else np.zeros(channels, image.dtype)


def _bilinear(image, x, y):
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for i, j in ((x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)):
        total = total + (1 - abs(x - i)) * (1 - abs(y - j)) * _pixel(image, i, j)
    return total


def _weights(logits):
    """(B, Q, H, L, S), summing to 1 over each head's samples."""
    by_head = logits.reshape(BATCH, QUERIES, HEADS, -1)
    shares = np.exp(by_head - by_head.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return shares.reshape(BATCH, QUERIES, HEADS, len(SIZES), POINTS)


def _loop(maps, offsets, logits, reference):
    """Equation 1's bracket, one sample at a time: (B, Q, H, C)."""
    weights = _weights(logits)
    offsets = offsets.reshape(BATCH, QUERIES, 2, HEADS, len(SIZES), POINTS)
    out = np.zeros((BATCH, QUERIES, HEADS, maps[0].shape[-1]))
    for b, q, h, level, s in np.ndindex(BATCH, QUERIES, HEADS, len(SIZES), POINTS):
        height, width = SIZES[level]
        u, v = reference[b, q]
        x = u * width - 0.5 + offsets[b, q, 0, h, level, s]
        y = v * height - 0.5 + offsets[b, q, 1, h, level, s]
        out[b, q, h] += weights[b, q, h, level, s] * _bilinear(maps[level][b], x, y)
    return out


@pytest.mark.parametrize("spread", [0.0, 2.0, 30.0])
def test_sampling_equals_a_loop(spread):
    inputs = _inputs(spread=spread)
    np.testing.assert_allclose(_sample(*inputs), _loop(*inputs), atol=1e-5)


def test_each_head_may_have_its_own_channels():
    maps, *rest = _inputs()
    each = CHANNELS // HEADS
    found = _sample(maps, *rest, parts=HEADS)
    assert found.shape == (BATCH, QUERIES, HEADS, each)
    for h in range(HEADS):
        own = [m[..., h * each : (h + 1) * each] for m in maps]
        np.testing.assert_allclose(found[:, :, h], _loop(own, *rest)[:, :, h], atol=1e-5)


def _projection():
    layer = HeadProjection()
    layer.build((None, QUERIES, HEADS, CHANNELS))
    draw = np.random.default_rng(3)
    layer.matrix.assign(draw.normal(size=layer.matrix.shape))
    layer.bias.assign(draw.normal(size=layer.bias.shape))
    return layer


def test_emsda_equals_msda_with_the_same_weights():
    maps, *rest = _inputs()
    projection = _projection()
    found = np.array(projection(_sample(maps, *rest)))
    # MSDA: every cell of every map is projected, then each head samples its own channels
    matrix = np.concatenate(list(projection.matrix.numpy()), axis=-1)
    projected = [m @ matrix for m in maps]
    msda = _sample(projected, *rest, parts=HEADS).reshape(BATCH, QUERIES, CHANNELS)
    np.testing.assert_allclose(found, msda + projection.bias.numpy(), atol=1e-5)


def test_emsda_equals_a_loop():
    inputs = _inputs()
    projection = _projection()
    sampled = _loop(*inputs)
    matrix, bias = projection.matrix.numpy(), projection.bias.numpy()
    heads = [sampled[:, :, h] @ matrix[h] for h in range(HEADS)]
    expected = np.concatenate(heads, axis=-1) + bias
    np.testing.assert_allclose(projection(_sample(*inputs)), expected, atol=1e-5)


@pytest.mark.parametrize("far", [5.0, 1e4, 1e20, np.inf, -5.0, -1e4, -1e20, -np.inf])
def test_far_outside_there_is_nothing(far):
    maps, offsets, logits, reference = _inputs()
    np.testing.assert_array_equal(_sample(maps, offsets, logits, 0 * reference + far), 0.0)


def test_what_is_not_a_number_ends_in_the_table_all_the_same():
    maps, offsets, logits, reference = _inputs()
    assert _sample(maps, offsets, logits, reference * np.nan).shape == (2, QUERIES, 2, CHANNELS)


def test_centres_of_cells_are_the_cells():
    maps, _, logits, _ = _inputs()
    height, width = SIZES[0]
    single = Sampling(SIZES[:1], 1, 1)
    reference = np.float32([[(2 + 0.5) / width, (3 + 0.5) / height]] * QUERIES)
    reference = np.tile(reference, (BATCH, 1, 1))
    offsets = np.zeros((BATCH, QUERIES, 2), np.float32)
    found = single([offsets, logits[..., :1], reference, _table(maps[:1])])
    expected = np.tile(maps[0][:, 3, 2][:, None, None], (1, QUERIES, 1, 1))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_is_its_single_pictures():
    maps, *rest = _inputs()
    layer = Sampling(SIZES, HEADS, POINTS)
    whole = np.array(layer([*rest, _table(maps)]))
    for b in range(BATCH):
        values = _table([m[b : b + 1] for m in maps])
        single = layer([*(x[b : b + 1] for x in rest), values])
        np.testing.assert_allclose(single[0], whole[b], atol=1e-6)


def test_offsets_start_on_a_ring():
    starts = ring(2, 8, 4).reshape(2, 8, 2, 4)
    np.testing.assert_allclose(starts[:, 0, 0], [[1, 2, 3, 4], [0, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(starts[:, 1, 0, 0], [1, 1], atol=1e-6)  # an eighth of a turn
    np.testing.assert_allclose(np.abs(starts).max(axis=0), np.tile([1, 2, 3, 4], (8, 2, 1)))
    np.testing.assert_array_equal(starts[:, :, 0], starts[:, :, 1])  # the same on all levels


def test_projection_counts_its_work():
    layer = _projection()
    shape = keras.KerasTensor((None, QUERIES, CHANNELS))
    assert layer.multiply_adds(None, [shape]) == QUERIES * CHANNELS * CHANNELS
