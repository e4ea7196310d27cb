"""The split one-hot target, its soft-argmax, and the loss that PoseFix makes of both."""

import keras
import numpy as np
import pytest
from codec_helpers import borders, equal, in_tflite, on_jax, points

from keras_pose import codecs, geometry
from keras_pose.codecs import IntegralHeatmap
from keras_pose.errors import PoseError
from keras_pose.models.refined import IntegralLoss

SIZES = [((128, 128), (32, 32)), ((256, 192), (64, 48)), ((64, 96), (32, 24)), ((12, 12), (3, 3))]
GEOMETRIES = [{}, {"corner": True}, {"unbiased": True}]


def _cells(codec, keypoints):
    """Normalised points (..., 2) in cells."""
    scale, start = (each[:, 0] for each in codec.axes)
    return keypoints * scale + start


def _places(codec, cells):
    """The inverse, float32."""
    scale, start = (each[:, 0] for each in codec.axes)
    return ((np.asarray(cells) - start) / scale).astype(np.float32)


def _maps(codec, keypoints, visible=None):
    """The logits of the targets, as a network that has learned them by heart gives them."""
    visible = np.ones(keypoints.shape[:2], np.float32) if visible is None else visible
    return np.log(np.maximum(codec.encode(keypoints, visible), 1e-30))


