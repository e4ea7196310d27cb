"""A second copy of a network's last stage: what it shares, what it has of its own, its counts."""

import keras
import numpy as np
import pytest
from model_checks import ARM, pictures, unsettle

from keras_pose import backbones, models
from keras_pose.errors import PoseError
from keras_pose.models.branch import begin

NAME = "second_"
SMALL = {"skeleton": ARM.to_dict(), "input_size": (32, 32)}
MOBILE = {"level": 8, "deconvolutions": 1, "filters": 8}
# builder, arguments, the layer whose output the copy repeats, the first layers that it leaves alone
BASES = [
    ("SimpleBaseline", {"backbone": "mobilenet_v2", "alpha": 0.35, **MOBILE}, "deconv1_relu",
     {"block_2_add"}),
    ("SimpleBaseline", {"backbone": "mobilenet_v2", "alpha": 0.35, "filters": 8}, "deconv3_relu",
     {"block_12_add"}),
    ("SimpleBaseline", {"backbone": "movenet_slim", **MOBILE}, "deconv1_relu",
     {"fpn16_relu", "block_5_add"}),
    ("SimpleBaseline", {"backbone": "resnet50", "level": 4, "deconvolutions": 0},
     "conv2_block3_out", {"pool1_pool"}),
    ("HRNet", {"width": 4, "modules": (1, 1, 2), "blocks": 1, "bottlenecks": 1},
     "stage4_module2_to4_relu", {"stage3_module1_to4_relu", "stage3_module1_to8_relu",
                                 "stage3_module1_to16_relu", "stage4_in32_relu"}),
    ("RePose", {"coarsest": 8, "channels": 8, "keypoint_channels": 4, "depth": 1, "stacks": 2},
     "stage2_up0_1_norm", {"stage2_top_1_norm", "stage2_up1_1_norm"}),
    ("RePoseLite", {"size": "s"}, "refined_relu", {"stride4_down_relu", "merge_relu"}),
]  # fmt: skip


def _named(value):
    return str(sorted(value) if isinstance(value, set) else value)[:60]  # alike in each process


@pytest.mark.parametrize(("builder", "changes", "last", "read"), BASES, ids=_named)
def test_a_branch_is_the_last_stage_with_weights_of_its_own(builder, changes, last, read):
    keras.utils.set_random_seed(1)
    network = getattr(models, builder)(**{**SMALL, **changes})
    features = network.get_layer(last).output
    second = network.branch(NAME)
    assert second.shape == features.shape
    assert second.shape[1:3] == network.codec.map_size
    both = keras.Model(network.inputs[0], {"first": features, "second": second})
    own = {layer.name for layer in both.layers if layer.name.startswith(NAME)}
    there = {layer.name for layer in network.layers}
    assert own and {name.removeprefix(NAME) for name in own} <= there
    before = {
        x._keras_history.operation.name
        for layer in both.layers
        if layer.name in own
        for x in keras.tree.flatten(layer.input)
    }
    assert {x for x in before if x in there and not x.startswith("resize")} == read

    both.input_size, both.extra_inputs = network.input_size, ()  # which `unsettle` asks for
    unsettle(both)

    def look():
        found = both(pictures(network).astype("float32"))
        return {name: keras.ops.convert_to_numpy(x) for name, x in found.items()}

    found = look()
    assert np.abs(found["first"] - found["second"]).max() > 1e-3
    begin(both, NAME)
    again = look()
    np.testing.assert_array_equal(again["first"], found["first"])
    np.testing.assert_allclose(again["second"], again["first"], atol=1e-5)
    for layer in both.layers:
        if layer.name in own:
            layer.set_weights([0 * w for w in layer.get_weights()])
    np.testing.assert_array_equal(look()["first"], found["first"])


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "movenet"])
def test_every_level_has_a_last_stage_that_ends_with_it(name):
    levels = backbones.build(name, keras.Input((32, 32, 3)))
    for stride, tensor in levels.items():
        last = tensor._keras_history.operation.name
        assert last.startswith(backbones.last_stage(name, stride)), stride
    with pytest.raises(PoseError, match="backbone among"):
        backbones.last_stage("vgg", 32)


def test_normalisation_stays_frozen_and_the_policy_stays_in_the_copy():
    network = models.SimpleBaseline(
        **SMALL, backbone="mobilenet_v2", alpha=0.35, **MOBILE, frozen_norm=True
    ).rebuilt("mixed_bfloat16")
    model = keras.Model(network.inputs[0], network.branch(NAME))
    norms = [model.get_layer(f"{NAME}{n}_BN") for n in ("block_4_expand", "block_5_project")]
    assert not any(norm.trainable for norm in norms)
    assert {norm.compute_dtype for norm in norms} == {"bfloat16"}
    assert model.get_layer(f"{NAME}deconv1_bn").trainable


def test_kernels_of_the_copy_begin_elsewhere():
    network = models.SimpleBaseline(**SMALL, backbone="mobilenet_v2", alpha=0.35, **MOBILE)
    model = keras.Model(network.inputs[0], network.branch(NAME))
    first, second = (network.get_layer("deconv1_conv"), model.get_layer(f"{NAME}deconv1_conv"))
    assert np.abs(first.kernel.numpy() - second.kernel.numpy()).max() > 1e-3


def test_a_network_without_a_branch_says_which_have_one():
    network = models.CPMMobile(**SMALL, stages=2)
    with pytest.raises(PoseError, match="CPMMobile") as refusal:
        network.branch(NAME)
    assert "SimpleBaseline" in refusal.value.advice
