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
from keras_pose.models.shorten import shorten

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
    assert present == {layer for pair in movenet.pairs(name) for layer in pair}
    for conv, norm in movenet.pairs(name):
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


def test_other_networks_begin_with_it(file, tmp_path):
    path = tmp_path / "movenet.npz"
    np.savez(path, **published.trunk(file))
    long = RePoseLite("s", **TINY, backbone=movenet.NAME, frozen_norm=True, weights=path)
    poseur = PoseurMobile(
        input_size=SIZE, backbone=movenet.NAME, frozen_norm=True, weights=path, channels=16,
        decoder_layers=1, heads=2, points=2, feed_forward=16,
    )  # fmt: skip
    for layer in ("Conv1", "fpn16_lateral", "fpn8"):  # Poseur reads no stride 4
        np.testing.assert_array_equal(poseur.get_layer(layer).kernel, long.get_layer(layer).kernel)
    with pytest.raises(PoseError, match="short32"):
        RePoseLite("s", **TINY, backbone=movenet.SHORT, frozen_norm=True, weights=path)


def _crops(count=24):
    draw = np.random.default_rng(1)
    coarse = draw.uniform(0, 255, (count, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype("float32")


def test_a_shortened_network_keeps_all_but_the_end_of_its_trunk(source):
    short = shorten(source, _crops())
    assert short.arguments == {**source.arguments, "backbone": movenet.SHORT}
    assert short.count_params() < 0.65 * source.count_params()
    for layer in short.layers:
        if layer.weights and not layer.name.startswith("short32"):
            for mine, theirs in zip(
                layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)


def test_the_fit_is_exact_where_the_end_is_linear(source):
    """The pyramid's first convolution made to see a linear map of block 15 is found again."""
    short = shorten(source, _crops())
    top, norm = short.get_layer("short32"), short.get_layer("short32_BN")
    features = keras.Model(short.inputs[0], top.input).predict(_crops(), verbose=0)
    found = keras.Model(short.inputs[0], norm.output).predict(_crops(), verbose=0)
    wanted = keras.Model(source.inputs[0], source.get_layer("fpn32_BN").output).predict(
        _crops(), verbose=0
    )
    x = features.reshape(-1, features.shape[-1])
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = wanted.reshape(-1, wanted.shape[-1])
    best = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    error = np.mean((found.reshape(y.shape) - y) ** 2)
    assert np.mean((best - y) ** 2) <= error < 0.9 * y.var(axis=0).mean()
    np.testing.assert_allclose(found.reshape(y.shape).mean(axis=0), y.mean(axis=0), atol=1e-2)


def test_only_a_network_behind_it_can_be_shortened(source):
    for network, named in (
        (RePoseLite("s", **TINY), "None"),
        (shorten(source, _crops(2)), "movenet_short"),
    ):
        with pytest.raises(PoseError, match=named):
            shorten(network, _crops(2))
    poseur = PoseurMobile(
        input_size=SIZE, backbone=movenet.NAME, channels=16, decoder_layers=1, heads=2, points=2,
        feed_forward=16,
    )  # fmt: skip
    with pytest.raises(PoseError, match="neck32_conv"):
        shorten(poseur, _crops(2))


def test_the_command_shortens_a_file(source, tmp_path, capsys):
    run = runpy.run_path(str(ROOT / "train" / "shorten.py"))["main"]
    source.save(tmp_path / "best.keras")
    out = tmp_path / "short.keras"
    run([str(tmp_path / "best.keras"), "--data", "figures:8", "--out", str(out), "--count", "8"])
    assert "8 crops" in capsys.readouterr().out
    network = RePoseLite("s", **TINY, backbone=movenet.SHORT, weights=str(out))
    np.testing.assert_array_equal(network.get_layer("fpn4").kernel, source.get_layer("fpn4").kernel)
    for wrong in (["--count", "0"], ["--out", "short.h5"]):
        with pytest.raises(SystemExit):
            run([str(out), "--data", "figures:8", "--out", str(out), *wrong])


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
