"""Magnitudes of gradients, their histograms, and a run that does not notice being watched."""

import os
import runpy
import subprocess
import sys

import dots
import keras
import numpy as np
import pytest
import tiny
import train_worker
from conftest import ROOT

from keras_pose.task import PoseTask
from keras_pose.training import gradients, history, run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """9 persons to train on: 2 steps of 4."""
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 9), ("val", 4)):
        dots.write(dots.DotsReader(count, (240, 300)), folder / split, ".jpg")
    return folder


def _events(folder):
    """(tag, step) to buckets (n, 3) of all histograms in a folder."""
    from tensorboard.backend.event_processing import event_file_loader
    from tensorboard.util import tensor_util

    found = {}
    for file in folder.glob("events*"):
        for event in event_file_loader.EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                array = tensor_util.make_ndarray(value.tensor)
                if array.ndim == 2:
                    found[value.tag, event.step] = array
    return found


def test_gradients_are_those_of_the_loss_and_leave_no_trace():
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    task = PoseTask(tiny.TinyPose(drop=0.3))
    x, y = tiny.batch()
    before = [np.array(v) for v in task.variables]
    found = gradients.magnitudes(task, (x, y))
    for variable, value in zip(task.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    again = gradients.magnitudes(task, (x, y))  # the same dropout: the seeds did not move
    assert list(found) == list(again)
    assert all(np.array_equal(found[name], again[name]) for name in found)

    with tf.GradientTape() as tape:
        loss = task.compute_loss(x=x, y=y, y_pred=task(x, training=True), training=True)
    plain = tape.gradient(loss, [v.value for v in task.trainable_variables])
    expected = {}
    for variable, value in zip(task.trainable_variables, plain, strict=True):
        layer = variable.path.rpartition("/")[0]
        expected.setdefault(layer, []).append(np.abs(value).ravel())
    assert list(found) == list(expected) and len(found) == 4
    for layer, parts in expected.items():
        np.testing.assert_allclose(found[layer], np.concatenate(parts), rtol=1e-5, atol=1e-8)
        assert found[layer].max() > 0
    # that pass did move what a pass in training moves
    after = [np.array(v) for v in task.variables]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_frozen_layers_have_none():
    network = tiny.TinyPose()
    network.layers[2].trainable = False
    assert network.layers[2].name not in gradients.magnitudes(PoseTask(network), tiny.batch())


def test_stages_gather_their_layers():
    layers = {"stage1_a": np.ones(2), "stage2_a": np.zeros(3), "stage1_b": np.full(1, 5.0)}
    stages = gradients.by_stage(layers)
    assert {k: v.tolist() for k, v in stages.items()} == {"stage1": [1, 1, 5], "stage2": [0, 0, 0]}
    assert gradients.logarithms(np.array([0.0, 1e-3, 10.0])).tolist() == [-3.0, 1.0]


def test_watching_changes_no_number(data, tmp_path):
    """Weights, averages, optimizer and seeds are equal at the end, bit by bit."""
    recipe = train_worker.recipe(drop=0.3)
    run.train(recipe, data, tmp_path / "plain", progress=False)
    watch = gradients.Histograms(2)
    run.train(recipe, data, tmp_path / "watched", progress=False, watches=[watch])
    states = [np.load(tmp_path / out / "last.state") for out in ("plain", "watched")]
    assert set(states[0].files) == set(states[1].files)
    for name in set(states[0].files) - {"position"}:
        np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)

    found = _events(tmp_path / "watched" / "tensorboard")
    assert {step for _, step in found} == {2, 4}
    tags = {tag for tag, _ in found}
    # two convolutions, a normalisation and the coarse maps' convolution
    assert len([t for t in tags if t.startswith("gradients/")]) == 4
    assert any(t.startswith("gradients_by_stage/") for t in tags)
    for (tag, _), buckets in found.items():  # left, right, count
        assert buckets[:, 2].sum() > 0 and (np.diff(buckets[:, 0]) >= 0).all(), tag
        assert -12 < buckets[0, 0] < buckets[-1, 1] < 3, tag
    assert not _events(tmp_path / "plain" / "tensorboard")


def test_without_tensorboard_nothing_is_computed(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    monkeypatch.setattr(gradients, "magnitudes", None)
    recipe = train_worker.recipe(epochs=1)
    run.train(recipe, data, tmp_path / "run", progress=False, watches=[gradients.Histograms(1)])
    assert capsys.readouterr().out.count("tensorboard is not installed") == 1
    assert not (tmp_path / "run" / "tensorboard").exists()
    history.History(tmp_path).add_histograms({"a": np.ones(3)}, 1)  # nothing to write to


def test_the_command_line_switches_it_on(monkeypatch):
    seen = {}
    monkeypatch.setattr(run, "train", lambda *a, **named: seen.update(named))
    script = runpy.run_path(str(ROOT / "train" / "train.py"))["main"]
    for given, every in (([], None), (["--gradients", "50"], 50)):
        monkeypatch.setattr(sys, "argv", ["train.py", "repose_lite_figures", *given])
        script()
        assert [w.every for w in seen["watches"]] == ([every] if every else [])


_ELSEWHERE = """
import sys, numpy as np, keras, tiny
from keras_pose.task import PoseTask
from keras_pose.training import gradients
assert keras.backend.backend() == "jax"
task = PoseTask(tiny.TinyPose())
with np.load(sys.argv[1]) as given:
    task.network.set_weights([given[f"w{i}"] for i in range(len(given.files))])
before = [np.array(v) for v in task.variables]
found = gradients.magnitudes(task, tiny.batch())
assert all(np.array_equal(a, np.array(b)) for a, b in zip(before, task.variables))
np.savez(sys.argv[2], **{str(i): v for i, v in enumerate(found.values())})
"""


@pytest.mark.backend("jax")
def test_jax_finds_the_same(tmp_path):
    task = PoseTask(tiny.TinyPose())
    weights, answer = tmp_path / "weights.npz", tmp_path / "answer.npz"
    np.savez(weights, **{f"w{i}": w for i, w in enumerate(task.network.get_weights())})
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(weights), str(answer)],
        env=environment, capture_output=True, text=True, cwd=ROOT / "tests",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    own = list(gradients.magnitudes(task, tiny.batch()).values())
    with np.load(answer) as given:
        assert len(given.files) == len(own)
        for i, values in enumerate(own):
            np.testing.assert_allclose(given[str(i)], values, rtol=2e-3, atol=1e-6)
