"""A pose as maps, and maps beside the picture that a backbone reads."""

import keras
import numpy as np
import pytest
from codec_helpers import points

from keras_pose import backbones
from keras_pose.backbones import beside, hrnet, mobilenet_v2, resnet, weights
from keras_pose.errors import PoseError
from keras_pose.layers import PoseMaps

SIZE = (24, 40)


def _poses(count=2, seed=0, low=-0.2, high=1.2):
    """Key points in and around the picture, all of them there."""
    return np.concatenate([points(count, 3, seed, low, high), np.ones((count, 3, 1))], -1).astype(
        "float32"
    )


def _drawn(poses, **arguments):
    return np.asarray(PoseMaps(SIZE, **arguments)(poses))


@pytest.mark.parametrize("stride", [1, 2])
def test_maps_are_equation_one(stride):
    """In pixels of the picture; a cell of stride 2 lies in the middle of its four pixels."""
    poses = _poses()
    found = _drawn(poses, sigma=3.0, peak=5.0, stride=stride)
    y, x = ((np.arange(side // stride) + 0.5) * stride - 0.5 for side in SIZE)
    places = poses[..., :2] * SIZE[::-1] - 0.5
    for i, k in np.ndindex(2, 3):
        squares = (x - places[i, k, 0]) ** 2 + (y[:, None] - places[i, k, 1]) ** 2
        np.testing.assert_allclose(found[i, ..., k], 5 * np.exp(-squares / 18), atol=1e-4)
    assert found.shape == (2, 24 // stride, 40 // stride, 3)


def test_fine_maps_are_single_cells_split_linearly():
    poses = np.ones((1, 2, 3), np.float32)
    poses[0, :, :2] = [[(7 + 0.5) / 40, (20 + 0.5) / 24], [(3.25 + 0.5) / 40, (10.5 + 0.5) / 24]]
    expected = np.zeros((1, 24, 40, 2))
    expected[0, 20, 7, 0] = 2
    expected[0, 10:12, 3:5, 1] = 0.75, 0.25
    np.testing.assert_allclose(_drawn(poses, peak=2.0, fine=True), expected, atol=1e-5)


@pytest.mark.parametrize("fine", [False, True])
def test_what_is_not_there_leaves_its_map_empty_whatever_it_holds(fine):
    poses = _poses(1, low=0.2, high=0.8)
    expected = _drawn(poses, fine=fine).copy()
    assert expected.max(axis=(1, 2)).min() > 0.2
    expected[..., 1] = 0
    for value in (0.5, 0.0, np.nan, np.inf, -1e30):
        poses[0, 1] = value, value, 0
        np.testing.assert_array_equal(_drawn(poses, fine=fine), expected)
    poses[0, 2] = 3.0, -2.0, 1  # there, far beyond the picture
    assert not _drawn(poses, fine=fine)[..., 2].any()


def test_half_precision_takes_nothing_off_the_places():
    """In float16 a place would be rounded by a tenth of a pixel of a large picture."""
    layer = PoseMaps((640, 640), 1.0, dtype="float32", name="pose_maps")
    poses = keras.Input((3, 3))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Model(poses, layer(poses))
    finally:
        keras.config.set_dtype_policy(before)
    given = _poses(1, low=0.4, high=0.6)
    np.testing.assert_allclose(model(given), layer(given), atol=1e-6)
    again = PoseMaps.from_config(layer.get_config())
    np.testing.assert_array_equal(again(given), layer(given))
    assert again.name == "pose_maps" and model.output.shape == (None, 640, 640, 3)


# beside the picture


NAME = "mobilenet_v2"


def _mobile(maps=None):
    """The smallest MobileNetV2's level 4, and how it is called; maps: (sides, channels)."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 64, 3), name="image")
    given = None if maps is None else keras.Input(maps, name="maps")
    levels = backbones.build(NAME, image, alpha=0.35, maps=given)
    return keras.Model(image if given is None else [image, given], levels[4])


@pytest.mark.parametrize("sides", [(32, 64), (16, 32)], ids=str)
def test_weights_that_know_pictures_alone_begin_where_they_were(sides):
    """What reads the maps begins at zero, and weights that know it are taken as they are."""
    plain, both, further = (_mobile(maps) for maps in (None, (*sides, 5), (*sides, 5)))
    first = both.get_layer("Conv1")
    reads = first if sides == (32, 64) else both.get_layer("beside_conv")
    if reads is not first:  # no part of the backbone
        assert not np.any(reads.kernel)
    draw = np.random.default_rng(1)
    image = draw.uniform(0, 255, (1, 32, 64, 3)).astype(np.float32)
    maps = draw.uniform(0, 2, (1, *sides, 5)).astype(np.float32)
    weights.copy(plain, both, NAME, "plain.keras")
    np.testing.assert_array_equal(first.kernel[:, :, :3], plain.get_layer(first.name).kernel)
    expected = np.asarray(plain(image))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(both([image, maps]), expected, atol=1e-5 * scale)

    reads.kernel.assign(draw.normal(0, 1, reads.kernel.shape))
    assert np.abs(np.asarray(both([image, maps])) - both([image, 0 * maps])).max() > 1e-4 * scale
    weights.copy(both, further, NAME, "both.keras")  # weights that know maps keep them
    np.testing.assert_array_equal(further.get_layer(first.name).kernel, first.kernel)


def test_other_shapes_of_the_first_kernel_are_still_refused():
    wide, narrow = (_mobile((32, 64, n)) for n in (5, 4))
    for source, target in ((wide, narrow), (narrow, wide)):
        with pytest.raises(PoseError, match="Conv1/kernel"):
            weights.copy(source, target, NAME, "other.keras")


@pytest.mark.parametrize("sides", [(32, 32), (16, 16)], ids=str)
def test_hrnet_reads_maps_too(sides):
    image, maps = keras.Input((32, 32, 3)), keras.Input((*sides, 4))
    levels = hrnet.build(image, 32, (1, 1, 1), 1, 1, maps=maps)
    model = keras.Model([image, maps], levels[4])
    for layer in model.layers:
        if layer.name == "beside_conv":
            layer.kernel.assign(np.ones(layer.kernel.shape))
    draw = np.random.default_rng(0)
    given = draw.uniform(0, 255, (1, 32, 32, 3)), draw.uniform(0, 9, (1, *sides, 4))
    found = [np.asarray(model([given[0], factor * given[1]])) for factor in (0, 1)]
    assert np.abs(found[1] - found[0]).max() > 1e-3


def test_maps_at_half_the_sides_join_behind_the_first_normalisation_which_still_folds():
    model = _mobile((16, 32, 5))
    joined = model.get_layer("beside_add")
    beside_it = [x._keras_history.operation.name for x in joined.input]
    assert beside_it == ["bn_Conv1", "beside_conv"]


@pytest.mark.parametrize(("name", "dialect"), [("resnet50", "3x3"), ("resnet50", "1x1"), ("", "")])
def test_contrast_is_what_lies_between_black_and_white(name, dialect):
    image = keras.Input((32, 32, 3))
    if name:
        normalised = keras.Model(image, resnet.normalised(image, dialect))
        contrast = backbones.contrast(name, dialect)
    else:
        whole = keras.Model(image, mobilenet_v2.build(image, 0.35)[4])
        normalised = whole.get_layer("normalise")
        contrast = backbones.contrast("mobilenet_v2")
        assert contrast == backbones.contrast("movenet_slim")
    ends = [np.full((1, 32, 32, 3), value, np.float32) for value in (0, 255)]
    black, white = (np.asarray(normalised(end))[0, 0, 0, 1] for end in ends)
    assert white - black == pytest.approx(contrast)


def test_maps_of_another_size_are_refused():
    with pytest.raises(PoseError, match="stride 1 or 2"):
        _mobile((8, 16, 5))
    beside.check(keras.Input((32, 64, 3)), None)
