"""RePose: what all networks must do, and what its paper says of it."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_checks import ARM, ModelChecks, pictures, run, unsettle

from keras_pose import models, skeletons
from keras_pose.errors import PoseError
from keras_pose.models import RePose
from keras_pose.skeletons import LSP14, Skeleton

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [32, 32],
    "coarsest": 8,
    "update_blocks": 1,
    "channels": 8,
    "keypoint_channels": 8,
    "depth": 1,
}


class TestRePose(ModelChecks):
    builder = "RePose"
    int8_error = 0.3  # ReLU before normalisation does not fold: each block is rounded twice
    arguments = TINY
    outputs = {  # noqa: RUF012
        "pre": (8, 8, 3),
        "post": (8, 8, 3),
        "stride2": (16, 16, 3),
        "heatmaps": (32, 32, 3),
    }


def _tiny(**changes):
    return RePose(**{**TINY, **changes})


def _maps(network, images):
    return run(network, images)["heatmaps"]


def _inputs(network, name):
    """Names of the layers that a layer reads."""
    return [t._keras_history.operation.name for t in network.get_layer(name).input]


@pytest.mark.parametrize("ordering", ["hips-out", "top-down"])
def test_updates_follow_the_order_and_the_edges(ordering):
    network = _tiny(skeleton="lsp14", ordering=ordering)
    order = LSP14.update_order(ordering)
    last = {k: f"keypoint{k}_1_norm" for k in order}
    for name, sequence in (("forth", order), ("back", order[::-1])):
        for k in sequence:
            near = (k, *LSP14.neighbours(k))
            assert _inputs(network, f"{name}{k}_join") == [last[j] for j in near]
            assert _inputs(network, f"{name}{k}_add") == [last[k], f"{name}{k}_lambda"]
            last[k] = f"{name}{k}_add"
    assert [_inputs(network, "merge_join")[i] for i in range(14)] == [
        f"post{k}_1_norm" for k in range(14)
    ]
    for k in order:
        assert network.get_layer(f"post{k}_1_conv").input._keras_history.operation.name == last[k]


def test_the_base_model_is_the_papers():
    base = RePose()
    assert list(base.output) == ["pre", "post", "stride4", "stride2", "heatmaps"]
    assert [m.shape[1] for m in base.output.values()] == [16, 16, 32, 64, 128]
    assert base.codec.to_dict() == {
        "kind": "gaussian", "input_size": (128, 128), "map_size": (128, 128), "sigma": 5.0,
    }  # fmt: skip
    # convolution, then ReLU, then normalisation: the norm reads the activated convolution
    norm = base.get_layer("top_1_norm").input._keras_history.operation
    assert norm.name == "top_1_conv"
    assert norm.activation.__name__ == "relu"
    assert base.get_layer("forth0_lambda").scale.trainable


def _with_weights_of(network, other):
    """Copies weights by path, for networks that differ in a few layers."""
    known = {w.path: w for w in other.weights}
    for weight in network.weights:
        weight.assign(known[weight.path])
    return network


def test_add_is_a_trainable_update_whose_lambda_is_one():
    trainable = _tiny()
    unsettle(trainable)
    images = pictures(trainable)
    add = _with_weights_of(_tiny(update="add"), trainable)
    assert np.abs(_maps(add, images) - _maps(trainable, images)).max() > 1e-4
    for k in range(3):
        for name in ("forth", "back"):
            trainable.get_layer(f"{name}{k}_lambda").scale.assign(1.0)
    np.testing.assert_allclose(_maps(add, images), _maps(trainable, images), atol=1e-5)


def test_replace_forgets_the_old_features_and_lambda_zero_keeps_them():
    kept, replaced = _tiny(), _tiny(update="replace")
    images = pictures(kept)
    before = run(kept, images)
    for network in (kept, replaced):
        for k in range(3):
            for name in ("forth", "back"):
                if network is kept:
                    network.get_layer(f"{name}{k}_lambda").scale.assign(0.0)
                norm = network.get_layer(f"{name}{k}_1_norm")
                norm.gamma.assign(0 * norm.gamma)
                norm.beta.assign(0 * norm.beta + 0.5)
    after = run(kept, images)
    np.testing.assert_array_equal(after["pre"], before["pre"])
    assert np.abs(after["post"] - before["post"]).max() > 1e-5
    # nothing of the picture is left in features that were replaced by a constant
    post = run(replaced, images)["post"]
    np.testing.assert_allclose(post, np.broadcast_to(post[:1], post.shape), atol=1e-6)
    assert np.abs(run(kept, images)["post"][0] - run(kept, images)["post"][1]).max() > 1e-5


def test_the_order_matters():
    order = Skeleton("arm", ARM.keypoints, ARM.edges, order=(2, 1, 0))
    one, other = _tiny(), _tiny(skeleton=order)
    unsettle(one)
    images = pictures(one)
    _with_weights_of(other, one)
    np.testing.assert_allclose(run(other, images)["pre"], run(one, images)["pre"], atol=1e-6)
    assert np.abs(run(other, images)["post"] - run(one, images)["post"]).max() > 1e-6


def test_a_key_point_is_not_reached_by_points_that_no_edge_leads_to():
    apart = _tiny(skeleton=Skeleton("apart", ("a", "b", "c"), edges=((0, 1),)).to_dict())
    unsettle(apart)
    images = pictures(apart)
    before = run(apart, images)["post"]
    norm = apart.get_layer("keypoint2_1_norm")
    norm.beta.assign(norm.beta + 1.0)
    after = run(apart, images)["post"]
    np.testing.assert_array_equal(after[..., :2], before[..., :2])
    assert np.abs(after[..., 2] - before[..., 2]).max() > 1e-4


def test_stages_share_no_weights_and_see_the_stage_before():
    network = _tiny(stacks=2)
    names = [f"stage{s}_{n}" for s in (1, 2) for n in ("pre", "post", "stride2")]
    names.insert(3, "stage1_stride1")
    assert set(network.output) == {*names, "heatmaps"}
    assert list(network.output)[-1] == "heatmaps"
    stages = {
        s: {w.path for w in network.weights if w.path.startswith(f"stage{s}_")} for s in (1, 2)
    }
    assert stages[1] | stages[2] == {w.path for w in network.weights}
    assert len({id(w) for w in network.weights}) == len(network.weights)
    assert {p.replace("stage1_", "") for p in stages[1]} == {
        p.replace("stage2_", "") for p in stages[2]
    }
    # every block that reads the trunk on the way down reads the stage before as well
    assert network.get_layer("stage2_top_1_conv").kernel.shape[2] == 8 + 3
    for name in ("down1", "down2", "keypoint0"):
        assert network.get_layer(f"stage1_{name}_conv").kernel.shape[2] == 8
        assert network.get_layer(f"stage2_{name}_conv").kernel.shape[2] == 16


def test_joint_and_sequential_ablations():
    joint, sequential = _tiny(joint_head=True), _tiny(kinematic=False)
    for network in (joint, sequential):
        assert {k: v.shape[1:] for k, v in network.output.items()} == {
            k: v for k, v in TestRePose.outputs.items()
        }
    names = {layer.name for layer in joint.layers}
    assert "post_heatmaps" in names
    assert not any(n.startswith("post0") for n in names)
    names = {layer.name for layer in sequential.layers}
    assert not any(n.startswith(("forth", "back")) for n in names)
    assert "sequence_1_conv" in names


def test_maps_are_never_negative():
    network = _tiny()
    unsettle(network)
    for maps in run(network, pictures(network)).values():
        assert maps.min() >= 0


def test_any_skeleton_and_any_shape_that_halves():
    network = RePose(
        "coco17", (32, 64), coarsest=16, update_blocks=1, channels=4, keypoint_channels=4, depth=1
    )
    assert {k: v.shape[1:] for k, v in network.output.items()} == {
        "pre": (16, 32, 17),
        "post": (16, 32, 17),
        "heatmaps": (32, 64, 17),
    }
    one = Skeleton("ball", ("centre",))
    assert _tiny(skeleton=one).output["post"].shape[1:] == (8, 8, 1)
    assert models.RePose is RePose
    assert skeletons.get(network.arguments["skeleton"]) == skeletons.COCO17


def test_pictures_are_normalised_inside():
    network = _tiny()
    grey = tf.fill((1, 32, 32, 3), 127.5)
    np.testing.assert_allclose(network.get_layer("normalise")(grey), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"coarsest": 12},
        {"coarsest": 32},  # no way up is left
        {"input_size": (34, 32)},
        {"input_size": (32, 38)},
        {"input_size": 32},
        {"input_size": (32.0, 32)},
        {"update": "multiply"},
        {"ordering": "feet-first"},
        {"update_blocks": 0},
        {"stacks": 0},
        {"channels": 2.5},
        {"sigma": 0.0},
        {"skeleton": "dog"},
    ],
)
def test_what_cannot_be_built_is_refused(change):
    with pytest.raises(PoseError) as refusal:
        _tiny(**change)
    assert refusal.value.advice


def _rewritten(path, old, new):
    """Another .keras file, with the names of builder or arguments changed in its JSON."""
    twin = path.with_name(f"{new.decode()[1:-1]}.keras")
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(twin, "w") as other:
        for entry in one.namelist():
            content = one.read(entry)
            changed = content.replace(old, new) if entry == "config.json" else content
            other.writestr(entry, changed)
    return twin


def test_files_that_hold_no_network_are_named(tmp_path):
    path = tmp_path / "good.keras"
    _tiny().save(path)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    (tmp_path / "half.keras").write_bytes(path.read_bytes()[:5000])
    for file, received, advice in (
        (tmp_path / "none.keras", "does not exist", "path"),
        (tmp_path / "half.keras", "half.keras", "damaged"),
        (tmp_path / "other.keras", "Sequential", "best.keras"),
        (_rewritten(path, b'"RePose"', b'"NextPose"'), "'NextPose' in .*NextPose.keras", "Update"),
        (_rewritten(path, b'"update_blocks"', b'"unknown"'), "unknown.keras", "damaged"),
    ):
        with pytest.raises(PoseError, match=received) as refusal:
            models.load(file)
        assert advice in refusal.value.advice
