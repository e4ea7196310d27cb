"""Where a network's weights begin: a backbone's file, or a pose network's."""

import keras
import numpy as np
import pytest
from model_checks import ARM

from keras_pose import backbones, models, skeletons
from keras_pose.backbones import weights as backbone_weights
from keras_pose.codecs import SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.models.network import PoseNetwork
from keras_pose.models.start import start

LEG = skeletons.Skeleton("leg", ("hip", "knee", "ankle"), edges=((0, 1), (1, 2)))
PAIR = skeletons.Skeleton("pair", ("a", "b"), edges=((0, 1),))


def Around(
    skeleton=None, input_size=(32, 32), backbone="mobilenet_v2", alpha=0.35, weights=None, **more
):
    """A head on a backbone's stride 4: the least that has something to start."""
    skeleton = skeletons.get(skeleton or ARM)
    image = keras.Input((*input_size, 3), name="image")
    level = backbones.build(backbone, image, alpha=alpha, **more)[4]
    maps = keras.layers.Conv2D(skeleton.count, 1, name="head")(level)
    arguments = {"skeleton": skeleton.to_dict(), "input_size": list(input_size), "weights": None}
    network = PoseNetwork(
        image,
        {"heatmaps": maps},
        skeleton=skeleton,
        codec=SoftmaxHeatmap(input_size, [side // 4 for side in input_size], 4.0),
        builder="Around",
        arguments={**arguments, "backbone": backbone, "alpha": alpha, **more},
    )
    if weights is not None:
        start(network, backbone, weights)
    return network


@pytest.fixture(autouse=True)
def builder(monkeypatch):
    monkeypatch.setattr(models, "Around", Around, raising=False)


def _saved(path, **arguments):
    network = Around(**arguments)
    draw = np.random.default_rng(0)
    network.set_weights([draw.uniform(0.5, 1.5, w.shape) for w in network.get_weights()])
    network.save(path)
    return network


def _same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_a_pose_network_gives_every_weight_at_any_input_size(tmp_path):
    path = tmp_path / "best.keras"
    source = _saved(path, skeleton=LEG)
    network = Around(weights=path, input_size=(64, 32), frozen_norm=True)  # as many key points
    assert _same(network, source)
    assert network.skeleton == ARM
    assert network.arguments["weights"] is None


@pytest.mark.parametrize("kind", ["h5", "keras", "weights.h5"])
@pytest.mark.filterwarnings("ignore:You are saving")
def test_a_file_of_keras_fills_the_backbone_alone(kind, tmp_path):
    twin = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    path = str(tmp_path / f"mobilenet.{kind}")
    (twin.save_weights if kind == "weights.h5" else twin.save)(path)
    network = Around()
    head = network.get_layer("head").get_weights()
    start(network, "mobilenet_v2", path)
    found = network.get_layer("block_2_expand").kernel.numpy()
    np.testing.assert_array_equal(found, twin.get_layer("block_2_expand").kernel.numpy())
    np.testing.assert_array_equal(network.get_layer("head").get_weights()[0], head[0])


def test_a_trunk_takes_the_alpha_of_the_network(tmp_path):
    network = Around(frozen_norm=True)
    arrays = {}
    for conv, norm in backbone_weights._pairs(network, "mobilenet_v2"):
        arrays[f"{conv}/kernel"] = np.full(network.get_layer(conv).kernel.shape, 0.5)
        arrays[f"{conv}/bias"] = np.full(network.get_layer(norm).beta.shape, 0.25)
    np.savez(tmp_path / "trunk.npz", **arrays)
    start(network, "mobilenet_v2", tmp_path / "trunk.npz")
    assert (network.get_layer("block_2_project_BN").beta.numpy() == 0.25).all()
    with pytest.raises(PoseError, match="Conv1"):
        Around(alpha=1.0, frozen_norm=True, weights=tmp_path / "trunk.npz")


@pytest.mark.parametrize(
    ("file", "here", "named"),
    [
        ({"skeleton": PAIR}, {}, ("3 key points of arm", "2 of pair")),
        ({"alpha": 0.75}, {}, ("alpha=0.75",)),
        ({"backbone": "resnet50", "alpha": 1.0}, {}, ("resnet50",)),
        (
            {"backbone": "resnet50", "alpha": 1.0, "stride_in": "1x1"},
            {"backbone": "resnet50", "alpha": 1.0, "stride_in": "3x3"},
            ("stride_in='1x1'", "'3x3'"),
        ),
    ],
)
def test_a_network_that_differs_is_refused_before_anything_changes(file, here, named, tmp_path):
    path = tmp_path / "other.keras"
    _saved(path, **file)
    network, before = Around(**here), Around(**here)
    before.set_weights(network.get_weights())
    with pytest.raises(PoseError) as refusal:
        start(network, network.arguments["backbone"], path)
    for part in (*named, "other.keras"):
        assert part in str(refusal.value)
    assert _same(network, before)


def test_a_file_with_fewer_layers_is_refused(tmp_path):
    small, large = Around(), Around()
    deeper = keras.layers.Dense(2, name="more")(large.output["heatmaps"])
    large = PoseNetwork(
        large.inputs[0],
        {"heatmaps": deeper},
        skeleton=ARM,
        codec=large.codec,
        builder="Around",
        arguments=large.arguments,
    )
    small.save(tmp_path / "small.keras")
    with pytest.raises(PoseError, match="no further weight"):
        start(large, "mobilenet_v2", tmp_path / "small.keras")


@pytest.mark.parametrize("content", [None, b"", b"PK and no zip"])
def test_a_pose_file_that_is_absent_or_damaged(content, tmp_path):
    path = tmp_path / "best.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PoseError, match=r"best\.keras"):
        start(Around(), "mobilenet_v2", path)


def test_a_backbone_alone_is_taken_out_of_another_pose_network(tmp_path):
    path = tmp_path / "best.keras"
    source = _saved(path, skeleton=PAIR)  # whose head would not fit
    network = Around(frozen_norm=True)
    head = network.get_layer("head").get_weights()
    start(network, "mobilenet_v2", f"backbone:{path}")
    for name in ("Conv1", "block_2_project_BN"):
        for found, wanted in zip(
            network.get_layer(name).get_weights(),
            source.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(network.get_layer("head").get_weights()[0], head[0])


@pytest.mark.parametrize(
    ("arguments", "message"), [({"alpha": 0.5}, "shape"), ({"backbone": "resnet50"}, "around")]
)
def test_another_backbone_gives_nothing(arguments, message, tmp_path):
    path = tmp_path / "best.keras"
    _saved(path)
    if "backbone" in arguments:
        arguments["alpha"] = 1.0
    network = Around(**arguments)
    before = [w.copy() for w in network.get_weights()]
    with pytest.raises(PoseError, match=message):
        start(network, arguments.get("backbone", "mobilenet_v2"), f"backbone:{path}")
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))


def test_a_shallower_backbone_is_refused(tmp_path):
    path = tmp_path / "best.keras"
    _saved(path, alpha=0.35)
    network = models.RePoseLite(
        "s", ARM, (32, 32), channels=(8, 8), keypoint_channels=2, backbone="mobilenet_v2",
        alpha=0.35,
    )  # fmt: skip
    with pytest.raises(PoseError, match="without block_"):
        start(network, "mobilenet_v2", f"backbone:{path}")


def test_a_folded_trunk_stays_frozen(tmp_path):
    path = tmp_path / "best.keras"
    source = Around(frozen_norm=True)
    for layer in source.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(0 * layer.moving_mean)
            layer.moving_variance.assign(0 * layer.moving_variance + 1)
    source.save(path)
    for weights in (f"backbone:{path}", path):  # of the trunk alone, of the whole network
        start(Around(frozen_norm=True), "mobilenet_v2", weights)
        network = Around()
        before = [w.copy() for w in network.get_weights()]
        with pytest.raises(PoseError, match="calibrate_norms"):
            start(network, "mobilenet_v2", weights)
        assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))


def test_a_new_network_is_no_folded_trunk(tmp_path):
    source = Around()
    source.save(tmp_path / "new.keras")
    assert _same(Around(weights=tmp_path / "new.keras"), source)


@pytest.mark.parametrize("weights", ["backbone:best.keras", "imagenet", "trunk.npz"])
def test_without_a_backbone_there_is_nothing_to_begin_with(weights):
    sizes = {"channels": (8, 8), "blocks": (0, 0), "stem": 4, "keypoint_channels": 2}
    with pytest.raises(PoseError, match=r"RePoseLite without a backbone.*network\.backbone"):
        models.RePoseLite("s", ARM, (32, 32), **sizes, weights=weights)
