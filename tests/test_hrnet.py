"""HRNet: what all networks must do, its counts, how resolutions meet, whose weights it takes."""

import keras
import numpy as np
import pytest
from model_checks import ARM, ModelChecks, pictures, unsettle

from keras_pose import backbones, models
from keras_pose.backbones import hrnet, weights
from keras_pose.errors import PoseError
from keras_pose.models import HRNet, SimpleBaseline
from keras_pose.models.counting import count
from keras_pose.skeletons import Skeleton

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [64, 64],
    "width": 8,
    "modules": [1, 1, 1],
    "blocks": 1,
    "bottlenecks": 1,
}
PAIR = Skeleton("pair", ("a", "b"), edges=((0, 1),))


def _tiny(**changes):
    keras.utils.set_random_seed(1)
    return HRNet(**{**TINY, **changes})


class TestHRNet(ModelChecks):
    builder = "HRNet"
    arguments = TINY
    outputs = {"heatmaps": (16, 16, 3)}  # noqa: RUF012
    int8_error = 0.15  # twenty random layers one after the other; int8 weights alone cost 0.05


def _weighted(network):
    return {layer.name for layer in network.layers if layer.weights}


def test_counts_of_w32_and_the_names_of_its_layers():
    network = HRNet()
    counts = count(network)
    assert counts.trainable == 28_536_113
    assert counts.multiply_adds == pytest.approx(7.645e9, rel=1e-4)
    named = {name for pair in hrnet.pairs() for name in pair}
    assert _weighted(network) - named == {"last_heatmaps"}
    # of the last exchange the finest branch alone is read
    left = {name.rpartition("_from")[0] for name in named - _weighted(network)}
    assert left == {"stage4_module3"}
    assert not [n for n in named - _weighted(network) if "_to4" in n]
    for conv, norm in hrnet.pairs():
        if norm in _weighted(network):
            assert network.get_layer(norm).input is network.get_layer(conv).output


def test_counts_of_w48_as_a_backbone():
    """HRNet is SimpleBaseline without deconvolutions on the finest level of this backbone."""
    network = SimpleBaseline(backbone="hrnet_w48", level=4, deconvolutions=0)
    counts = count(network)
    assert counts.trainable == 63_595_745
    assert counts.multiply_adds == pytest.approx(15.692e9, rel=1e-4)


def _trunk(**changes):
    image = keras.Input((64, 96, 3))
    small = {"width": 8, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, **changes}
    return image, hrnet.build(image, **small)


def test_levels_by_stride():
    _, levels = _trunk()
    assert list(levels) == list(backbones.STRIDES)
    for i, (stride, level) in enumerate(levels.items()):
        assert level.shape == (None, 64 // stride, 96 // stride, 8 * 2**i)


def test_all_layers_of_the_trunk_are_named_in_pairs():
    image, levels = _trunk(modules=(1, 2, 1), blocks=2)
    network = keras.Model(image, list(levels.values()))
    known = {name for pair in hrnet.pairs() for name in pair}
    assert _weighted(network) <= known
    expected = {n for n in known if n.startswith("stage3_module2_") and "block3" not in n}
    assert {n for n in expected if "block4" not in n} <= _weighted(network)


def test_a_coarser_branch_joins_by_the_nearest_neighbour_and_a_finer_one_by_strides():
    image, levels = _trunk()
    network = keras.Model(image, list(levels.values()))
    for to in backbones.STRIDES:
        parts = network.get_layer(f"stage4_module1_to{to}_add").input
        assert len({part.shape for part in parts}) == 1 and len(parts) == 4
        seen = keras.Model(image, parts)(np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)))
        for source, part in zip(backbones.STRIDES, map(np.asarray, seen), strict=True):
            if source > to:
                times = source // to
                again = part[:, ::times, ::times].repeat(times, 1).repeat(times, 2)
                np.testing.assert_array_equal(part, again)
                assert part.std() > 0
    hops = [n for n in _weighted(network) if n.startswith("stage4_module1_from4_to32")]
    assert sorted(hops) == sorted(
        f"stage4_module1_from4_to32_{i}_{kind}" for i in (1, 2, 3) for kind in ("bn", "conv")
    )


def test_every_branch_moves_the_finest_one():
    network = _tiny()
    unsettle(network)
    images = pictures(network).astype("float32")
    before = np.asarray(network(images)["heatmaps"])
    for stride in backbones.STRIDES:
        beta = network.get_layer(f"stage4_module1_stride{stride}_block1_2_bn").beta
        old = beta.numpy()
        beta.assign(old + 1.0)
        assert np.abs(np.asarray(network(images)["heatmaps"]) - before).max() > 1e-6
        beta.assign(old)


def test_the_trunk_alone_is_taken_from_a_file_of_another_skeleton(tmp_path):
    path = tmp_path / "best.keras"
    source = _tiny(skeleton=PAIR)
    unsettle(source)
    source.save(path)
    network = _tiny(weights=f"backbone:{path}")
    for name in _weighted(network) - {"last_heatmaps"}:
        given = source.get_layer(name).get_weights()
        for a, b in zip(network.get_layer(name).get_weights(), given, strict=True):
            np.testing.assert_array_equal(a, b)
    assert network.skeleton == ARM
    with pytest.raises(PoseError, match="shape"):
        _tiny(width=16, weights=f"backbone:{path}")
    deeper = {"blocks": 2, "weights": f"backbone:{path}"}
    with pytest.raises(PoseError, match="without stage2_module1_stride4_block2_1_conv"):
        _tiny(**deeper)


def test_keras_has_no_weights_for_it():
    with pytest.raises(PoseError, match=r"keras\.applications does not have"):
        weights.load(_tiny(), "hrnet_w32", "imagenet")


def test_frozen_normalisation_is_not_trained():
    network = _tiny(frozen_norm=True)
    assert {w.path.rpartition("/")[2] for w in network.trainable_weights} == {"kernel", "bias"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "a width from 1"),
        ({"width": "32"}, "a width from 1"),
        ({"modules": (1, 4)}, "modules"),
        ({"modules": (2, 4, 3)}, "modules"),
        ({"modules": 3}, "modules"),
        ({"blocks": 5}, "blocks"),
        ({"bottlenecks": 0}, "bottlenecks"),
        ({"input_size": (80, 64)}, "multiples of 32"),
        ({"loss": "hinge"}, "a loss among"),
        ({"weights": "imagenet"}, "keras.applications does not have"),
        ({"weights": "absent.keras"}, "absent"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(changes, words):
    with pytest.raises(PoseError, match=words) as refusal:
        _tiny(**changes)
    assert refusal.value.advice


def test_the_builder_is_found_by_name():
    assert models.HRNet is HRNet
