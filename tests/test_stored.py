"""A .keras is read by its layers' names, so that builders may change the order they work in."""

import keras
import numpy as np
import pytest

from keras_pose import models, skeletons
from keras_pose.codecs import SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.models import half
from keras_pose.models.network import PoseNetwork, load

CHAIN = skeletons.Skeleton("chain", ("a", "b", "c"), ((0, 1), (1, 2)))
ORDER = ["one", "two", "three"]


def Towers(order=None, width=3, named=True):
    """Three convolutions of one shape beside each other, made in any order, and a dropout."""
    image = keras.Input((16, 16, 3), name="image")
    made = {}
    for name in order or ORDER:
        conv = keras.layers.Conv2D(width, 3, 4, name=name if named else None)
        made[name] = keras.layers.Dropout(0.1, name=f"{name}_drop" if named else None)(conv(image))
    maps = keras.layers.Add(name="sum")(list(made.values()))
    return PoseNetwork(
        image, {"heatmaps": maps}, skeleton=CHAIN, codec=SoftmaxHeatmap((16, 16), (4, 4), 2.0),
        builder="Towers", arguments={"width": width, "named": named},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def builder(monkeypatch):
    monkeypatch.setattr(models, "Towers", Towers, raising=False)


def _saved(path, **arguments):
    network = Towers(**arguments)
    draw = np.random.default_rng(0)
    network.set_weights(
        [
            w if w.dtype.kind == "u" else draw.normal(size=w.shape).astype("float32")
            for w in network.get_weights()
        ]
    )
    network.save(path)
    return network


@pytest.mark.parametrize("halved", [False, True])
def test_names_decide_whatever_the_order(halved, tmp_path, monkeypatch):
    path = tmp_path / "a.keras"
    network = _saved(path)
    if halved:
        half.write(path, tmp_path / "b.keras")
        path = tmp_path / "b.keras"
    monkeypatch.setattr(models, "Towers", lambda **given: Towers(order=ORDER[::-1], **given))
    again = load(path)
    assert [x.name for x in again.layers] != [x.name for x in network.layers]
    for name in ORDER:
        for found, wanted in zip(
            again.get_layer(name).get_weights(), network.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-3 if halved else 0)


def test_layers_without_names_of_their_own_are_read_in_order(tmp_path):
    network = _saved(tmp_path / "a.keras", named=False)
    again = load(tmp_path / "a.keras")
    assert [x.name for x in again.layers] != [x.name for x in network.layers]
    for found, wanted in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda **given: Towers(width=3, order=[*ORDER]), "of shape"),
        (lambda **given: Towers(**given, order=[*ORDER, "four"]), "weights none for"),
    ],
)
def test_a_builder_that_makes_other_layers_is_refused(other, words, tmp_path, monkeypatch):
    _saved(tmp_path / "a.keras", width=5)
    monkeypatch.setattr(models, "Towers", other)
    with pytest.raises(PoseError, match=words):
        load(tmp_path / "a.keras")


def test_weights_that_are_left_over_are_refused(tmp_path):
    network = Towers()
    extra = keras.layers.Conv2D(3, 3, 4, name="extra")(network.inputs[0])
    extra = keras.layers.Add(name="more")([network.output["heatmaps"], extra])
    PoseNetwork(
        network.inputs[0], {"heatmaps": extra}, skeleton=CHAIN, codec=network.codec,
        builder="Towers", arguments={},
    ).save(tmp_path / "a.keras")  # fmt: skip
    with pytest.raises(PoseError, match="no place for"):
        load(tmp_path / "a.keras")
