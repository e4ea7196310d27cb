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
from keras_pose.export import convert, graph, quantize
from keras_pose.export import movenet as published
from keras_pose.models import PoseurMobile, RePoseLite
from keras_pose.models.slimming import slim

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
    """Normalisation with statistics that differ by channel, but none so small that the rounding of
    half precision grows where a random network's channel hardly varies."""
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


@pytest.mark.parametrize(
    ("name", "deepest"), [(movenet.NAME, 1280), (movenet.SLIM, 256), (movenet.SLIMMER, 128)]
)
def test_levels_and_pairs(name, deepest):
    network = _levels(name)
    shapes = {stride: tuple(x.shape[1:]) for stride, x in network.output.items()}
    assert shapes == {4: (16, 16, 24), 8: (8, 8, 56), 16: (4, 4, 128), 32: (2, 2, deepest)}
    present = {layer.name for layer in network.layers if layer.weights}
    assert present == {layer for pair in movenet.pairs(name) for layer in pair}
    for conv, norm in movenet.pairs(name):
        assert network.get_layer(norm).input is network.get_layer(conv).output


@pytest.mark.parametrize("name", movenet.ENDS)
def test_the_pyramid_carries_the_coarsest_level_to_the_finest(name):
    network = _levels(name)
    before = _run(network)
    network.get_layer("Conv_1").kernel.assign(0 * network.get_layer("Conv_1").kernel)
    after = _run(network)
    assert all(not np.allclose(before[s][..., :24], after[s][..., :24]) for s in (4, 8, 16))


def test_a_published_file_gives_back_the_network(source, file):
    arrays = published.trunk(file)
    assert set(arrays) == {f"{c}/{p}" for c, _ in movenet.pairs() for p in ("kernel", "bias")}
    network = _levels()
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
    with pytest.raises(PoseError, match="block_14_expand"):
        RePoseLite("s", **TINY, backbone=movenet.SLIM, frozen_norm=True, weights=path)


def _crops(count=24):
    draw = np.random.default_rng(1)
    coarse = draw.uniform(0, 255, (count, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype("float32")


def _values(network, tensor):
    values = keras.Model(network.inputs[0], tensor).predict(_crops(), verbose=0)
    return values.reshape(-1, values.shape[-1])


@pytest.fixture(scope="module")
def slimmed(source):
    return slim(source, _crops())


def _is_end(name):
    return name.startswith(("block_14_", "block_15_", "block_16_", "Conv_1", "fpn32"))


def test_a_slim_network_keeps_all_but_the_end_of_its_trunk(source, slimmed):
    assert slimmed.arguments == {**source.arguments, "backbone": movenet.SLIM}
    assert slimmed.count_params() < 0.65 * source.count_params()
    for layer in slimmed.layers:
        if layer.weights and not _is_end(layer.name):
            for mine, theirs in zip(
                layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)


def test_the_channels_that_stay_are_those_of_the_source(source, slimmed):
    """Behind the first block that is cut, before any fit has changed what it reads."""
    mine, theirs = (n.get_layer("block_14_depthwise_relu").output for n in (slimmed, source))
    mine, theirs = _values(slimmed, mine), _values(source, theirs)
    kept = [np.flatnonzero((theirs == column[:, None]).all(axis=0)) for column in mine.T]
    assert all(len(found) for found in kept)
    weight = np.linalg.norm(source.get_layer("block_14_project").kernel.numpy()[0, 0], axis=1)
    says = theirs.std(axis=0) * weight
    kept = {int(found[0]) for found in kept}
    assert min(says[sorted(kept)]) >= max(np.delete(says, sorted(kept)))


def test_a_slim_network_can_be_slimmed_again(slimmed):
    slimmer = slim(slimmed, _crops(), movenet.SLIMMER)
    assert slimmer.arguments["backbone"] == movenet.SLIMMER
    assert slimmer.count_params() < slimmed.count_params()
    x = slimmer.get_layer("block_14_depthwise_relu").output
    y = slimmed.get_layer("block_14_depthwise_relu").output
    x, y = _values(slimmer, x), _values(slimmed, y)
    assert all((y == column[:, None]).all(axis=0).any() for column in x.T)


@pytest.mark.parametrize("reader", ["block_14_project", "fpn32"])
def test_what_reads_them_is_fitted(source, slimmed, reader):
    """No linear map of the channels that are left comes much closer to what there was before."""
    x = _values(slimmed, slimmed.get_layer(reader).input)
    found, wanted = (_values(n, n.get_layer(f"{reader}_BN").output) for n in (slimmed, source))
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    best = x @ np.linalg.lstsq(x, wanted, rcond=None)[0]
    error, least = np.mean((found - wanted) ** 2), np.mean((best - wanted) ** 2)
    assert least - 1e-6 <= error < least + 0.1 * wanted.var(axis=0).mean()
    np.testing.assert_allclose(found.mean(axis=0), wanted.mean(axis=0), atol=1e-2)


def test_only_a_network_around_it_can_be_slimmed(source, slimmed):
    for network, named in ((RePoseLite("s", **TINY), "None"), (slimmed, "movenet_slim")):
        with pytest.raises(PoseError, match=named):
            slim(network, _crops(2))
    with pytest.raises(PoseError, match="resnet50"):
        slim(source, _crops(2), "resnet50")
    poseur = PoseurMobile(
        input_size=SIZE, backbone=movenet.NAME, channels=16, decoder_layers=1, heads=2, points=2,
        feed_forward=16,
    )  # fmt: skip
    with pytest.raises(PoseError, match="neck32_conv"):
        slim(poseur, _crops(2))


def test_the_command_slims_a_file(source, tmp_path, capsys):
    run = runpy.run_path(str(ROOT / "train" / "slim.py"))["main"]
    source.save(tmp_path / "best.keras")
    out = tmp_path / "slim.keras"
    run([str(tmp_path / "best.keras"), "--data", "figures:8", "--out", str(out), "--count", "8"])
    assert "8 crops" in capsys.readouterr().out
    network = RePoseLite("s", **TINY, backbone=movenet.SLIM, weights=str(out))
    np.testing.assert_array_equal(network.get_layer("fpn4").kernel, source.get_layer("fpn4").kernel)
    for wrong in (["--count", "0"], ["--out", "slim.h5"]):
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


@pytest.mark.parametrize("change", [lambda given: given[:2], lambda given: [*given[:2], -1]])
def test_a_convolution_without_bias_is_none_of_its(change, file, tmp_path):
    model = graph.read(file.read_bytes())
    first = next(op for op in graph.operations(model) if op.kind == "CONV_2D").operator
    first.inputs = change(list(first.inputs))
    path = tmp_path / "plain.tflite"
    path.write_bytes(graph.write(model))
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
