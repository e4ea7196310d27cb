"""Poseur: what all networks must do, its counts, and every ablation of the paper."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_checks import ARM, ModelChecks, batch, pictures, run, unsettle
from shallow import shallow

from keras_pose import export, losses
from keras_pose.errors import PoseError
from keras_pose.export import graph, report
from keras_pose.layers import DirectionDense
from keras_pose.metadata import strip
from keras_pose.models import Poseur
from keras_pose.models.counting import count
from keras_pose.task import PoseTask

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [64, 64],
    "backbone": "mobilenet_v2",
    "alpha": 0.35,
    "levels": [4, 8],
    "channels": 16,
    "decoder_layers": 2,
    "heads": 2,
    "points": 2,
    "feed_forward": 8,
    "noise_groups": 2,
}
SHAPE = (3, 4)
PERCEPTRONS = ("reference", "location", "scale")


def _tiny(**changes):
    keras.utils.set_random_seed(1)
    with shallow():
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
        ({"decoder_layers": 5}, 31.73, 4.50),
        ({"decoder_layers": 6}, 33.15, 4.53),
        ({"input_size": (128, 128)}, 28.90, 1.54),
        ({"backbone": "mobilenet_v2", "decoder_layers": 5}, 9.83, 0.462),
        ({"backbone": "mobilenet_v2", "decoder_layers": 6}, 11.25, 0.486),
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
    own = len(network.weights)
    flows = sum(int(np.prod(w.shape)) for w in network.criterion().weights)
    assert flows == 2 * 53_784
    trained = PoseTask(network).weights
    assert len(network.weights) == own < len(trained)
    assert 28.90e6 + flows == pytest.approx(29.01e6, rel=0.001)  # the paper's other figure


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_groups": 0},
        {"levels": [32]},
        {"levels": [8, 16, 32]},
        {"self_attention": False},
        {"initial": "query"},
        {"initial": "integral"},
        {"query": "sum"},
        {"shared": True},
        {"residual": "released"},
        {"frozen_norm": True},
    ],
    ids=str,
)
def test_every_ablation_trains(changes):
    network = _tiny(**{"dropout": 0.0, **changes})
    task, costs = PoseTask(network), []
    x, y = batch(network)
    for _ in range(6):
        with tf.GradientTape() as tape:
            loss = task.compute_loss(x, y, task(x, training=True))
        weights = task.trainable_variables
        for gradient, weight in zip(tape.gradient(loss, weights), weights, strict=True):
            weight.assign_sub(1e-2 * tf.sign(gradient))  # as Adam begins
        costs.append(float(loss))
    assert np.isfinite(costs).all()
    assert min(costs[-3:]) < costs[0]
    assert network.arguments[next(iter(changes))] == next(iter(changes.values()))


@pytest.mark.parametrize("score", ["laplace", "rle", "none"])
def test_every_score_is_between_0_and_1(score):
    network = _tiny(score=score)
    points, scores = network.codec.decode(run(network, pictures(network))["coordinates"])
    assert points.shape == (2, 3, 2) and scores.shape == (2, 3)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores == 1).all() == (score == "none")


def test_ablations_change_what_they_say():
    base = _tiny()
    names = {layer.name for layer in base.layers}
    assert "layer1_attention" in names
    assert not any("attention" in x.name for x in _tiny(self_attention=False).layers)
    assert "coarse" not in _tiny(initial="query").output
    assert base.learner().output["coordinates"].shape[1] == 3 * 3
    assert _tiny(noise_groups=0).learner().output["coordinates"].shape[1] == 3
    assert _tiny(score="rle").codec.score == "rle"
    assert _tiny(residual="released").criterion().residual is losses.released
    assert "encoder_mix" in names
    assert "encoder_mix" not in {layer.name for layer in _tiny(query="sum").layers}
    assert any(layer.name.endswith("dropout") for layer in base.layers)
    assert not any(layer.name.endswith("dropout") for layer in _tiny(dropout=0.0).layers)
    frozen = _tiny(frozen_norm=True)
    assert not any("_BN" in w.path for w in frozen.trainable_variables)
    assert any("_BN" in w.path for w in base.trainable_variables)
    shared, own = count(_tiny(shared=True)), count(base)
    assert shared.parameters < own.parameters and shared.multiply_adds == own.multiply_adds
    assert count(_tiny(decoder_layers=3, shared=True)).parameters == shared.parameters


def test_a_guess_beyond_the_crop_is_seen_as_it_is_and_as_it_would_be_inside():
    network = _tiny()
    joined = network.get_layer("encoder_join").output
    model = keras.Model(network.inputs[0], joined)
    channels = TINY["channels"]
    kernel, bias = network.get_layer("coarse_location").weights
    kernel.assign(0 * kernel)
    images = tf.cast(pictures(network), "float32")
    bias.assign([0.5, 0.5] * 3)
    inside = model(images).numpy()
    np.testing.assert_allclose(inside[..., :channels], inside[..., channels:], atol=1e-6)
    bias.assign([1.3, -0.2] * 3)
    beyond = model(images).numpy()
    bias.assign([1.0, 0.0] * 3)
    edge = model(images).numpy()
    np.testing.assert_allclose(beyond[..., channels:], edge[..., channels:], atol=1e-6)
    assert np.abs(beyond[..., :channels] - edge[..., :channels]).max() > 0.1


def test_layers_are_what_the_release_has():
    network = _tiny()
    activations = {n: network.get_layer(f"layer1_{n}_1").activation.__name__ for n in PERCEPTRONS}
    assert activations == {"reference": "relu", "location": "relu", "scale": "linear"}
    level = _tiny(levels=[8], channels=64).get_layer("neck8_place").level.numpy()
    assert abs(level.mean()) < 0.5 and 0.7 < level.std() < 1.3
    # the coarse locations do not see how strong the features are, the scales do
    assert isinstance(network.get_layer("coarse_location"), DirectionDense)
    assert not isinstance(network.get_layer("coarse_scale"), DirectionDense)


def test_every_layer_samples_around_its_own_references():
    """Moving the first layer's reference moves where the second looks."""
    network = _tiny()
    settle(network)
    sampled = keras.Model(network.inputs[0], network.get_layer("layer2_sampling").output)
    first = keras.Model(network.inputs[0], network.get_layer("layer1_sampling").output)
    images = tf.cast(pictures(network), "float32")
    before, before_first = sampled(images).numpy(), first(images).numpy()
    bias = network.get_layer("layer1_reference_out").bias
    bias.assign(bias + 2.0)
    np.testing.assert_array_equal(first(images).numpy(), before_first)
    assert np.abs(sampled(images).numpy() - before).max() > 1e-3


