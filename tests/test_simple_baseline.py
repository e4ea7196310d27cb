"""SimpleBaseline: what all networks must do, its geometry, its counts, and what int8 takes."""

import keras
import numpy as np
import pytest
from model_checks import ARM, ModelChecks, pictures, unsettle

from keras_pose import export, models
from keras_pose.codecs import GaussianHeatmap, SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.export import graph
from keras_pose.metadata import strip
from keras_pose.models import SimpleBaseline
from keras_pose.models.counting import count
from keras_pose.models.simple_baseline import enlarged

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [32, 32],
    "backbone": "mobilenet_v2",
    "alpha": 0.35,
    "level": 8,  # a deeper random trunk would make another answer of rounding
    "deconvolutions": 1,
    "filters": 8,
}


def _tiny(**changes):
    keras.utils.set_random_seed(1)
    return SimpleBaseline(**{**TINY, **changes})


class TestSimpleBaseline(ModelChecks):
    builder = "SimpleBaseline"
    arguments = TINY
    outputs = {"heatmaps": (8, 8, 3)}  # noqa: RUF012
    int8_error = 0.2  # a random trunk: linear bottlenecks, whose ranges nothing bounds


def test_counts_of_the_base_model():
    counts = count(SimpleBaseline())
    assert counts.trainable == 33_999_697
    assert counts.multiply_adds == pytest.approx(5.427e9, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "size", "layer"),
    [
        ({"level": 32, "deconvolutions": 3}, (8, 8), "out_relu"),
        ({"level": 8, "deconvolutions": 2}, (16, 16), "deconv2_conv"),
        ({"level": 4, "deconvolutions": 0}, (8, 8), "block_2_add"),
        ({"backbone": "movenet", "level": 16, "deconvolutions": 2}, (8, 8), "fpn16"),
        ({"backbone": "movenet_slim", "level": 4, "deconvolutions": 0}, (8, 8), "fpn4"),
        ({"backbone": "resnet50", "level": 4, "deconvolutions": 0}, (8, 8), "conv2_block3_out"),
    ],
    ids=str,
)
def test_maps_are_as_fine_as_level_and_deconvolutions_say(changes, size, layer):
    alpha = 0.35 if changes.get("backbone", "mobilenet_v2") == "mobilenet_v2" else 1.0
    network = _tiny(alpha=alpha, **changes)
    assert network.codec.map_size == size == network.output["heatmaps"].shape[1:3]
    names = {x.name for x in network.layers}
    assert layer in names
    transposed = {n for n in names if n.startswith("deconv") and n.endswith("_conv")}
    assert len(transposed) == changes["deconvolutions"]


def test_a_transposed_convolution_looks_evenly_to_both_sides():
    """A kernel of 4 with one cell cut at each border: cell i writes the cells 2i - 1 to 2i + 2."""
    cells = keras.Input((5, 7, 1))
    layer = keras.Model(cells, enlarged(cells, 1, 1)).get_layer("deconv1_conv")
    layer.kernel.assign(np.arange(1, 17, dtype="float32").reshape(4, 4, 1, 1))
    impulse = np.zeros((1, 5, 7, 1), "float32")
    impulse[0, 2, 3] = 1
    expected = np.zeros((10, 14))
    expected[3:7, 5:9] = np.arange(1, 17).reshape(4, 4)
    np.testing.assert_array_equal(np.asarray(layer(impulse))[0, :, :, 0], expected)


def test_maps_begin_almost_empty():
    network = _tiny()
    found = np.asarray(network(pictures(network).astype("float32"))["heatmaps"])
    assert 0 < np.abs(found).max() < 0.05


@pytest.mark.parametrize(("loss", "codec"), [("softmax", SoftmaxHeatmap), ("mse", GaussianHeatmap)])
def test_loss_decoder_and_geometry_are_the_codecs(loss, codec):
    made = _tiny(loss=loss, sigma=7.0, decoder="quarter", unbiased=True).codec
    assert isinstance(made, codec)
    assert (made.sigma, made.decoder, made.unbiased) == (7.0, "quarter", True)


def test_another_decoder_may_read_the_same_weights_but_another_geometry_may_not(tmp_path):
    path = tmp_path / "best.keras"
    _tiny().save(path)
    assert _tiny(decoder="dark", weights=path).codec.decoder == "dark"
    with pytest.raises(PoseError, match="unbiased"):
        _tiny(unbiased=True, weights=path)


def test_int8_computes_the_transposed_convolutions_in_integers():
    network = _tiny(deconvolutions=2)
    unsettle(network)
    content = export.to_tflite(network, "int8", "uint8", calibration=pictures(network, 4))
    found = graph.operations(graph.read(strip(content)))
    transposed = [op for op in found if op.kind == "TRANSPOSE_CONV"]
    assert len(transposed) == 2
    for op in transposed:
        assert op.outputs == ("int8",) and op.inputs.count("int8") == 2  # maps and kernel
    left = {op.kind for op in found if not op.decode and "float32" in op.inputs + op.outputs}
    assert left <= {"QUANTIZE", "DEQUANTIZE", "CONV_2D", "CAST", "MUL", "ADD"}
    heads = [op for op in found if op.kind == "CONV_2D" and "float32" in op.outputs]
    assert len(heads) == 1  # the last maps alone


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "vgg"}, "backbone among"),
        ({"level": 6}, "levels of mobilenet_v2"),
        ({"level": 64}, "levels of mobilenet_v2"),
        ({"input_size": (48, 32)}, "multiples of 32"),
        ({"input_size": 32}, "two whole numbers"),
        ({"deconvolutions": -1}, "deconvolutions as a whole number"),
        ({"deconvolutions": 4}, "at most 3 deconvolutions"),
        ({"deconvolutions": 0, "level": 16}, "at least 3 x 3 cells"),
        ({"filters": 0}, "filters"),
        ({"kernel": 1}, "kernel"),
        ({"kernel": 2.5}, "kernel"),
        ({"loss": "hinge"}, "a loss among"),
        ({"sigma": 0}, "positive sigma"),
        ({"decoder": "guess"}, "a decoder among"),
        ({"unbiased": 1}, "unbiased True or False"),
        ({"frozen_norm": "yes"}, "frozen_norm True or False"),
        ({"weights": "missing.npz", "frozen_norm": True}, "does not exist"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(changes, words):
    with pytest.raises(PoseError, match=words) as refusal:
        _tiny(**changes)
    assert refusal.value.advice


def test_the_builder_is_found_by_name():
    assert models.SimpleBaseline is SimpleBaseline