@pytest.mark.parametrize("geometry_of", GEOMETRIES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_mean_of_the_target_is_the_key_point(size, geometry_of):
    codec = IntegralHeatmap(*size, **geometry_of)
    last = np.array(codec.map_size[::-1]) - 1
    given = _places(codec, points(3, 25) * last).clip(0, 1)
    found, scores = codec.decode(_maps(codec, given))
    apart = geometry.denormalise(found, size[0]) - geometry.denormalise(given, size[0])
    assert np.abs(apart).max() < 0.01, "pixels of the input"
    np.testing.assert_allclose(scores, 1, atol=1e-4)
    assert found.dtype == scores.dtype == np.float32


def test_a_target_is_split_among_the_cells_it_lies_between():
    codec = IntegralHeatmap((64, 64), (16, 16))
    target = codec.encode(_places(codec, [[[3.25, 7.0], [4.5, 2.9], [9, 5]]]), np.ones((1, 3)))
    expected = np.zeros((16, 16, 3))
    expected[7, 3:5, 0] = 0.75, 0.25
    expected[2:4, 4:6, 1] = [[0.05, 0.05], [0.45, 0.45]]
    expected[5, 9, 2] = 1
    np.testing.assert_allclose(target[0], expected, atol=1e-5)


@pytest.mark.parametrize("geometry_of", GEOMETRIES, ids=str)
def test_targets_are_distributions_and_the_outer_cells_stand_for_what_lies_beyond_them(geometry_of):
    codec = IntegralHeatmap((64, 96), (32, 24), **geometry_of)
    given = borders()
    target = codec.encode(given, np.ones((1, 25), np.float32))
    np.testing.assert_allclose(target.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert target.min() >= 0 and (target > 0).sum(axis=(1, 2)).max() <= 4
    found, _ = codec.decode(_maps(codec, given))
    expected = _places(codec, _cells(codec, given).clip(0, (23, 31))).clip(0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_nothing_is_asked_for_where_nothing_is_to_be_found():
    """Not visible, whatever its coordinates, or beyond the picture."""
    codec = IntegralHeatmap((32, 32), (8, 8))
    given = np.array([[[0.5, 0.5], [np.nan, np.inf], [-0.01, 0.5], [0.5, 1.3]]], np.float32)
    target = codec.encode(given, np.array([[0, 0, 1, 1]], np.float32))
    np.testing.assert_allclose(target, 1 / 64)
    _, scores = codec.decode(np.log(target))
    np.testing.assert_allclose(scores, 9 / 64, rtol=1e-5)


def test_the_released_geometry_multiplies_a_cell_by_its_stride():
    codec = IntegralHeatmap((256, 192), (64, 48), corner=True)
    maps = np.full((1, 64, 48, 2), -1e4, np.float32)
    maps[0, 0, 0, 0] = maps[0, 50, 31, 1] = 0
    found, _ = codec.decode(maps)
    pixels = geometry.denormalise(found, (256, 192))
    np.testing.assert_allclose(pixels, [[[0, 0], [124, 200]]], atol=1e-3)


@pytest.mark.parametrize("geometry_of", GEOMETRIES, ids=str)
def test_mirrored_maps_show_mirrored_points_but_for_the_released_geometry(geometry_of):
    codec = IntegralHeatmap((64, 48), (16, 12), **geometry_of)
    given = points(2, 5, low=0.2, high=0.8)
    found, _ = codec.decode(np.ascontiguousarray(_maps(codec, given)[:, :, ::-1]))
    shift = 3 / 48 if codec.corner else 0.0  # a stride of 4 less a pixel
    np.testing.assert_allclose(found, given * (-1, 1) + (1 - shift, 0), atol=1e-4)


def test_dicts_and_refusals():
    for geometry_of in GEOMETRIES:
        codec = IntegralHeatmap((64, 48), (16, 12), "argmax", **geometry_of)
        assert codecs.from_dict(codec.to_dict()) == codec
    assert IntegralHeatmap((64, 48), (16, 12)).decoder == "soft"
    assert set(IntegralHeatmap((64, 48), (16, 12)).to_dict()) == {"kind", "input_size", "map_size"}
    with pytest.raises(PoseError, match="one geometry"):
        IntegralHeatmap((64, 48), (16, 12), corner=True, unbiased=True)
    with pytest.raises(PoseError, match="3 x 3 cells"):
        IntegralHeatmap((64, 48), (16, 2))


# the same numbers elsewhere


def _case(geometry_of):
    codec = IntegralHeatmap((64, 96), (32, 24), **geometry_of)
    given = np.concatenate([points(3, 3), borders()[:, ::9]])
    visible = np.ones((4, 3), np.float32)
    visible[0, 1] = 0
    maps = _maps(codec, given, visible).clip(-25)
    maps += np.random.default_rng(2).normal(0, 0.01, maps.shape).astype(np.float32)
    return codec, given, visible, maps, (codec.encode(given, visible), *codec.decode(maps))


@pytest.mark.parametrize("geometry_of", GEOMETRIES, ids=str)
def test_tensorflow_agrees(geometry_of):
    codec, given, visible, maps, expected = _case(geometry_of)
    tensors = [keras.ops.convert_to_tensor(v) for v in (given, visible, maps)]
    found = codec.encode(*tensors[:2]), *codec.decode(tensors[2])
    equal([keras.ops.convert_to_numpy(v) for v in found], expected)


@pytest.mark.backend("jax")
def test_jax_agrees(tmp_path):
    cases = [_case(geometry_of) for geometry_of in GEOMETRIES]
    for found, (*_, expected) in zip(on_jax([c[:4] for c in cases], tmp_path), cases, strict=True):
        equal(found, expected)


def test_a_tflite_agrees():
    *_, maps, _ = _case({})
    codec = IntegralHeatmap(maps.shape[1:3], maps.shape[1:3], corner=True)
    equal([maps, *in_tflite(codec, maps)], [maps, *codec.decode(maps)])


# the loss


CODEC = IntegralHeatmap((32, 32), (8, 8))


def _truth(count=2, seed=0):
    given = _places(CODEC, 7 * points(count, 3, seed))
    return {
        "keypoints": given,
        "visible": np.ones((count, 3), np.float32),
        "person": np.ones(count, np.float32),
    }


def _loss(logits, y, **terms):
    return float(IntegralLoss(CODEC, **terms)({"heatmaps": np.float32(logits)}, y))


def test_both_terms_vanish_on_one_hot_maps():
    y = _truth()
    y["keypoints"] = _places(CODEC, np.random.default_rng(0).integers(0, 8, (2, 3, 2)))
    one_hot = CODEC.encode(y["keypoints"], y["visible"])
    assert set(np.unique(one_hot.round(5))) == {0, 1}
    assert _loss(1e3 * (one_hot - 1), y) == pytest.approx(0, abs=1e-5)
    assert _loss(1e3 * (one_hot[:, ::-1] - 1), y) > 1


def test_the_cross_entropy_is_least_at_the_split():
    """There it is the split's entropy, and no other distribution has less."""
    y, draw = _truth(), np.random.default_rng(1)
    split = CODEC.encode(y["keypoints"], y["visible"]).astype(np.float64)
    logits = np.log(np.maximum(split, 1e-20))
    entropy = -(split * logits).sum(axis=(1, 2)).mean()
    least = _loss(logits, y, place=0.0)
    assert least == pytest.approx(entropy, abs=1e-4)
    for size in (0.1, 1.0):
        for _ in range(5):
            assert _loss(logits + draw.normal(0, size, logits.shape), y, place=0.0) > least
    assert _loss(logits, y, heat=0.0) == pytest.approx(0, abs=1e-4)


def test_both_terms_written_out():
    """Key points that are unknown or beyond the crop have no say, nor has a crop without anyone in
    where; there the maps are to be flat."""
    y, draw = _truth(3), np.random.default_rng(2)
    y["visible"][0, 1] = 0
    y["keypoints"][0, 1] = np.nan
    y["keypoints"][1, 2] = 1.2
    y["person"][2] = 0
    logits = draw.normal(0, 1, (3, 8, 8, 3)).astype(np.float32)
    known = [[0, 2], [0, 1], []]
    heat = place = 0.0
    for i, chosen in enumerate(known):
        for k in chosen or range(3):
            density = np.exp(logits[i, ..., k]) / np.exp(logits[i, ..., k]).sum()
            target = np.full((8, 8), 1 / 64)
            if chosen:
                target = CODEC.encode(y["keypoints"][i : i + 1], y["visible"][i : i + 1])[0, ..., k]
                x, down = (density.sum(axis=a) @ np.arange(8) for a in (0, 1))
                away = np.abs(_cells(CODEC, y["keypoints"][i, k]) - (x, down))
                place += away.mean() / len(chosen) / 3
            heat -= (target * np.log(density)).sum() / (len(chosen) or 3) / 3
    assert _loss(logits, y, place=0.0) == pytest.approx(heat, rel=1e-4)
    assert _loss(logits, y, heat=0.0) == pytest.approx(place, rel=1e-4)
    assert _loss(logits, y, heat=2.0, place=0.5) == pytest.approx(2 * heat + place / 2, rel=1e-4)


@pytest.mark.parametrize("terms", [{"heat": 0.0, "place": 0.0}, {"heat": -1.0}, {"place": np.nan}])
def test_terms_that_teach_nothing_are_refused(terms):
    with pytest.raises(PoseError, match="heat and place"):
        IntegralLoss(CODEC, **terms)
