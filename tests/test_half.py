"""Weights in half precision load as any other, rounded and no more than that."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tiny

from keras_pose import models
from keras_pose.errors import PoseError
from keras_pose.models import half, network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network of weights that differ, and the same in half precision."""
    folder = tmp_path_factory.mktemp("half")
    # wide, so that the weights outweigh what is written about them; drop: a seed, a whole number
    made = tiny.TinyPose("lsp14", width=256)
    rng = np.random.default_rng(0)
    # as they are after training: a network's first weights are often zeros and ones
    made.set_weights([0.1 + 0.2 * rng.random(w.shape, np.float32) for w in made.get_weights()])
    made.notes = {"recipe": "tiny"}
    made.save(folder / "whole.keras")
    half.write(folder / "whole.keras", folder / "half.keras")
    return folder / "whole.keras", folder / "half.keras"


def test_the_weights_are_those_rounded(files):
    whole, halved = (network.load(path) for path in files)
    assert halved.notes == {"recipe": "tiny"} and len(whole.weights) == len(halved.weights) > 5
    changed = 0
    for before, after in zip(whole.weights, halved.weights, strict=True):
        before, after = (keras.ops.convert_to_numpy(w) for w in (before, after))
        assert after.dtype == before.dtype
        assert np.array_equal(after, before.astype(np.float16).astype(before.dtype))
        changed += not np.array_equal(before, after)
    assert changed > 3


def test_floats_are_halved_and_whole_numbers_stay():
    given = io.BytesIO()
    with h5py.File(given, "w") as file:
        for name, kind in (("a", "float32"), ("b", "float64"), ("c", "uint32")):
            file.create_group(name).attrs["name"] = name.upper()
            file[name].create_dataset("0", data=np.array([1, 2 if "f" in kind else 70_000], kind))
    with h5py.File(io.BytesIO(half._halved(given.getvalue(), "here"))) as file:
        assert [file[n]["0"].dtype for n in "abc"] == ["float16", "float16", "uint32"]
        assert file["c"]["0"][1] == 70_000 and file["c"].attrs["name"] == "C"


def test_the_answers_are_near(files):
    patches = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.float32)
    whole, halved = (network.load(path).inference().predict_on_batch(patches) for path in files)
    assert np.abs(halved - whole).max() < 2e-3 * np.abs(whole).max()
    assert not np.array_equal(halved, whole)


def test_the_file_is_half_as_large(files):
    whole, halved = (path.stat().st_size for path in files)
    assert halved < 0.55 * whole


def test_a_network_of_many_layers_survives(tmp_path):
    made = models.RePoseLite(input_size=(32, 32))
    made.save(tmp_path / "whole.keras")
    half.write(tmp_path / "whole.keras", tmp_path / "half.keras")
    loaded = network.load(tmp_path / "half.keras")
    assert loaded.get_config() == made.get_config()
    for before, after in zip(made.get_weights(), loaded.get_weights(), strict=True):
        assert np.allclose(before, after, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("value", [7e4, np.inf, np.nan])
def test_what_half_precision_cannot_hold_is_refused(tmp_path, value):
    made = tiny.TinyPose()
    weights = made.get_weights()
    weights[-1][0] = value
    made.set_weights(weights)
    made.save(tmp_path / "wide.keras")
    with pytest.raises(PoseError, match=r"65504(.|\n)*wide\.keras"):
        half.write(tmp_path / "wide.keras", tmp_path / "half.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["wide.keras"]


def test_another_kind_of_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({}))
    with pytest.raises(PoseError, match=r"other\.keras"):
        half.write(tmp_path / "other.keras", tmp_path / "half.keras")
