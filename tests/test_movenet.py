"""MoveNet's feature extractor: its levels, and the way from its `.tflite` into a network."""

import runpy

import keras
import numpy as np
import pytest
from conftest import ROOT, shared
from keras import ops

from keras_pose import backbones
from keras_pose.backbones import movenet, weights
from keras_pose.errors import PoseError
from keras_pose.export import convert, quantize
from keras_pose.export import movenet as published
from keras_pose.models import PoseurMobile, RePoseLite
from keras_pose.models.start import start

LIGHTNING = "peers/movenet_lightning_fp16.tflite"
SIZE = (64, 64)
TINY = {"skeleton": "lsp14", "input_size": SIZE, "channels": (8, 8, 8), "keypoint_channels": 2}


def _levels(name=movenet.NAME, frozen=True):
    image = keras.Input((*SIZE, 3), name="image")
    return keras.Model(image, backbones.build(name, image, frozen_norm=frozen))


def _images(seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, *SIZE, 3)).astype("float32")


def _run(model, training=False):
    found = model(_images(), training=training)
    return {stride: ops.convert_to_numpy(x) for stride, x in found.items()}


def _unsettled(network, seed=0):
    """Normalisation as training leaves it, in a network that was built with it open."""
    draw = np.random.default_rng(seed)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(draw.uniform(0.8, 1.2, shape))
            layer.beta.assign(draw.normal(0.1, 0.2, shape))
            layer.moving_mean.assign(draw.normal(0, 0.1, shape))
            layer.moving_variance.assign(draw.uniform(0.5, 1.5, shape))
    return network


@pytest.fixture(scope="module")
def source():
    """A network with the whole extractor inside, and what else a file has behind it."""
    return _unsettled(RePoseLite("s", **TINY, backbone=movenet.NAME))


@pytest.fixture(scope="module")
def file(source, tmp_path_factory):
    """Its `.tflite` with float16 weights, as MoveNet is published."""
    path = tmp_path_factory.mktemp("movenet") / "published.tflite"
    path.write_bytes(quantize.half(convert.to_float(source)))
    return path


@pytest.mark.parametrize(("name", "deepest"), [(movenet.NAME, 1280), (movenet.SHORT, 160)])
def test_levels_and_pairs(name, deepest):
    network = _levels(name)
    shapes = {stride: tuple(x.shape[1:]) for stride, x in network.output.items()}
    assert shapes == {4: (16, 16, 24), 8: (8, 8, 56), 16: (4, 4, 128), 32: (2, 2, deepest)}
    present = {layer.name for layer in network.layers if layer.weights}
    named = {layer for pair in movenet.pairs() for layer in pair}
    assert present == (named if name == movenet.NAME else named & present | {"short32"})
    for conv, norm in movenet.pairs():
        if norm in present:
            assert network.get_layer(norm).input is network.get_layer(conv).output


@pytest.mark.parametrize(
    ("name", "coarsest"), [(movenet.NAME, "Conv_1"), (movenet.SHORT, "block_15_project")]
)
def test_the_pyramid_carries_the_coarsest_level_to_the_finest(name, coarsest):
    network = _levels(name)
    before = _run(network)
    network.get_layer(coarsest).kernel.assign(0 * network.get_layer(coarsest).kernel)
    after = _run(network)
    assert all(not np.allclose(before[s][..., :24], after[s][..., :24]) for s in (4, 8, 16))


