"""Backbones: published counts, the outputs of keras.applications, and every way to fill them."""

import re

import keras
import numpy as np
import pytest
from conftest import shared
from keras import ops

from keras_pose import backbones
from keras_pose.backbones import mobilenet_v2, resnet, weights
from keras_pose.errors import PoseError
from keras_pose.models.counting import count

SMALL = {"alpha": 0.35}
MOBILE_LEVELS = ("block_2_add", "block_5_add", "block_12_add", "out_relu")
RESNET_LEVELS = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
TRUNK = "weights/mobilenet_v2_movenet_lightning.npz"


def _network(name="mobilenet_v2", size=(64, 64), levels=backbones.STRIDES, **arguments):
    image = keras.Input((*size, 3), name="image")
    made = backbones.build(name, image, **arguments)
    outputs = [made[stride] for stride in levels]
    return keras.Model(image, outputs if len(outputs) > 1 else outputs[0])


def _images(size=(64, 64), count=2, seed=0):
    draw = np.random.default_rng(seed)
    coarse = draw.uniform(0, 255, (count, size[0] // 8, size[1] // 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype("float32")


def _unsettle(model, seed=0):
    """Normalisations and biases as training leaves them."""
    draw = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(draw.uniform(0.6, 1.2, shape))
            layer.beta.assign(draw.normal(0.1, 0.3, shape))
            layer.moving_mean.assign(draw.normal(0, 0.3, shape))
            layer.moving_variance.assign(draw.uniform(0.5, 1.5, shape))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(draw.normal(0, 0.3, layer.bias.shape))
    return model


def _of_layers(model, names):
    return keras.Model(model.inputs[0], [model.get_layer(name).output for name in names])


def _run(model, images, training=False):
    outputs = model(images, training=training)
    return [ops.convert_to_numpy(x) for x in (outputs if len(model.outputs) > 1 else [outputs])]


def _close(found, expected, tolerance=1e-4):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())
        assert b.std() > 0.01 * np.abs(b).max()  # there was something to compare


def _fold(model, name, path, change=lambda arrays: None):
    """Writes a trunk with normalisation folded in; the scale goes into the kernel's last axis but
    for depthwise kernels, whose outputs are on the third."""
    arrays = {}
    for conv, norm in weights._all_pairs(name):
        if conv not in {layer.name for layer in model.layers}:
            continue
        layer, bn = model.get_layer(conv), model.get_layer(norm)
        scale = bn.gamma.numpy() / np.sqrt(bn.moving_variance.numpy() + bn.epsilon)
        kernel = layer.kernel.numpy()
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        arrays[f"{conv}/kernel"] = kernel * (scale[:, None] if depthwise else scale)
        arrays[f"{conv}/bias"] = bn.beta.numpy() - bn.moving_mean.numpy() * scale
    change(arrays)
    np.savez(path, **arrays)
    return path


# --- what is built


@pytest.mark.parametrize(
    ("name", "trainable", "gmac", "channels"),
    [
        ("mobilenet_v2", 2_223_872, 0.293, (24, 32, 96, 1280)),
        ("resnet50", 23_508_032, 4.004, (256, 512, 1024, 2048)),
    ],
)
def test_published_counts_and_levels(name, trainable, gmac, channels):
    network = _network(name, (256, 192))
    counts = count(network)
    assert counts.trainable == trainable
    assert round(counts.multiply_adds / 1e9, 3) == gmac
    shapes = [(256 // s, 192 // s, c) for s, c in zip(backbones.STRIDES, channels, strict=True)]
    assert [tuple(x.shape[1:]) for x in network.outputs] == shapes


def test_deeper_resnets():
    assert count(_network("resnet101", (32, 32))).trainable == 42_500_160
    assert len(resnet.pairs("resnet152")) == 155  # 3 (3 + 8 + 36 + 3) + 4 projections + the first


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_pairs_name_every_layer_with_weights(name):
    network = _network(name, (32, 32))
    named = [layer for pair in weights._all_pairs(name) for layer in pair]
    assert sorted(named) == sorted(layer.name for layer in network.layers if layer.weights)
    for conv, norm in weights._all_pairs(name):
        assert network.get_layer(norm).input is network.get_layer(conv).output


@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
def test_widths_are_those_of_keras(alpha):
    network = _network(size=(32, 32), alpha=alpha)
    twin = keras.applications.MobileNetV2((32, 32, 3), alpha, include_top=False, weights=None)
    for conv, _ in mobilenet_v2.pairs():
        assert network.get_layer(conv).kernel.shape == twin.get_layer(conv).kernel.shape, conv


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_frozen_normalisation_runs_in_training_as_it_does_after(name):
    levels = (4,) if name == "resnet50" else backbones.STRIDES
    alpha = 0.35 if name == "mobilenet_v2" else 1.0
    frozen = _unsettle(_network(name, levels=levels, alpha=alpha, frozen_norm=True))
    free = _network(name, levels=levels, alpha=alpha)
    free.set_weights(frozen.get_weights())
    images = _images()
    expected = _run(frozen, images)
    _close(_run(frozen, images, training=True), expected, 0)
    assert not np.allclose(_run(free, images, training=True)[0], expected[0], atol=1e-2)
    assert {w.path.rpartition("/")[2] for w in frozen.trainable_weights} == {"kernel"}
    assert len(free.trainable_weights) == 3 * len(frozen.trainable_weights)


def test_a_short_run_leaves_usable_moving_statistics():
    for network in (_network(size=(32, 32), **SMALL), _network("resnet50", (32, 32), (4,))):
        norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
        assert max(norm.momentum for norm in norms) ** 200 < 0.01  # what is left of the start


def test_the_3x3_dialect_pads_both_sides_and_normalises_as_torch():
    network = _network("resnet50", levels=(4, 8), stride_in="3x3")
    names = ("normalise", "conv3_block1_1_relu", "conv3_block1_2_conv")
    rgb, before, after = _run(_of_layers(network, names), _images())
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    np.testing.assert_allclose(rgb, (_images() / 255 - mean) / deviation, atol=1e-4)
    kernel = network.get_layer("conv3_block1_2_conv").kernel.numpy()
    padded = np.pad(before, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for y, x in ((0, 0), (3, 5), (7, 7)):
        window = padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
        expected = np.einsum("bhwc,hwcd->bd", window, kernel)
        np.testing.assert_allclose(after[:, y, x], expected, rtol=1e-3, atol=1e-3)


# --- weights of keras.applications


@pytest.fixture(scope="module")
def keras_mobile(tmp_path_factory):
    """A MobileNetV2 of Keras in all the files it may come in, and its folder."""
    folder = tmp_path_factory.mktemp("mobile")
    top = _unsettle(keras.applications.MobileNetV2((96, 96, 3), **SMALL, weights=None))
    bare = keras.applications.MobileNetV2((64, 96, 3), **SMALL, weights=None, include_top=False)
    bare.set_weights(top.get_weights()[:-2])
    for model, name in ((top, "top"), (bare, "bare")):
        model.save(folder / f"{name}.h5")
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
    return bare, folder


FILES = [f"{n}.{s}" for n in ("top", "bare") for s in ("h5", "keras", "weights.h5")]


@pytest.mark.filterwarnings("ignore:You are saving")
def test_mobilenet_computes_what_keras_does_from_every_file(keras_mobile):
    bare, folder = keras_mobile
    network = _network(size=(64, 96), **SMALL)
    images = _images((64, 96))
    expected = _run(_of_layers(bare, MOBILE_LEVELS), images / 127.5 - 1)
    start = network.get_weights()
    for file in FILES:
        network.set_weights(start)
        weights.load(network, "mobilenet_v2", folder / file, alpha=0.35)
        _close(_run(network, images), expected)


def test_resnet_computes_what_keras_does(tmp_path):
    arguments = {"weights": None, "include_top": False}
    twin = _unsettle(keras.applications.ResNet50(input_shape=(64, 64, 3), **arguments))
    path = tmp_path / "resnet50.weights.h5"
    twin.save_weights(path)
    network = _network("resnet50", stride_in="1x1")
    weights.load(network, "resnet50", path)
    images = _images()
    pictures = keras.applications.resnet.preprocess_input(images.copy())
    _close(_run(network, images), _run(_of_layers(twin, RESNET_LEVELS), pictures))
    with pytest.raises(PoseError, match="stride_in"):
        weights.load(_network("resnet50", (32, 32), (4,)), "resnet50", path)


def test_shallow_levels_take_what_they_have(keras_mobile):
    bare, folder = keras_mobile
    network = _network(size=(64, 96), levels=(4, 8), **SMALL)
    weights.load(network, "mobilenet_v2", folder / "bare.keras", alpha=0.35)
    images = _images((64, 96))
    expected = _run(_of_layers(bare, MOBILE_LEVELS[:2]), images / 127.5 - 1)
    _close(_run(network, images), expected)


@pytest.mark.parametrize("file", FILES)
def test_another_alpha_is_refused_by_file_and_layer(keras_mobile, file):
    network = _network(size=(32, 32), alpha=0.75)
    before = network.get_weights()
    with pytest.raises(PoseError) as refusal:
        weights.load(network, "mobilenet_v2", keras_mobile[1] / file, alpha=0.75)
    assert file in refusal.value.received
    assert "Conv1" in refusal.value.received
    assert "alpha" in refusal.value.expected + refusal.value.advice
    for a, b in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_imagenet_comes_from_keras_and_a_failed_download_says_what_to_do(monkeypatch):
    asked = {}

    def application(**arguments):
        asked.update(arguments)
        return _unsettle(bare)

    def offline(**arguments):
        raise Exception("URL fetch failure on https://somewhere: None -- unreachable")

    bare = keras.applications.MobileNetV2((32, 32, 3), **SMALL, weights=None, include_top=False)
    network = _network(size=(32, 32), **SMALL)
    monkeypatch.setattr(keras.applications, "MobileNetV2", application)
    weights.load(network, "mobilenet_v2", "imagenet", alpha=0.35)
    assert asked["weights"] == "imagenet"
    assert asked["alpha"] == 0.35
    np.testing.assert_array_equal(
        network.get_layer("Conv_1_bn").beta.numpy(), bare.get_layer("Conv_1_bn").beta.numpy()
    )
    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    with pytest.raises(PoseError, match="path") as refusal:
        weights.load(network, "mobilenet_v2", "imagenet", alpha=0.35)
    assert "URL fetch failure" in refusal.value.received


# --- trunks


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_a_folded_trunk_computes_what_it_was_made_from(name, tmp_path):
    mobile = name == "mobilenet_v2"
    arguments = {"alpha": 0.35} if mobile else {"levels": (4,)}
    source = _unsettle(_network(name, **arguments))
    path = _fold(source, name, tmp_path / "trunk.npz")
    network = _unsettle(_network(name, **arguments, frozen_norm=True), seed=1)
    weights.load(network, name, path, alpha=0.35)
    images = _images()
    expected = _run(source, images)
    _close(_run(network, images), expected)
    _close(_run(network, images, training=True), expected)


def test_the_trunk_at_hand_is_convolution_bias_relu6():
    path = shared(TRUNK)
    network = _network(frozen_norm=True)
    weights.load(network, "mobilenet_v2", path)
    images = _images()
    given = {k: v.astype("float32") for k, v in np.load(path).items()}

    def step(x, name, apply=ops.conv, stride=1, active=True):
        x = apply(x, given[f"{name}/kernel"], strides=stride, padding="same")
        x = x + given[f"{name}/bias"]
        return ops.clip(x, 0, 6) if active else x

    x = step(images / 127.5 - 1, "Conv1", stride=2)
    x = step(x, "expanded_conv_depthwise", ops.depthwise_conv)
    x = step(x, "expanded_conv_project", active=False)
    x = step(x, "block_1_expand")
    x = step(x, "block_1_depthwise", ops.depthwise_conv, stride=2)
    x = step(x, "block_1_project", active=False)
    found = _run(_of_layers(network, ["block_1_project_BN"]), images)
    _close(found, [ops.convert_to_numpy(x)], 1e-5)
    last = _run(network, images)[3]
    assert 0.05 < (last > 0).mean() < 0.9
    assert (last == 6).mean() < 0.1  # features, not a saturated stack


def test_calibration_keeps_the_function_and_thaws_it(tmp_path):
    path = _fold(_unsettle(_network(**SMALL)), "mobilenet_v2", tmp_path / "trunk.npz")
    frozen, free = (_network(**SMALL, frozen_norm=x) for x in (True, False))
    weights.load(frozen, "mobilenet_v2", path, alpha=0.35)
    images = _images(count=12)
    expected = _run(frozen, images)
    free.set_weights(frozen.get_weights())
    lost = _run(free, images, training=True)
    assert np.corrcoef(lost[3].ravel(), expected[3].ravel())[0, 1] < 0.9
    weights.calibrate_norms(frozen, "mobilenet_v2", images, batch_size=4)
    _close(_run(frozen, images), expected, 1e-3)
    free.set_weights(frozen.get_weights())
    _close(_run(free, images, training=True), expected, 1e-2)


def _drop(arrays):
    del arrays["block_3_project/bias"]


def _widen(arrays):
    arrays["block_3_project/bias"] = np.zeros(7)


def _spoil(arrays):
    arrays["block_3_project/kernel"][0, 0, 0, 0] = np.nan


def _deepen(arrays):
    arrays["block_17_expand/bias"] = np.zeros(8)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_drop, "block_3_project/bias"),
        (_widen, "block_3_project"),
        (_spoil, "block_3_project"),
        (_deepen, "block_17_expand"),
    ],
)
def test_a_trunk_that_does_not_fit_is_refused_by_file_and_layer(change, named, tmp_path):
    network = _network(size=(32, 32), **SMALL, frozen_norm=True)
    path = _fold(network, "mobilenet_v2", tmp_path / "trunk.npz", change)
    before = network.get_weights()
    with pytest.raises(PoseError) as refusal:
        weights.load(network, "mobilenet_v2", path, alpha=0.35)
    assert named in str(refusal.value)
    assert "trunk.npz" in refusal.value.received
    for a, b in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_trunk_needs_frozen_normalisation(tmp_path):
    network = _network(size=(32, 32), **SMALL)
    path = _fold(network, "mobilenet_v2", tmp_path / "trunk.npz")
    with pytest.raises(PoseError, match="frozen_norm=True"):
        weights.load(network, "mobilenet_v2", path, alpha=0.35)


# --- refusals


@pytest.mark.parametrize("file", ["absent.h5", "absent.npz", "torch.pth", "imagenet21k"])
def test_weights_that_are_not_there_or_of_no_known_kind(file, tmp_path):
    with pytest.raises(PoseError, match=file):
        weights.load(_network(size=(32, 32), **SMALL), "mobilenet_v2", tmp_path / file)


@pytest.mark.parametrize("file", ["a.h5", "a.weights.h5", "a.keras", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"weights" * 100])
def test_damaged_files_are_refused(file, content, tmp_path):
    (tmp_path / file).write_bytes(content)
    network = _network(size=(32, 32), levels=(4,), **SMALL, frozen_norm=True)
    with pytest.raises(PoseError, match=re.escape(file)):
        weights.load(network, "mobilenet_v2", tmp_path / file, alpha=0.35)


def test_a_network_without_the_backbone_is_refused():
    with pytest.raises(PoseError, match="resnet50"):
        weights.load(_network(size=(32, 32), levels=(4,), **SMALL), "resnet50", "imagenet")


@pytest.mark.parametrize(
    ("name", "size", "levels", "named"),
    [
        ("vgg16", (64, 64), (4, 8), "vgg16"),
        ("resnet50", (64, 48), (4, 8), "(64, 48)"),
        ("resnet50", (0, 64), (4, 8), "(0, 64)"),
        ("mobilenet_v2", (64, 64), (4, 64), "64"),
        ("mobilenet_v2", (64, 64), (), "()"),
        ("mobilenet_v2", (64, 64), (8, 8), "(8, 8)"),
        ("mobilenet_v2", (64, 64), 8, "8"),
    ],
)
def test_check_refuses_what_no_backbone_gives(name, size, levels, named):
    with pytest.raises(PoseError) as refusal:
        backbones.check(name, size, levels)
    assert named in refusal.value.received
    assert refusal.value.advice


@pytest.mark.parametrize("levels", [(4, 8, 16, 32), [32], (16, 8)])
def test_check_lets_any_subset_pass(levels):
    backbones.check("mobilenet_v2", [256, 192], levels)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vgg16", {}),
        ("mobilenet_v2", {"alpha": 0.2}),
        ("mobilenet_v2", {"alpha": 2}),
        ("mobilenet_v2", {"alpha": "wide"}),
        ("mobilenet_v2", {"stride_in": "1x1"}),
        ("resnet50", {"alpha": 0.5}),
        ("resnet50", {"stride_in": "7x7"}),
    ],
)
def test_build_refuses_what_a_backbone_does_not_have(name, arguments):
    with pytest.raises(PoseError) as refusal:
        backbones.build(name, keras.Input((32, 32, 3)), **arguments)
    assert refusal.value.advice
