"""Guided points: where they fall, what is read there, and how the decoded point becomes one."""

import keras
import numpy as np
import pytest
from codec_helpers import KINDS, maps_of, points
from keras import ops

from keras_pose.codecs import GaussianHeatmap, SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.layers import guided, table

# a disc of three sigmas is six cells in radius along x and y
CODEC = GaussianHeatmap((128, 96), (32, 24), 8.0)
LAST = np.array([23, 31])
BATCH, COUNT, KINDS_OF = 105, 2, (16, 16, 16)  # 10,080 draws


def drawn(truth=None, known=None, shuffle=True, seed=3, codec=CODEC, **options):
    """Points (B, N, K, 2), the truth (B, K, 2) they are drawn around, and the heat."""
    w, h = codec.map_size[::-1]
    draw = np.random.default_rng(0)
    if truth is None:
        truth = draw.uniform((-0.5, -0.5), (w - 0.5, h - 0.5), (BATCH, COUNT, 2))
        truth[:8] = np.array([(x, y) for x in (-0.5, w - 0.5) for y in (-0.5, h - 0.5)] * 2)[
            :, None
        ]
    truth = np.float32(truth)
    known = np.ones(truth.shape[:2], np.float32) if known is None else known
    heat = np.float32(draw.uniform(size=(len(truth), h, w, truth.shape[1])))
    layer = guided.GuidedPoints(
        codec, options.pop("count", 48), shuffle=shuffle, seed=seed, **options
    )
    return np.array(layer(truth, known, heat)), truth, heat


def distance(found, truth, codec=CODEC):
    """In sigmas, (B, N, K)."""
    return np.linalg.norm((found - truth[:, None]) / codec.spread, axis=-1)


def kinds(found):
    return np.split(found, np.cumsum(KINDS_OF)[:-1], axis=1)


def test_ten_thousand_draws_have_their_counts_and_radii_and_none_leaves_the_map():
    found, truth, heat = drawn(shuffle=False)
    assert found.shape == (BATCH, 48, COUNT, 2) and found[..., 0].size >= 10_000
    assert found.min() >= 0 and (found <= LAST).all()
    near, far, top = kinds(found)
    assert distance(near, truth).max() < 3.0 <= distance(far, truth).min()
    # what equation 6 calls them is a matter of distance alone
    squared = np.array(guided.squared_distance(CODEC, found, truth[:, None]))
    np.testing.assert_allclose(squared, distance(found, truth) ** 2, rtol=1e-4, atol=1e-5)
    positive = squared < guided.NEAR**2
    assert positive[:, :16].all() and not positive[:, 16:32].any()
    # cells of the 48 highest, none twice
    assert (top == np.round(top)).all()
    cells = (top[..., 1] * 24 + top[..., 0]).astype(int)
    by_map = heat.transpose(0, 3, 1, 2).reshape(BATCH, COUNT, -1)
    for b, k in np.ndindex(BATCH, COUNT):
        highest = np.argsort(-by_map[b, k])[:48]
        assert len(set(cells[b, :, k])) == 16 and set(cells[b, :, k]) <= set(highest)


def test_near_points_are_uniform_in_the_disc_and_far_ones_outside_it():
    truth = np.tile([[[11.0, 15.0], [0.0, 0.0]]], (200, 1, 1))
    (found, _, _), (left, high) = drawn(truth, shuffle=False), (11.0, 15.0)
    near, far, top = kinds(found)
    squared = distance(near, truth) ** 2 / 9
    # in the whole disc, and in the quarter of it that a corner has: 3,200 points each
    np.testing.assert_allclose(squared.mean(axis=(0, 1)), 0.5, atol=0.02)
    np.testing.assert_allclose(np.quantile(squared, 0.25), 0.25, atol=0.03)
    middle = near[:, :, 0] - (left, high)
    np.testing.assert_allclose(middle.mean(axis=(0, 1)), 0, atol=0.2)
    assert (near[:, :, 1] >= 0).all()
    np.testing.assert_allclose(near[:, :, 1].mean(axis=(0, 1)), 6 * 4 / (3 * np.pi), atol=0.15)
    # the share of a part of the map that the disc does not touch is that of its area
    area = 23 * 31 - np.pi * 36
    np.testing.assert_allclose((far[:, :, 0, 1] > 21).mean(), 23 * 10 / area, atol=0.03)
    assert len(np.unique(top[..., 0])) > 20