def test_the_pooled_map_is_the_deepest_and_only_what_is_read_is_built():
    names = {layer.name for layer in _tiny(levels=[8]).layers}
    assert {"neck32_conv", "pool", "neck8_conv"} <= names
    assert not {"neck4_conv", "neck16_conv"} & names
    names = {layer.name for layer in _tiny(levels=[8], initial="query").layers}
    assert not {"neck32_conv", "pool", "Conv_1"} & names


def test_exports_without_a_flex_operation_or_a_tensor_above_rank_5():
    content = export.to_tflite(_tiny())
    assert not report.contents(content, "fp32").foreign
    tensors = graph.read(strip(content)).subgraphs[0].tensors
    assert max(len(t.shape) for t in tensors if t.shape is not None) <= 5


def test_references_of_the_query_do_not_depend_on_the_picture():
    network = _tiny(initial="query")
    model = keras.Model(network.inputs[0], network.get_layer("encoder_reference_points").output)
    found = model(tf.cast(pictures(network), "float32")).numpy()
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
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
        ({"channels": 12}, "channels=12"),
        ({"dropout": 1.5}, "dropout"),
        ({"dropout": "a"}, "dropout"),
        ({"weights": 5}, "weights"),
        ({"shared": "false"}, "shared"),
    ],
    ids=str,
)
def test_refuses(changes, named):
    with pytest.raises(PoseError, match=named) as refusal:
        _tiny(**changes)
    assert refusal.value.expected and refusal.value.advice
