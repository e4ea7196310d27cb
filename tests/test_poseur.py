"""Poseur: what all networks must do, its counts, and every ablation of the paper."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_checks import ARM, ModelChecks, batch, pictures, run, unsettle

from keras_pose.errors import PoseError
from keras_pose.models import Poseur
from keras_pose.models.counting import count
from keras_pose.task import PoseTask

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [64, 64],
    "backbone": "mobilenet_v2",
    "alpha": 0.35,
    "levels": [4, 8],
    "channels": 8,
    "decoder_layers": 2,
    "heads": 2,
    "points": 2,
    "feed_forward": 8,
    "noise_groups": 2,
}
SHAPE = (3, 4)


def _tiny(**changes):
    keras.utils.set_random_seed(1)
    return Poseur(**{**TINY, **changes})


def settle(network):
    """As after training, and deaf to the deepest map: 52 random layers with normalisation turn the
    rounding of half precision into another answer, which no trained trunk does."""
    unsettle(network)
    if "coarse" in network.output:
        kernel = network.get_layer("coarse_location").kernel
        kernel.assign(0.02 * kernel)


class TestPoseur(ModelChecks):
    builder = "Poseur"
    arguments = TINY
    outputs = {"coarse": SHAPE, "layer1": SHAPE, "coordinates": SHAPE}  # noqa: RUF012

    def settle(self, network):
        settle(network)


@pytest.mark.parametrize(
    ("arguments", "millions", "gmac"),
    [
        ({}, 28.90, 4.46),
        ({"decoder_layers": 4}, 30.31, 4.48),
        ({"decoder_layers": 6}, 33.15, 4.53),
        ({"input_size": (128, 128)}, 28.90, 1.54),
        ({"backbone": "mobilenet_v2", "decoder_layers": 5}, 9.83, 0.462),
        ({"decoder_layers": 6, "shared": True}, 26.06, 4.53),  # supplement: 26.2
    ],
    ids=str,
)
def test_published_counts(arguments, millions, gmac):
    counts = count(Poseur(**arguments))
    assert counts.trainable == pytest.approx(millions * 1e6, rel=0.001)
    assert counts.multiply_adds == pytest.approx(gmac * 1e9, rel=0.005)


def test_flows_are_counted_nowhere_but_in_training():
    network = _tiny(skeleton="coco17")
    flows = sum(int(np.prod(w.shape)) for w in network.criterion().weights)
    assert flows == 2 * 53_784
    assert count(network).parameters == count(network.rebuilt()).parameters


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_groups": 0},
        {"levels": [32]},
        {"levels": [16, 32]},
        {"levels": [8, 16, 32]},
        {"self_attention": False},
        {"initial": "query"},
        {"score": "rle"},
        {"score": "none"},
        {"query": "sum"},
        {"shared": True},
        {"residual": "released"},
        {"frozen_norm": True},
    ],
    ids=str,
)
def test_every_ablation_trains(changes):
    network = _tiny(**changes)
    task = PoseTask(network)
    task.compile(optimizer=keras.optimizers.Adam(3e-3), run_eagerly=True)
    losses = [float(task.train_on_batch(*batch(network))) for _ in range(6)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert network.arguments[next(iter(changes))] == next(iter(changes.values()))
    points, scores = network.codec.decode(run(network, pictures(network))["coordinates"])
    assert points.shape == (2, 3, 2) and ((scores >= 0) & (scores <= 1)).all()


def test_ablations_change_what_they_say():
    base = _tiny()
    names = {layer.name for layer in base.layers}
    assert "layer1_attention" in names
    assert not any("attention" in x.name for x in _tiny(self_attention=False).layers)
    assert "coarse" not in _tiny(initial="query").output
    assert base.learner().output["coordinates"].shape[1] == 3 * 3
    assert _tiny(noise_groups=0).learner().output["coordinates"].shape[1] == 3
    shared, own = count(_tiny(shared=True)), count(base)
    assert shared.parameters < own.parameters and shared.multiply_adds == own.multiply_adds
    assert count(_tiny(decoder_layers=3, shared=True)).parameters == shared.parameters


def test_references_of_the_query_do_not_depend_on_the_picture():
    network = _tiny(initial="query")
    model = keras.Model(network.inputs[0], network.get_layer("encoder_reference_points").output)
    found = model(tf.cast(pictures(network), "float32")).numpy()
    np.testing.assert_array_equal(found[0], found[1])
    assert len(np.unique(found[0], axis=0)) == 3


def test_key_points_see_each_other_through_self_attention_alone():
    """What a key point's class says reaches the others' predictions only through attention."""
    for self_attention in (True, False):
        network = _tiny(self_attention=self_attention)
        unsettle(network)
        for layer in network.layers:
            if layer.name.endswith("_out"):  # which start from zero
                layer.kernel.assign(np.random.default_rng(0).normal(size=layer.kernel.shape))
        images = pictures(network)
        before = run(network, images)["coordinates"]
        classes = network.get_layer("encoder_classes").classes
        changed = classes.numpy()
        changed[0] += 1.0
        classes.assign(changed)
        apart = np.abs(run(network, images)["coordinates"] - before).max(axis=(0, 2))
        assert apart[0] > 1e-4
        assert (apart[1:] > 1e-5).all() == self_attention
        if not self_attention:
            np.testing.assert_allclose(apart[1:], 0, atol=1e-6)


def test_noisy_groups_do_not_change_the_networks_own_answer():
    network = _tiny(dropout=0.0, frozen_norm=True)
    unsettle(network)
    learner, images = network.learner(), tf.cast(pictures(network), "float32")
    first, again = (learner(images, training=True)["coordinates"].numpy() for _ in range(2))
    np.testing.assert_allclose(first[:, :3], again[:, :3], atol=1e-6)
    assert np.abs(first[:, 3:] - again[:, 3:]).max() > 1e-3


def test_the_decoder_does_not_teach_the_coarse_branch():
    network = _tiny()
    images = tf.cast(pictures(network), "float32")
    location = network.get_layer("coarse_location")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(images, training=True)["coordinates"] ** 2)
    assert tape.gradient(loss, location.trainable_variables) == [None, None]


def test_references_are_refined_through_all_layers():
    """The gradient of the last layer reaches the first one's reference: it is not detached."""
    network = _tiny()
    images = tf.cast(pictures(network), "float32")
    first = network.get_layer("layer1_reference_out")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(images, training=True)["coordinates"] ** 2)
    assert np.abs(tape.gradient(loss, first.bias).numpy()).max() > 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"levels": [2, 4]}, "2"),
        ({"levels": []}, "levels"),
        ({"input_size": [100, 96]}, "100"),
        ({"backbone": "resnet34"}, "resnet34"),
        ({"query": "product"}, "product"),
        ({"initial": "center"}, "center"),
        ({"score": "heat"}, "heat"),
        ({"residual": "l2"}, "l2"),
        ({"heads": 3}, "heads=3"),
        ({"decoder_layers": 0}, "decoder_layers"),
        ({"noise_groups": -1}, "noise_groups"),
        ({"channels": 8.5}, "channels"),
    ],
    ids=str,
)
def test_refuses(changes, named):
    with pytest.raises(PoseError, match=named) as refusal:
        _tiny(**changes)
    assert refusal.value.expected and refusal.value.advice