def test_shuffling_mixes_the_kinds_of_each_key_point_and_without_it_they_stay_apart():
    truth = np.full((50, 2, 2), 12.0)
    apart, _, _ = drawn(truth, shuffle=False)
    mixed, _, _ = drawn(truth)
    for found, shuffled in ((apart, False), (mixed, True)):
        near = distance(found, truth) < 3.0
        far = ~near & (found != np.round(found)).any(axis=-1)
        assert (far.sum(axis=1) == 16).all(), "shuffling loses nothing"
        first = far[:, :24].sum(axis=1)
        same = (far[..., 0] == far[..., 1]).mean()
        if shuffled:
            assert 6 < first.mean() < 10 and same < 0.7
            assert len(np.unique(far[..., 0], axis=0)) == 50, "every picture in another order"
        else:
            assert (first == 8).all() and same == 1.0


def test_shares_divide_what_they_can():
    assert guided.shares(48, (1, 1, 1)) == (16, 16, 16)
    assert guided.shares(10, (1, 1, 1)) == (4, 3, 3)
    assert guided.shares(48, (1, 2, 0)) == (16, 32, 0)
    assert guided.shares(7, (0.1, 0, 0.1)) == (4, 0, 3)
    for count in range(1, 40):
        made = guided.shares(count, (3, 1, 2))
        assert sum(made) == count
        assert np.abs(np.array(made) - count * np.array([3, 1, 2]) / 6).max() < 1


@pytest.mark.parametrize("proportion", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 2, 0)])
def test_kinds_may_be_left_out(proportion):
    found, truth, _ = drawn(shuffle=False, proportion=proportion)
    near, far, _ = guided.shares(48, proportion)
    assert found.shape[1] == 48
    assert (distance(found[:, :near], truth) < 3.0).all()
    assert (distance(found[:, near : near + far], truth) >= 3.0).all()


def test_the_number_of_points_is_the_papers_at_its_sizes():
    sizes = {(32, 24): 48, (64, 48): 192, (96, 72): 432, (3, 3): 1}
    assert {size: guided.default_count(size) for size in sizes} == sizes


def test_where_no_place_is_left_far_points_are_in_the_furthest_corner():
    codec = GaussianHeatmap((8, 8), (8, 8), 4.0)
    truth = np.full((3, 1, 2), 2.0)
    found, *_ = drawn(truth, shuffle=False, codec=codec, count=6, proportion=(0, 1, 0))
    np.testing.assert_array_equal(found, np.full((3, 6, 1, 2), 7.0))


def test_a_truth_that_is_not_known_may_be_anything():
    truth = np.full((4, 2, 2), np.nan)
    truth[:, 1] = 1e9
    found, *_ = drawn(truth, np.zeros((4, 2), np.float32))
    assert np.isfinite(found).all() and found.min() >= 0 and (found <= LAST).all()
    outside = np.full((4, 2, 2), -30.0)  # and one that is known, but far outside
    found, *_ = drawn(outside)
    assert np.isfinite(found).all() and found.min() >= 0 and (found <= LAST).all()


def test_draws_differ_from_call_to_call_and_begin_again_with_the_seed():
    first, second = drawn(seed=5)[0], drawn(seed=5)[0]
    np.testing.assert_array_equal(first, second)
    assert (drawn(seed=6)[0] != first).any()
    layer = guided.GuidedPoints(CODEC, 48, seed=5)
    inputs = np.full((1, 1, 2), 9.0, np.float32), np.ones((1, 1)), np.zeros((1, 32, 24, 1))
    assert (np.array(layer(*inputs)) != np.array(layer(*inputs))).any()
    assert len(layer.variables) == 1, "the state of the draws, which a run saves"


def test_numbers_that_cannot_be_are_refused():
    for count in (0, -1, 32 * 24 + 1, 4.0, True):
        with pytest.raises(PoseError, match="768 cells"):
            guided.GuidedPoints(CODEC, count)
    for proportion in ((0, 0, 0), (1, 1), (1, -1, 1), "111", (1, float("nan"), 1), None):
        with pytest.raises(PoseError, match="proportion"):
            guided.GuidedPoints(CODEC, 12, proportion)


# what maps hold there


def _table(maps, parts=1):
    given = keras.Input(maps.shape[1:])
    return keras.Model(given, table([given], parts, name="table"))(maps)


