"""Counting: layers against hand arithmetic, RePose against its paper."""

import csv
import itertools

import keras
import pytest
from conftest import ROOT
from keras import layers

from keras_pose.errors import PoseError
from keras_pose.models import RePose
from keras_pose.models.counting import collision_chance, count


def _model(*stack, shape=(8, 12, 6)):
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        (layers.Conv2D(10, 3, padding="same"), 8 * 12 * 9 * 6 * 10),
        (layers.Conv2D(10, 3, strides=2, padding="same"), 4 * 6 * 9 * 6 * 10),
        (layers.Conv2D(10, 3), 6 * 10 * 9 * 6 * 10),
        (layers.Conv2D(12, 3, padding="same", groups=3), 8 * 12 * 9 * 2 * 12),
        (layers.DepthwiseConv2D(5, padding="same", depth_multiplier=2), 8 * 12 * 25 * 12),
        (layers.SeparableConv2D(10, 3, padding="same"), 8 * 12 * (9 * 6 + 6 * 10)),
        (layers.SeparableConv2D(10, 3, strides=2, padding="same"), 4 * 6 * (9 * 6 + 6 * 10)),
        (layers.Conv2DTranspose(10, 4, strides=2, padding="same"), 8 * 12 * 16 * 6 * 10),
        (layers.Dense(10), 8 * 12 * 6 * 10),
        (layers.BatchNormalization(), 0),
        (layers.ReLU(), 0),
    ],
    ids=lambda v: v.name if isinstance(v, keras.Layer) else None,
)
def test_multiply_adds_of_a_layer(layer, multiply_adds):
    counts = count(_model(layer))
    assert counts.multiply_adds == multiply_adds
    assert counts.parameters == layer.count_params()


def test_a_strided_separable_convolution_is_its_two_halves():
    whole = count(_model(layers.SeparableConv2D(10, 3, strides=2, padding="same")))
    halves = _model(
        layers.DepthwiseConv2D(3, strides=2, padding="same"), layers.Conv2D(10, 1, use_bias=False)
    )
    assert whole.multiply_adds == count(halves).multiply_adds


def test_moving_statistics_are_parameters_but_not_trainable():
    counts = count(_model(layers.Conv2D(10, 1, use_bias=False), layers.BatchNormalization()))
    assert (counts.parameters, counts.trainable) == (60 + 40, 60 + 20)


def test_flops_add_elementwise_work_to_twice_the_multiply_adds():
    counts = count(_model(layers.Conv2D(10, 1), layers.UpSampling2D(2, interpolation="bilinear")))
    assert counts.flops == 2 * 8 * 12 * 60 + 3 * 8 * 12 * 10 + 8 * 16 * 24 * 10


def test_a_layer_called_twice_works_twice_but_has_its_weights_once():
    shared = layers.Conv2D(6, 1)
    once, twice = count(_model(shared)), count(_model(shared, shared))
    assert twice.multiply_adds == 2 * once.multiply_adds
    assert twice.parameters == once.parameters


def test_nested_models_are_opened():
    inner = _model(layers.Conv2D(6, 3, padding="same"))
    assert count(_model(inner, inner)).multiply_adds == 2 * count(inner).multiply_adds


class _Own(layers.Layer):
    def build(self, shape):
        self.mixing = self.add_weight(shape=(shape[-1], 4))

    def call(self, x):
        return keras.ops.matmul(x, self.mixing)


class _OwnThatKnows(_Own):
    def multiply_adds(self, inputs, outputs):
        return inputs[0].shape[1] * inputs[0].shape[2] * 6 * outputs[0].shape[-1]


def test_unknown_layers_are_refused_unless_they_say_what_they_do():
    with pytest.raises(PoseError, match="_Own"):
        count(_model(_Own()))
    assert count(_model(_OwnThatKnows())).multiply_adds == 8 * 12 * 6 * 4


def test_base_model():
    counts = count(RePose())
    assert counts.parameters == 4_046_562
    assert counts.trainable == 4_022_626
    assert counts.multiply_adds == pytest.approx(6.6987e9, rel=1e-4)
    assert counts.flops == pytest.approx(13.458e9, rel=0.005)


@pytest.mark.parametrize(
    ("arguments", "millions", "gflops"),
    [
        ({"coarsest": 8}, 4.315, 12.371),  # table 3
        ({"update_blocks": 1}, 3.259, 13.060),  # table 4
        ({"input_size": (256, 256)}, 4.315, 49.483),  # table 7
        ({"joint_head": True}, 3.526, None),
    ],
    ids=str,
)
def test_ablations(arguments, millions, gflops):
    counts = count(RePose(**arguments))
    assert round(counts.parameters / 1e6, 3) == millions
    if gflops:
        assert counts.flops == pytest.approx(gflops * 1e9, rel=0.005)


def test_stacking():
    counts = count(RePose(stacks=2))
    assert round(counts.parameters / 1e6, 2) == 8.47
    assert counts.flops == pytest.approx(29.45e9, rel=0.005)


def test_the_sequential_model_is_about_as_large():
    assert count(RePose(kinematic=False)).parameters == pytest.approx(4_046_562, rel=0.01)


def test_strategies_differ_by_the_lambdas_alone():
    small = {"channels": 8, "keypoint_channels": 8, "input_size": (32, 32), "depth": 1}
    add, replace, trainable = (
        count(RePose(update=update, update_blocks=1, **small)).parameters
        for update in ("add", "replace", "trainable")
    )
    assert trainable - 28 == add == replace


def test_collisions():
    assert round(collision_chance(8, 14), 2) == 0.78
    assert round(collision_chance(16, 14), 2) == 0.30
    # by going through all of them, on a small map
    placements = list(itertools.product(range(9), repeat=3))
    colliding = sum(len(set(p)) < 3 for p in placements)
    assert collision_chance(3, 3) == pytest.approx(colliding / len(placements))
    assert collision_chance(1, 2) == 1.0


def test_the_committed_table_says_that_all_is_as_expected():
    with open(ROOT / "benchmarks" / "results" / "repose_counts.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["table"] for line in lines} == {"3", "4", "6", "7", "4.1"}
    assert all(line["as_expected"] == "yes" for line in lines)
    sixteen = next(line for line in lines if line["setting"] == "coarsest 16x16")
    assert int(sixteen["parameters"]) == 4_046_562