def test_a_published_file_gives_back_the_network(source, file):
    arrays = published.trunk(file)
    assert set(arrays) == {f"{c}/{p}" for c, _ in movenet.pairs() for p in ("kernel", "bias")}
    network = _unsettled(_levels(), seed=1)
    path = file.with_suffix(".npz")
    np.savez(path, **arrays)
    weights.load(network, movenet.NAME, path)
    same = _levels(frozen=False)
    weights.copy(source, same, movenet.NAME, "source")
    expected, found, training = _run(same), _run(network), _run(network, training=True)
    for stride, wanted in expected.items():
        assert wanted.std() > 0
        tolerance = 0.01 * np.abs(wanted).max()  # weights in half precision
        np.testing.assert_allclose(found[stride], wanted, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(training[stride], found[stride])


def test_networks_begin_with_it_and_short_ones_with_a_part(file, tmp_path):
    path = tmp_path / "movenet.npz"
    np.savez(path, **published.trunk(file))
    long = RePoseLite("s", **TINY, backbone=movenet.NAME, frozen_norm=True, weights=path)
    long.save(tmp_path / "best.keras")
    short = RePoseLite("s", **TINY, backbone=movenet.SHORT, frozen_norm=True)
    start(short, movenet.SHORT, f"backbone:{tmp_path / 'best.keras'}")
    poseur = PoseurMobile(
        input_size=SIZE, backbone=movenet.NAME, frozen_norm=True, weights=path, channels=16,
        decoder_layers=1, heads=2, points=2, feed_forward=16,
    )  # fmt: skip
    new = short.get_layer("short32").kernel
    assert np.abs(new).max() > 0  # what no file has begins at random
    for network in (short, poseur):
        for layer in ("Conv1", "fpn16_lateral", "fpn8"):  # Poseur reads no stride 4
            np.testing.assert_array_equal(
                network.get_layer(layer).kernel, long.get_layer(layer).kernel
            )


def test_lightning_computes_what_its_file_does(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    given = shared(LIGHTNING)
    arrays = published.trunk(given)
    with np.load(shared("weights/mobilenet_v2_movenet_lightning.npz")) as known:
        for key in known.files:  # the trunk alone, taken out by somebody else
            np.testing.assert_array_equal(arrays[key], known[key].astype("float32"), err_msg=key)
    np.savez(tmp_path / "trunk.npz", **arrays)
    image = keras.Input((192, 192, 3))
    network = keras.Model(image, backbones.build(movenet.NAME, image, frozen_norm=True))
    weights.load(network, movenet.NAME, tmp_path / "trunk.npz")
    draw = np.random.default_rng(0).integers(0, 255, (1, 12, 12, 3))
    picture = np.kron(draw, np.ones((1, 16, 16, 1), int)).astype("int32")
    run = Interpreter(model_path=str(given), experimental_preserve_all_tensors=True)
    run.allocate_tensors()
    run.set_tensor(run.get_input_details()[0]["index"], picture)
    run.invoke()
    found = ops.convert_to_numpy(network(picture.astype("float32"))[4])
    same = [
        run.get_tensor(d["index"])
        for d in run.get_tensor_details()
        if tuple(d["shape"]) == found.shape and d["name"].endswith("_bn_offset2")
    ]
    assert min(np.abs(tensor - found).max() for tensor in same) < 1e-3 * found.max()


@pytest.mark.parametrize(
    ("content", "named"), [(None, "No such file"), (b"not a model at all", "cannot be read")]
)
def test_a_file_that_is_no_model(content, named, tmp_path):
    path = tmp_path / "movenet.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PoseError, match=named):
        published.trunk(path)


def test_another_network_is_refused_by_layer(tmp_path):
    path = tmp_path / "other.tflite"
    path.write_bytes(convert.to_float(RePoseLite("s", **TINY)))
    with pytest.raises(PoseError, match="Conv1"):
        published.trunk(path)


def test_keras_has_no_weights_for_it():
    with pytest.raises(PoseError, match=r"train/movenet\.py"):
        weights.load(_levels(), movenet.NAME, "imagenet")


def test_the_command_writes_what_a_network_reads(file, tmp_path, capsys):
    run = runpy.run_path(str(ROOT / "train" / "movenet.py"))["main"]
    out = tmp_path / "movenet.npz"
    run([str(file), "--out", str(out)])
    assert str(out) in capsys.readouterr().out
    weights.load(_levels(), movenet.NAME, out)
    for wrong in ("movenet.h5", f"{tmp_path}/none/movenet.npz"):
        with pytest.raises(SystemExit):
            run([str(file), "--out", wrong])
