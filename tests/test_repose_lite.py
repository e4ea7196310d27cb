"""RePoseLite: what all networks must do, and what it keeps of RePose."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from model_checks import ARM, ModelChecks, pictures, run, unsettle

from keras_pose import export, models
from keras_pose.codecs import GaussianHeatmap, SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.models import RePoseLite
from keras_pose.models.counting import count
from keras_pose.models.repose_lite import BEHIND as BEHIND_SIZES
from keras_pose.models.repose_lite import SIZES, update_waves
from keras_pose.skeletons import COCO17, LSP14, MPII16, Skeleton

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [32, 32],
    "stem": 8,
    "channels": [8, 8, 8],
    "blocks": [0, 1, 1],
    "keypoint_channels": 2,
}


class TestRePoseLite(ModelChecks):
    builder = "RePoseLite"
    arguments = TINY
    outputs = {"pre": (4, 4, 3), "post": (4, 4, 3), "heatmaps": (8, 8, 3)}  # noqa: RUF012


BEHIND = {
    "skeleton": ARM.to_dict(),
    "input_size": [32, 32],
    "channels": [8, 8],  # a deeper random trunk would make another answer of rounding
    "keypoint_channels": 2,
    "backbone": "mobilenet_v2",
    "alpha": 0.35,
}


class TestBehindABackbone(ModelChecks):
    builder = "RePoseLite"
    arguments = BEHIND
    outputs = TestRePoseLite.outputs
    int8_error = 0.2  # a random trunk: linear bottlenecks, whose ranges nothing bounds


def test_a_backbone_gives_the_levels_and_keeps_its_weights(tmp_path):
    network = RePoseLite(**BEHIND)
    unsettle(network)  # statistics as after training: not those of a folded trunk
    names = {layer.name for layer in network.layers}
    assert "block_5_project" in names  # stride 8, the deepest that two widths read
    assert "block_6_expand" not in names
    assert not [name for name in names if name.startswith("stem")]
    network.save(tmp_path / "a.keras")
    other = RePoseLite(**{**BEHIND, "keypoint_channels": 3}, weights=f"backbone:{tmp_path}/a.keras")
    for name in ("Conv1", "block_5_project"):
        np.testing.assert_array_equal(
            network.get_layer(name).get_weights()[0], other.get_layer(name).get_weights()[0]
        )
    assert other.arguments["weights"] is None


def test_sizes_behind_a_backbone():
    small, medium = (RePoseLite(size, backbone="mobilenet_v2") for size in "sm")
    assert small.arguments["channels"] == list(BEHIND_SIZES["s"]["channels"])
    assert small.count_params() == 601_082
    assert small.count_params() < medium.count_params()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stem": 8}, "stem=8"),
        ({"blocks": (1, 1, 1)}, "blocks="),
        ({"backbone": "vgg"}, "backbone among"),
        ({"channels": (8, 8, 8, 8, 8)}, "at most 4 strides"),
        ({"input_size": (48, 32)}, "multiples of 32"),
        ({"weights": "missing.npz", "frozen_norm": True}, "does not exist"),
        ({"weights": 3}, "weights as"),
        ({"frozen_norm": "yes"}, "frozen_norm True or False"),
        ({"backbone": None}, "a backbone beside alpha"),
        ({"backbone": None, "alpha": 1.0, "frozen_norm": True}, "beside frozen_norm"),
    ],
)
def test_what_does_not_fit_a_backbone_is_refused(changes, words):
    with pytest.raises(PoseError, match=words):
        RePoseLite(**{**BEHIND, **changes})


def _tiny(**changes):
    return RePoseLite(**{**TINY, **changes})


@pytest.mark.parametrize("skeleton", [LSP14, MPII16, COCO17], ids=lambda s: s.name)
@pytest.mark.parametrize("ordering", ["hips-out", "top-down"])
def test_waves_visit_everyone_once_and_grow_along_the_edges(skeleton, ordering):
    waves = update_waves(skeleton, ordering)
    assert sorted(k for wave in waves for k in wave) == list(range(skeleton.count))
    assert waves[0][0] == skeleton.update_order(ordering)[0]
    position = {k: i for i, wave in enumerate(waves) for k in wave}
    for k in range(skeleton.count):
        assert position[skeleton.mirror[k]] == position[k]  # right and left together
        near = [position[j] for j in skeleton.neighbours(k)]
        assert all(abs(p - position[k]) <= 1 for p in near)
        assert position[k] == 0 or min(near) == position[k] - 1


def test_waves_of_the_hips_are_those_of_the_paper_in_four_steps():
    names = [{LSP14.keypoints[k] for k in wave} for wave in update_waves(LSP14)]
    assert names[0] == {"right_hip", "left_hip"}
    assert names[-1] == {"right_wrist", "left_wrist", "head_top"}
    assert len(names) == 4


def test_key_points_without_edges_are_a_wave_of_their_own():
    apart = Skeleton("apart", ("a", "b", "c", "d"), edges=((0, 1),), order=(0, 1, 2, 3))
    assert update_waves(apart) == [[0], [1], [2, 3]]
    assert run(_tiny(skeleton=apart), pictures(_tiny()))["heatmaps"].shape == (2, 8, 8, 4)


def _moved(network, images, keypoint):
    """By how much each `post` map changes when one key point's first features do."""
    waves = update_waves(network.skeleton)
    wave = next(i for i, w in enumerate(waves) if keypoint in w)
    place, width = waves[wave].index(keypoint), TINY["keypoint_channels"]
    before = run(network, images)["post"]
    beta = network.get_layer(f"keypoints{wave}_norm").beta
    shifted = beta.numpy()
    shifted[place * width : (place + 1) * width] += 1.0
    old = beta.numpy()
    beta.assign(shifted)
    after = run(network, images)["post"]
    beta.assign(old)
    return np.abs(after - before).max(axis=(0, 1, 2))


