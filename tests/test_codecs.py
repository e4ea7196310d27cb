"""Codecs: what is encoded comes back, in numpy, TensorFlow, JAX and a `.tflite`."""

import keras
import numpy as np
import pytest
from codec_helpers import KINDS, SHAPES, borders, equal, in_tflite, maps_of, on_jax, points

from keras_pose import codecs, geometry, skeletons
from keras_pose.codecs import (
    Coordinates,
    GaussianHeatmap,
    RefinedPoints,
    SoftmaxHeatmap,
    coordinates,
)
from keras_pose.errors import PoseError


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def kind(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_decode_inverts_encode(kind, shape):
    codec = kind(*shape)
    given = np.concatenate([points(3, 25), borders()])
    keypoints, scores = codec.decode(maps_of(codec, given))
    apart = geometry.denormalise(keypoints, shape[0]) - geometry.denormalise(given, shape[0])
    assert np.abs(apart).max() < 0.01, "pixels of the input"
    assert keypoints.dtype == scores.dtype == np.float32
    assert keypoints.shape == (4, 25, 2) and scores.shape == (4, 25)


def test_target_shape_and_peak(kind):
    codec = kind((64, 96), (32, 24), 4.0)
    cell = np.array([[[(7 + 0.5) / 24, (20 + 0.5) / 32]]], np.float32)
    target = codec.encode(cell, np.ones((1, 1), np.float32))
    assert target.shape == (1, 32, 24, 1) and target.dtype == np.float32
    assert np.unravel_index(target[0, ..., 0].argmax(), (32, 24)) == (20, 7)
    # sigma is in pixels of the input: one cell is 4 of them across and 2 down
    across, down = target[0, 20, 8, 0], target[0, 21, 7, 0]
    peak = target[0, 20, 7, 0]
    np.testing.assert_allclose(across / peak, np.exp(-0.5 * (4 / 4) ** 2), rtol=1e-5)
    np.testing.assert_allclose(down / peak, np.exp(-0.5 * (2 / 4) ** 2), rtol=1e-5)


def test_scores_are_high_on_targets_and_low_on_nothing(kind):
    codec = kind(*SHAPES[0])
    given, visible = points(2, 50, low=0.05, high=0.95), np.ones((2, 50), np.float32)
    visible[1] = 0
    _, scores = codec.decode(maps_of(codec, given, visible))
    assert scores[0].min() > 0.85 and scores.max() <= 1.0
    assert scores[1].max() < 0.05 and scores.min() >= 0.0
    noise = np.random.default_rng(1).normal(0, 30, (2, 32, 32, 50)).astype(np.float32)
    _, scores = codec.decode(noise)
    assert scores.min() >= 0.0 and scores.max() <= 1.0


def test_what_is_not_visible_asks_for_nothing():
    given, hidden = points(1, 4), np.zeros((1, 4), np.float32)
    assert not GaussianHeatmap(*SHAPES[0]).encode(given, hidden).any()
    uniform = SoftmaxHeatmap(*SHAPES[0]).encode(given, hidden)
    np.testing.assert_allclose(uniform, 1 / 32**2)


def test_softmax_targets_are_distributions():
    given = np.concatenate([points(1, 25), borders(), points(1, 25, low=-3, high=4)])
    target = SoftmaxHeatmap(*SHAPES[1]).encode(given, np.ones((3, 25), np.float32))
    np.testing.assert_allclose(target.sum(axis=(1, 2)), 1, rtol=1e-4)
    assert target.min() >= 0


def test_softmax_decode_ignores_the_level_of_a_map():
    codec = SoftmaxHeatmap(*SHAPES[0])
    maps = maps_of(codec, points(2, 5)).clip(-12)
    level = np.random.default_rng(0).normal(0, 20, (2, 1, 1, 5)).astype(np.float32)
    for found, expected in zip(codec.decode(maps + level), codec.decode(maps), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_batch_is_its_singles(kind):
    codec = kind(*SHAPES[2])
    given, visible = points(6, 5), (points(6, 5, 1)[..., 0] > 0.3).astype(np.float32)
    maps = maps_of(codec, given, visible)
    singles = [codec.encode(given[i : i + 1], visible[i : i + 1])[0] for i in range(6)]
    np.testing.assert_array_equal(codec.encode(given, visible), singles)
    for i, together in enumerate(zip(*codec.decode(maps), strict=True)):
        for found, expected in zip(codec.decode(maps[i : i + 1]), together, strict=True):
            np.testing.assert_array_equal(found[0], expected)


def test_a_mirrored_picture_has_mirrored_maps(kind):
    codec = kind(*SHAPES[1])
    mirror = list(skeletons.LSP14.mirror)
    given, visible = points(2, 14), np.ones((2, 14), np.float32)
    flipped = (given * (-1, 1) + (1, 0))[:, mirror].astype(np.float32)
    expected = codec.encode(given, visible)[:, :, ::-1, mirror]
    np.testing.assert_allclose(codec.encode(flipped, visible), expected, atol=2e-5)
    found, _ = codec.decode(np.ascontiguousarray(maps_of(codec, given)[:, :, ::-1, mirror]))
    np.testing.assert_allclose(found, flipped, atol=1e-4)


def test_odd_maps_stay_inside_the_picture(kind):
    """Flat, upside-down, tied, infinite logits: no crash, no NaN, no point far outside."""
    codec = kind(*SHAPES[0])
    maps = np.zeros((1, 32, 32, 5), np.float32)
    maps[..., 1] = -maps_of(codec, points(1, 1))[..., 0].clip(-20)
    maps[0, :, :2, 2] = 7.0
    maps[0, 31, 31, 3] = 1e30
    maps[..., 4] = np.random.default_rng(0).normal(size=(32, 32))
    keypoints, scores = codec.decode(maps)
    assert np.isfinite(keypoints).all() and np.isfinite(scores).all()
    assert keypoints.min() >= 0 and keypoints.max() <= 1
    np.testing.assert_allclose(keypoints[0, 3], 31.5 / 32, atol=0.5 / 32)


def test_dicts_and_refusals(kind):
    codec = kind(*SHAPES[1])
    assert codecs.from_dict(codec.to_dict()) == codec
    with pytest.raises(PoseError, match="codec kind"):
        codecs.from_dict({**codec.to_dict(), "kind": "wavelet"})
    for wrong in (((64, 64), (2, 16), 3.0), ((64, 64), (16, 16), 0.0), ((0, 64), (16, 16), 3.0)):
        with pytest.raises(PoseError, match="positive sigma"):
            kind(*wrong)


def test_a_codec_names_what_it_decodes(kind):
    codec = kind(*SHAPES[1])
    assert (codec.head, codec.head_shape(17)) == ("heatmaps", (64, 48, 17))
    regression = Coordinates((256, 192))
    assert (regression.head, regression.head_shape(17)) == ("coordinates", (17, 4))


# coordinates


def predicted(scales, places=None):
    """(B, K, 4) from scales (B, K, 2)."""
    places = np.zeros_like(scales) if places is None else places
    return np.concatenate([places, scales], axis=-1).astype(np.float32)


def test_coordinates_are_their_own_target_also_outside():
    given = points(2, 5, low=-1.0, high=2.0)
    codec = Coordinates((64, 48))
    target = codec.encode(given, np.ones((2, 5), np.float32))
    np.testing.assert_array_equal(target, given)
    found, scores = codec.decode(predicted(np.full((2, 5, 2), 0.1), given))
    np.testing.assert_array_equal(found, given)
    assert found.dtype == scores.dtype == np.float32
    assert scores.shape == (2, 5)


def test_the_laplace_score_is_equation_eight():
    """On each axis; a scale of next to nothing is certain, so the other axis alone decides."""
    codec = Coordinates((64, 48))
    for scale, expected in ((0.05, 0.982), (0.1, 0.865), (0.2, 0.632)):
        for axes in ((scale, 1e-9), (1e-9, scale)):
            _, score = codec.decode(predicted(np.array([[axes]])))
            assert score[0, 0] == pytest.approx(expected, abs=5e-4)
        _, both = codec.decode(predicted(np.array([[[scale, scale]]])))
        assert both[0, 0] == pytest.approx(expected**2, abs=1e-3)
    _, wider = Coordinates((64, 48), area=0.4).decode(predicted(np.array([[[0.2, 1e-9]]])))
    assert wider[0, 0] == pytest.approx(0.865, abs=5e-4)


def test_the_other_scores():
    scales = np.array([[[0.1, 0.3], [0.0, 1.0], [0.0, 0.0]]])
    _, rle = Coordinates((64, 48), "rle").decode(predicted(scales))
    np.testing.assert_allclose(rle, [[0.8, 0.5, 1.0]], atol=1e-6)
    _, none = Coordinates((64, 48), "none").decode(predicted(scales))
    np.testing.assert_array_equal(none, np.ones((1, 3)))


@pytest.mark.parametrize("score", coordinates.SCORES)
def test_any_scale_has_a_score(score):
    ends = np.array([-1.0, -1e-9, 0.0, 1e-38, 1e-7, 0.5, 1.0, 1e4, 1e30], np.float32)
    scales = np.stack(np.meshgrid(ends, ends), axis=-1).reshape(1, -1, 2)
    _, scores = Coordinates((64, 48), score).decode(predicted(scales))
    assert np.isfinite(scores).all()
    assert scores.min() >= 0 and scores.max() <= 1
    if score != "none":
        sure, unsure = (
            Coordinates((64, 48), score).decode(predicted(np.array([[[s, s]]])))[1].item()
            for s in (0.0, 1e4)
        )
        assert sure == 1.0 and unsure < 1e-3


def test_coordinates_dicts_and_refusals():
    codec = Coordinates([64, 48], "rle", 0.1)
    assert codec.input_size == (64, 48)
    assert codecs.from_dict(codec.to_dict()) == codec
    for wrong in ({"score": "sum"}, {"area": 0.0}, {"input_size": (0, 48)}):
        with pytest.raises(PoseError, match="score among"):
            codecs.from_dict({**codec.to_dict(), **wrong})


# refined points


def refined(count=4):
    """(B, K, 3): points in and around the crop, scores as a quantized network may have them."""
    scores = points(count, 3, seed=5, low=-0.5, high=1.5)[..., :1]
    return np.concatenate([points(count, 3, low=-1.0, high=2.0), scores], axis=-1)


def test_refined_points_are_what_the_network_says():
    codec, given = RefinedPoints([64, 48]), refined()
    assert codec.input_size == (64, 48)
    found, scores = codec.decode(given)
    np.testing.assert_array_equal(found, given[..., :2])
    np.testing.assert_array_equal(scores, given[..., 2].clip(0, 1))
    assert scores.min() == 0 and scores.max() == 1
    assert found.dtype == scores.dtype == np.float32
    np.testing.assert_array_equal(codec.encode(found, np.ones((4, 3))), found)


def test_refined_points_dicts_and_refusals():
    codec = RefinedPoints((64, 48))
    assert codecs.from_dict(codec.to_dict()) == codec
    assert (codec.head, codec.head_shape(17)) == ("points", (17, 3))
    with pytest.raises(PoseError, match="heatmaps"):
        codec.with_decoder("dark")
    for wrong in ((0, 48), (64,), (64, -1)):
        with pytest.raises(PoseError, match="input size"):
            RefinedPoints(wrong)


# the same numbers elsewhere


def _case(kind):
    """A codec, its input and what numpy makes of it."""
    codec = kind(*SHAPES[2])
    given = np.concatenate([points(3, 3), borders()[:, ::9]])
    visible = np.ones((4, 3), np.float32)
    visible[0, 1] = 0
    maps = maps_of(codec, given, visible).clip(-25)
    maps += np.random.default_rng(2).normal(0, 0.01, maps.shape).astype(np.float32)
    return codec, given, visible, maps, (codec.encode(given, visible), *codec.decode(maps))


def test_tensorflow_agrees(kind):
    codec, given, visible, maps, expected = _case(kind)
    tensors = [keras.ops.convert_to_tensor(v) for v in (given, visible, maps)]
    found = codec.encode(*tensors[:2]), *codec.decode(tensors[2])
    equal([keras.ops.convert_to_numpy(v) for v in found], expected)


@pytest.mark.backend("jax")
def test_jax_agrees(kind, tmp_path):
    codec, given, visible, maps, expected = _case(kind)
    (found,) = on_jax([(codec, given, visible, maps)], tmp_path)
    equal(found, expected)


@pytest.mark.parametrize("score", coordinates.SCORES)
def test_coordinates_agree(score):
    """Under Keras and in a `.tflite`, points beyond the border included."""
    scales = points(3, 3, seed=4) ** 4
    codec, given = Coordinates((3, 4), score), predicted(scales, points(3, 3, low=-2, high=3))
    expected = codec.decode(given)
    found = codec.decode(keras.ops.convert_to_tensor(given))
    equal([given, *map(keras.ops.convert_to_numpy, found)], [given, *expected])

    # pictures of (H, W, 3) = (3, 4, 3), turned to (3, 4)
    pictures = np.repeat(given[..., None], 3, axis=-1)
    found = in_tflite(codec, pictures, keras.layers.Lambda(lambda x: x[..., 0]))
    equal([given, *found], [given, *expected])
    assert expected[0].min() < -0.5 and expected[0].max() > 1.5


def test_refined_points_agree():
    """Under Keras and in a `.tflite`."""
    given = refined()
    codec = RefinedPoints((3, 3))
    expected = codec.decode(given)
    found = codec.decode(keras.ops.convert_to_tensor(given))
    equal([given, *map(keras.ops.convert_to_numpy, found)], [given, *expected])
    pictures = np.repeat(given[..., None], 3, axis=-1)  # (H, W, 3) = (3, 3, 3)
    found = in_tflite(codec, pictures, keras.layers.Lambda(lambda x: x[..., 0]))
    equal([given, *found], [given, *expected])


@pytest.mark.backend("jax")
def test_refined_points_agree_on_jax(tmp_path):
    codec, given = RefinedPoints((3, 3)), refined()
    expected = codec.encode(given[..., :2], np.ones((4, 3))), *codec.decode(given)
    (found,) = on_jax([(codec, given[..., :2], np.ones((4, 3), np.float32), given)], tmp_path)
    equal(found, expected)


def test_a_tflite_agrees(kind):
    codec, _, _, maps, expected = _case(kind)
    codec = kind(codec.map_size, codec.map_size, 2.0)
    keypoints, scores = in_tflite(codec, maps)
    # a score depends on the codec's sigma
    equal([maps, keypoints, scores], [maps, expected[1], codec.decode(maps)[1]])