def _bilinear(image, x, y):
    x0, y0 = min(int(x), image.shape[1] - 2), min(int(y), image.shape[0] - 2)
    u, v = x - x0, y - y0
    above = (1 - u) * image[y0, x0] + u * image[y0, x0 + 1]
    return (1 - v) * above + v * ((1 - u) * image[y0 + 1, x0] + u * image[y0 + 1, x0 + 1])


@pytest.mark.parametrize("own", [False, True])
def test_maps_are_read_bilinearly_up_to_their_last_cells(own):
    draw = np.random.default_rng(0)
    maps = np.float32(draw.normal(size=(2, 7, 5, 3 if own else 4)))
    places = np.float32(draw.uniform(0, (4, 6), (2, 9, 3, 2)))
    places[:, :4, 0] = [(0, 0), (4, 6), (4, 0), (2, 3)]
    found = np.array(guided.AtPoints((7, 5), own)([places, _table(maps, 3 if own else 1)]))
    assert found.shape == ((2, 9, 3) if own else (2, 9, 3, 4))
    for b, n, k in np.ndindex(2, 9, 3):
        expected = _bilinear(maps[b], *places[b, n, k])
        np.testing.assert_allclose(found[b, n, k], expected[k] if own else expected, atol=1e-5)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_cells_and_normalised_points_are_the_codecs(kind, unbiased):
    codec = kind((64, 96), (32, 24), 4.0, unbiased=unbiased)
    given = points(2, 5)
    cells = guided.to_cells(codec, given)
    np.testing.assert_allclose(guided.from_cells(codec, cells), given, atol=1e-6)
    maps = codec.encode(guided.from_cells(codec, np.float32([[[7, 20]]])), np.ones((1, 1)))
    assert np.unravel_index(maps[0, ..., 0].argmax(), (32, 24)) == (20, 7)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_decoded_peak_is_a_point_with_the_score_as_its_heat(kind):
    codec = kind((64, 96), (32, 24), 4.0)
    given = points(6, 4)
    maps = maps_of(codec, given).clip(-20)
    maps[0] *= 0.5  # unsure, of one kind a bit and of the other much
    cells, heat, reliable = map(np.array, guided.StagePeak(codec, 0.85)(maps))
    expected, score = codec.with_decoder("quarter").decode(maps)
    np.testing.assert_allclose(guided.from_cells(codec, cells[:, 0]), expected, atol=1e-6)
    np.testing.assert_allclose(heat, score, atol=1e-6)
    np.testing.assert_array_equal(reliable, score > 0.85)
    assert 0 < reliable.mean() < 1
    corners = np.float32([[[0, 0], [1, 1], [0, 1], [1, 0]]])  # a quarter beyond would be outside
    cells = np.array(guided.StagePeak(codec, 0.85)(maps_of(codec, corners))[0])
    assert cells.min() >= 0 and (cells <= (23, 31)).all()
    # moved by nothing it is that point, and by whole cells the neighbours
    moved = guided.MovedPoints(codec)
    start = cells * 0 + (7.0, 20.0)
    for step in ((0, 0), (1, -2)):
        offsets = np.tile(np.float32(step), (1, 4, 1))
        found = np.array(moved([np.float32(start), offsets, np.full((1, 4), 0.3, np.float32)]))
        there = guided.from_cells(codec, np.float32([7 + step[0], 20 + step[1]]))
        np.testing.assert_allclose(found[0], np.tile([*there, 0.3], (4, 1)), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_heat_is_the_score_that_a_peak_in_the_cell_would_have(kind):
    codec = kind((64, 96), (32, 24), 4.0)
    maps = maps_of(codec, np.concatenate([points(3, 25), points(1, 25, low=0.97)])).clip(-20)
    heat = codec.heat(maps)
    assert heat.shape == maps.shape and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() <= 1
    _, score = codec.decode(maps)
    at = maps.reshape(4, -1, 25).argmax(axis=1)[:, None]
    found = np.take_along_axis(heat.reshape(4, -1, 25), at, axis=1)[:, 0]
    np.testing.assert_allclose(found, score, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(codec.heat(ops.array(maps))), heat, atol=1e-5)
    if kind is SoftmaxHeatmap:
        np.testing.assert_allclose(codec.heat(maps + 7.0), heat, atol=1e-4)