def test_features_travel_along_edges_only():
    chain = Skeleton("two", ("a", "b", "c", "d"), edges=((0, 1), (2, 3)), order=(0, 1, 2, 3))
    network = _tiny(skeleton=chain)
    unsettle(network)
    images = pictures(network)
    for keypoint, partner in ((0, 1), (1, 0), (2, 3), (3, 2)):
        moved = _moved(network, images, keypoint)
        assert moved[keypoint] > 1e-3
        assert moved[partner] > 1e-6
        others = [k for k in range(4) if k not in (keypoint, partner)]
        assert (moved[others] == 0).all()


def test_the_order_changes_the_graph():
    order = Skeleton("arm", ARM.keypoints, ARM.edges, order=(2, 1, 0))
    one, other = _tiny(skeleton=ARM), _tiny(skeleton=order)
    assert update_waves(ARM) == [[1], [0, 2]]
    assert update_waves(order) == [[2], [1], [0]]
    shapes = [[w.shape for w in n.weights] for n in (one, other)]
    assert shapes[0] != shapes[1]


def test_passes_share_no_weights():
    network = _tiny()
    paths = {w.path for w in network.weights}
    assert len(paths) == len(network.weights)
    forth = {p for p in paths if p.startswith("forth")}
    assert {p.replace("forth", "back") for p in forth} == {p for p in paths if p.startswith("back")}
    assert forth


def test_normalisation_stands_between_convolution_and_relu6():
    network = RePoseLite("s")
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            assert not layer.input._keras_history.operation.use_bias
        if type(layer).__name__ == "ReLU":
            assert layer.max_value == 6.0
            before = type(layer.input._keras_history.operation).__name__
            assert before in ("BatchNormalization", "Add")


@pytest.mark.parametrize(("loss", "codec"), [("softmax", SoftmaxHeatmap), ("mse", GaussianHeatmap)])
def test_loss_chooses_the_codec_at_a_quarter_of_the_side(loss, codec):
    network = _tiny(loss=loss, input_size=(32, 48), sigma=7.0)
    assert isinstance(network.codec, codec)
    assert network.codec.map_size == (8, 12)
    assert network.codec.sigma == 7.0
    assert network.output["heatmaps"].shape[1:3] == network.codec.map_size


def test_a_saved_network_does_not_depend_on_the_table_of_sizes(monkeypatch):
    arguments = RePoseLite("s", ARM).arguments
    shapes = [w.shape for w in RePoseLite("s", ARM).weights]
    monkeypatch.setitem(SIZES, "s", SIZES["m"])
    assert [w.shape for w in RePoseLite(**arguments).weights] == shapes


def test_sizes_grow_and_stay_small():
    small, medium = (count(RePoseLite(size).inference()) for size in "sm")
    assert small.parameters < 100_000 < medium.parameters < 500_000
    assert small.multiply_adds < 20e6 < medium.multiply_adds < 80e6


def test_more_strides_for_larger_inputs():
    network = _tiny(input_size=(64, 64), channels=(8, 8, 8, 8), blocks=(0, 0, 0, 1))
    assert network.output["pre"].shape[1:3] == (8, 8)
    assert "stride32_1_add" in {layer.name for layer in network.layers}
    assert network.output["heatmaps"].shape[1:3] == (16, 16)


def test_int8_leaves_no_float_arithmetic_and_no_masking(tmp_path):
    """Kernels are masked and normalisation is folded before a phone sees them."""
    network = _tiny()
    images = pictures(network, 4)
    path = tmp_path / "int8.tflite"
    path.write_bytes(export.to_tflite(network, "int8", "uint8", "heads", calibration=images))
    interpreter = Interpreter(model_path=str(path))
    kinds = {op["op_name"] for op in interpreter._get_ops_details()}
    assert kinds <= {
        "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DELEGATE", "DEQUANTIZE",
        "QUANTIZE", "RESIZE_BILINEAR",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"size": "xxl"},
        {"loss": "hinge"},
        {"input_size": (40, 32)},
        {"channels": (8, 8), "blocks": (0, 0, 0)},
        {"channels": (8,), "blocks": (0,)},
        {"input_size": 32},
        {"input_size": (32, 32, 3)},
        {"stem": 0},
        {"keypoint_channels": 2.5},
        {"blocks": (0, "one", 1)},
        {"sigma": -1.0},
        {"ordering": "feet-first"},
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(change):
    with pytest.raises(PoseError) as refusal:
        _tiny(**change)
    assert refusal.value.advice


def test_the_builder_is_found_by_name():
    assert models.RePoseLite is RePoseLite
