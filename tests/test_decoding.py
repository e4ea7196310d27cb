"""Decoders: how near they come, that all backends agree, and that nothing makes them fall over."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from codec_helpers import KINDS, SHAPES, borders, equal, in_tflite, maps_of, on_jax, points

from keras_pose import codecs, geometry
from keras_pose.codecs import Coordinates, GaussianHeatmap, SoftmaxHeatmap
from keras_pose.codecs.decoding import DECODERS
from keras_pose.errors import PoseError

TALL = SHAPES[1]  # 64 x 48 maps, sigma of two cells
NOISE = 0.05  # of the highest value: its standard deviation
GEOMETRIES = pytest.mark.parametrize("unbiased", [False, True], ids=["ordinary", "unbiased"])


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def kind(request):
    return request.param


@pytest.fixture(params=DECODERS)
def decoder(request):
    return request.param


def noisy(codec, given, level=NOISE, seed=3):
    """Gaussian maps with noise in them, for the softmax codec their logarithms."""
    maps = GaussianHeatmap.encode(codec, given, np.ones(given.shape[:2], np.float32))
    maps = maps + np.random.default_rng(seed).normal(0, level, maps.shape).astype(np.float32)
    return np.log(np.maximum(maps, 1e-5)) if codec.kind == "softmax" else maps


def apart(codec, maps, given):
    """Distances in cells, (B, K)."""
    keypoints, _ = codec.decode(maps)
    return np.linalg.norm((keypoints - given) * codec.map_size[::-1], axis=-1)


# how near


@GEOMETRIES
@pytest.mark.parametrize("level", [0.0, NOISE])
def test_each_decoder_is_nearer_than_the_one_before(kind, unbiased, level):
    given = points(8, 60)
    codec = kind(*TALL, unbiased=unbiased)
    maps = noisy(codec, given, level)
    names = ("argmax", "quarter", "dark")
    means = [apart(codec.with_decoder(name), maps, given).mean() for name in names]
    argmax, quarter, dark = means
    assert argmax > 1.3 * quarter and quarter > 2 * dark
    assert dark < 0.1
    if level:
        assert apart(codec, maps, given).mean() > 2 * dark, "the blur is what noise asks for"
    else:
        assert 0.3 < argmax < 0.45, "the mean distance from the middle of a square cell is 0.38"


@GEOMETRIES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fit_and_dark_invert_encode_up_to_the_border(kind, shape, unbiased):
    codec = kind(*shape, unbiased=unbiased)
    given = np.concatenate([points(3, 25), borders()])
    maps = maps_of(codec, given)
    assert apart(codec, maps, given).max() < 0.005
    assert apart(codec.with_decoder("dark"), maps, given).max() < 0.02


def test_dark_is_the_taylor_step_on_the_blurred_map():
    """In the middle of the map, against OpenCV's blur of all of it and a linear solver."""
    codec = GaussianHeatmap(*TALL, decoder="dark")
    given = points(1, 40, low=0.2, high=0.8)
    maps = noisy(codec, given)
    keypoints, _ = codec.decode(maps)
    for k in range(40):
        row, column = np.unravel_index(maps[0, ..., k].argmax(), (64, 48))
        blurred = cv2.GaussianBlur(maps[0, ..., k].astype(np.float64), (11, 11), 2.0)
        log = np.log(np.maximum(blurred, 1e-10))
        a = log[row - 1 : row + 2, column - 1 : column + 2]
        slope = np.array([a[1, 2] - a[1, 0], a[2, 1] - a[0, 1]]) / 2
        twist = (a[2, 2] - a[2, 0] - a[0, 2] + a[0, 0]) / 4
        bend = np.array([
            [a[1, 2] - 2 * a[1, 1] + a[1, 0], twist], [twist, a[2, 1] - 2 * a[1, 1] + a[0, 1]]
        ])  # fmt: skip
        x, y = (column, row) - np.linalg.solve(bend, slope)
        np.testing.assert_allclose(keypoints[0, k], ((x + 0.5) / 48, (y + 0.5) / 64), atol=1e-5)


def test_a_quarter_goes_to_the_higher_neighbour():
    codec = GaussianHeatmap((16, 16), (4, 4), 4.0, decoder="quarter")
    maps = np.zeros((1, 4, 4, 4), np.float32)
    maps[0, 1, 2, :] = 1.0
    maps[0, 1, 1, 0], maps[0, 1, 3, 1], maps[0, 0, 2, 2], maps[0, 2, 2, 3] = 0.5, 0.5, 0.5, 0.5
    moved = codec.decode(maps)[0] * 4 - 0.5 - (2, 1)
    np.testing.assert_allclose(moved[0], [(-0.25, 0), (0.25, 0), (0, -0.25), (0, 0.25)], atol=1e-6)
    # at the border only along it
    maps = np.zeros((1, 4, 4, 1), np.float32)
    maps[0, 1, 3, 0], maps[0, 1, 2, 0], maps[0, 2, 3, 0] = 1.0, 0.9, 0.1
    np.testing.assert_allclose(codec.decode(maps)[0] * 4 - 0.5, [[(3, 1.25)]], atol=1e-6)


@GEOMETRIES
def test_soft_is_exact_for_one_cell_and_means_over_several(kind, unbiased):
    codec = kind((20, 24), (5, 6), 4.0, "soft", unbiased)
    empty = -1e4 if kind is SoftmaxHeatmap else 0.0
    maps = np.full((1, 5, 6, 31), empty, np.float32)
    for k in range(30):
        maps[0, k // 6, k % 6, k] = 1.0
    maps[0, 1, 2, 30] = maps[0, 3, 2, 30] = 1.0
    rows, columns = np.divmod(np.arange(31), 6)
    rows[30], columns[30] = 2, 2
    expected = np.stack([columns, rows], axis=-1)
    if unbiased:
        expected = geometry.normalise(expected * (23 / 5, 19 / 4), (20, 24))
    else:
        expected = (expected + 0.5) / (6, 5)
    np.testing.assert_allclose(codec.decode(maps)[0][0], expected, atol=1e-6)


def test_scores_do_not_depend_on_the_decoder(kind, decoder):
    codec = kind(*TALL)
    maps = noisy(codec, points(2, 5))
    np.testing.assert_array_equal(
        codec.with_decoder(decoder).decode(maps)[1], codec.decode(maps)[1]
    )


# geometry


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_unbiased_cells_reach_from_the_first_pixel_to_the_last(shape):
    (height, width), (h, w), sigma = shape
    codec = GaussianHeatmap(*shape, "argmax", unbiased=True)
    rows, columns = np.divmod(np.arange(h * w), w)
    pixels = np.stack([columns * (width - 1) / (w - 1), rows * (height - 1) / (h - 1)], axis=-1)
    given = geometry.normalise(pixels[None], (height, width))
    maps = codec.encode(given, np.ones((1, h * w), np.float32)).reshape(h * w, h * w)
    assert (maps.argmax(axis=0) == np.arange(h * w)).all()
    np.testing.assert_allclose(maps.diagonal(), 1.0, atol=1e-4)
    # sigma is in pixels: from cell to cell there are (W - 1) / (w - 1) of them
    step = (width - 1) / (w - 1)
    np.testing.assert_allclose(maps[1, 0], np.exp(-0.5 * (step / sigma) ** 2), rtol=1e-3)
    found, _ = codec.decode(maps.reshape(1, h, w, h * w))
    np.testing.assert_allclose(found, given, atol=1e-5)


@GEOMETRIES
@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_mirrored_maps_show_mirrored_points(kind, decoder, unbiased, shape):
    codec = kind(*shape, decoder, unbiased)
    maps = noisy(codec, points(2, 14), level=0.02)
    keypoints, _ = codec.decode(maps)
    mirrored, _ = codec.decode(maps[:, :, ::-1])
    upside_down, _ = codec.decode(maps[:, ::-1])
    np.testing.assert_allclose(mirrored, keypoints * (-1, 1) + (1, 0), atol=1e-5)
    np.testing.assert_allclose(upside_down, keypoints * (1, -1) + (0, 1), atol=1e-5)


# bad input


@GEOMETRIES
def test_no_map_is_too_odd(kind, decoder, unbiased):
    codec = kind(*SHAPES[2], decoder, unbiased)
    given = points(1, 12)
    maps = maps_of(codec, given)
    plain, scores = codec.decode(maps)
    maps[..., 0] = np.nan
    maps[..., 1] = 0.0
    maps[..., 2] = -np.inf
    maps[..., 3] = np.inf
    maps[..., 4] = -5.0
    maps[0, 3, 4, 5] = np.inf
    maps[..., 6] *= -1
    maps[0, 20:, :, 7] = np.nan
    maps[0, ::2, :, 8] = -np.inf
    maps[..., 9] = 1e30
    maps[..., 10] = 1e-38
    with np.errstate(all="raise", under="ignore"):
        keypoints, found = codec.decode(maps)
    assert np.isfinite(keypoints).all() and np.isfinite(found).all()
    assert keypoints.min() >= 0 and keypoints.max() <= 1
    assert found.min() >= 0 and found.max() <= 1
    np.testing.assert_array_equal(keypoints[0, 11], plain[0, 11])
    np.testing.assert_allclose(found[0, 11], scores[0, 11], rtol=1e-6)
    np.testing.assert_allclose(found[0, [0, 2]], found[0, 1], err_msg="scores like a flat map")
    if decoder != "soft":
        np.testing.assert_allclose(keypoints[0, [0, 2, 4]], keypoints[0, [1, 1, 1]])
    for size in (0, 1, 3):
        keypoints, found = codec.decode(np.repeat(maps, size, axis=0))
        assert keypoints.shape == (size, 12, 2) and found.shape == (size, 12)


def test_maps_of_another_size_are_refused(kind):
    with pytest.raises(PoseError, match="64, 48"):
        kind(*TALL).decode(np.zeros((1, 48, 64, 3), np.float32))


def test_a_codec_says_what_differs_from_the_default(kind):
    codec = kind(*TALL)
    assert set(codec.to_dict()) == {"kind", "input_size", "map_size", "sigma"}
    dark = codec.with_decoder("dark")
    assert (dark.decoder, dark.with_decoder("fit")) == ("dark", codec)
    assert dark.to_dict() == {**codec.to_dict(), "decoder": "dark"}
    unbiased = kind(*TALL, "quarter", unbiased=True)
    for each in (codec, dark, unbiased):
        assert codecs.from_dict(each.to_dict()) == each
    with pytest.raises(PoseError, match="decoder among"):
        codec.with_decoder("darker")
    with pytest.raises(PoseError, match="heatmaps"):
        Coordinates((256, 192)).with_decoder("dark")
    with pytest.raises(PoseError, match="larger input"):
        kind((1, 8), (4, 4), 2.0, unbiased=True)


# the same numbers elsewhere

ALL = [kind(*SHAPES[2], name, name in ("dark", "quarter")) for kind in KINDS for name in DECODERS]
IDS = [f"{codec.kind} {codec.decoder}" for codec in ALL]


def _case(codec):
    """Input, and what numpy makes of it: noise, ties, borders, a flat map; NaN in the last."""
    given = np.concatenate([points(3, 3), borders()[:, ::9], points(2, 3)])
    maps = noisy(codec, given, level=0.02)
    maps[1] = np.round(maps[1] * 8) / 8
    maps[4, ..., 0], maps[4, 3:, 9, 1] = 0.0, -np.inf
    maps[5, ..., 0], maps[5, 7, 9, 1], maps[5, 3:, 9, 2] = np.nan, np.nan, np.inf
    visible = np.ones((6, 3), np.float32)
    return given, visible, maps, (codec.encode(given, visible), *codec.decode(maps))


def _agree(found, expected):
    """Equal but for the last picture, where both only have to be numbers inside the picture."""
    *found, keypoints, scores = found
    *expected, known, rated = expected
    both = [[array[:5] for array in arrays] for arrays in ((keypoints, scores), (known, rated))]
    equal([*(found or [0.0]), *both[0]], [*(expected or [0.0]), *both[1]])
    for array in (keypoints, scores, known, rated):
        assert ((array[5] >= 0) & (array[5] <= 1)).all()


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_tensorflow_agrees(codec):
    given, visible, maps, expected = _case(codec)
    tensors = [keras.ops.convert_to_tensor(v) for v in (given, visible, maps)]
    found = codec.encode(*tensors[:2]), *codec.decode(tensors[2])
    _agree([keras.ops.convert_to_numpy(v) for v in found], expected)
    # behind a functional model, and with an open batch
    image = keras.Input(maps.shape[1:], batch_size=len(maps))
    model = keras.Model(image, codec.decode(image))
    opened = tf.function(codec.decode, [tf.TensorSpec((None, *maps.shape[1:]), "float32")])
    for decode in (model, opened):
        _agree([*map(keras.ops.convert_to_numpy, decode(maps))], expected[1:])


@pytest.mark.backend("jax")
def test_jax_agrees(tmp_path):
    cases = [_case(codec) for codec in ALL]
    found = on_jax([(codec, *c[:3]) for codec, c in zip(ALL, cases, strict=True)], tmp_path)
    for one, (*_, expected) in zip(found, cases, strict=True):
        _agree(one, expected)


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_a_tflite_agrees(codec):
    codec = type(codec)(codec.map_size, codec.map_size, 1.5, codec.decoder, codec.unbiased)
    *_, maps, expected = _case(codec)
    _agree(in_tflite(codec, maps), expected[1:])
