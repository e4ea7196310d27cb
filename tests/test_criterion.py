"""A criterion with weights of its own: trained and resumed with the task, left behind with it."""

import json
import os
import subprocess
import sys

import dots
import keras
import numpy as np
import pytest
from conftest import ROOT
from tiny import TinyPoints, batch

from keras_pose import models
from keras_pose.models import counting
from keras_pose.task import PoseTask

FLOWS = 2 * 53_784


def _loss(task, x, y):
    return float(task.compute_loss(x, y, task(x)))


def test_a_criterions_weights_are_trained_and_saved_with_the_task_alone(tmp_path):
    keras.utils.set_random_seed(0)
    task = PoseTask(TinyPoints())
    task.compile(optimizer=keras.optimizers.Adam(0.01))
    own = task.criterion.trainable_variables
    assert sum(v.numpy().size for v in own) == FLOWS
    before = [np.array(v) for v in own]
    x, y = batch()
    seen = [task.train_on_batch(x, y) for _ in range(20)]
    assert seen[-1] < seen[0] - 0.5
    assert all(np.any(a != np.array(b)) for a, b in zip(before, own, strict=True))
    assert {id(v) for v in own}.isdisjoint(id(v) for v in task.network.variables)
    assert {id(v) for v in own} <= {id(v) for v in task.trainable_variables}

    task.network.save(tmp_path / "network.keras")
    size = (tmp_path / "network.keras").stat().st_size
    assert size < 4 * sum(a.size for a in before), "the flows alone would be larger"
    loaded = models.load(tmp_path / "network.keras")
    assert counting.count(loaded).parameters < FLOWS / 5

    task.save(tmp_path / "task.keras")
    twin = keras.saving.load_model(tmp_path / "task.keras", compile=False)
    assert _loss(twin, x, y) == pytest.approx(_loss(task, x, y), rel=1e-6)


def test_training_sees_the_learner_and_everything_else_the_network():
    task = PoseTask(TinyPoints(groups=2))
    x, _ = batch()
    shapes = {k: tuple(v.shape) for k, v in task(x, training=True).items()}
    assert shapes == {"coarse": (4, 3, 4), "layer1": (4, 9, 4), "coordinates": (4, 9, 4)}
    seen = np.asarray(task(x, training=True)["coordinates"])
    assert np.abs(seen[:, :3] - seen[:, 3:6]).max() > 1e-4, "groups are noisy"
    calm = np.asarray(task(x)["coordinates"])
    np.testing.assert_allclose(np.tile(calm[:, :3], (1, 3, 1)), calm, atol=1e-6)
    own = np.asarray(task.network(task.images(x))["coordinates"])
    np.testing.assert_allclose(calm[:, :3], own, atol=1e-6)
    noise = {v.path for v in task.variables} - {v.path for v in task.network.variables}
    assert any("seed" in path for path in noise), "what is random resumes with the task"


# whole runs, each in a process of its own

_RUN = """
import dataclasses, json, sys
import train_worker  # under JAX, TensorFlow is not there
from keras_pose.training import run

out, data, resume, stop, devices = sys.argv[1:]
if int(devices) > 1:
    import tensorflow as tf
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * int(devices),
    )
recipe = dataclasses.replace(train_worker.recipe(), builder="TinyPoints", network={})
job = run.Run(recipe, data, run.Path(out), bool(int(resume)), progress=False)
after_step = job.after_step

def step(logs):
    after_step(logs)
    if job.done == int(stop):
        raise KeyboardInterrupt

job.after_step = step
try:
    job.go()
except KeyboardInterrupt:
    pass
own = {id(v) for v in job.task.criterion.variables}
places = [i for i, v in enumerate(job.task.variables) if id(v) in own]
print(json.dumps({"replicas": job.replicas, "steps": job.done, "criterion": places}))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """An LSP folder of 16 training and 4 validation persons: 4 steps of 4."""
    folder = tmp_path_factory.mktemp("data")
    dots.write(dots.DotsReader(16, (240, 300), seed=1), folder / "train", ".jpg")
    dots.write(dots.DotsReader(4, (240, 300), seed=2), folder / "val", ".jpg")
    return folder


def _run(backend, out, data, resume=0, stop=0, devices=1):
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _RUN, *map(str, (out, data, resume, stop, devices))]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=ROOT / "tests"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_run_resumes_with_its_criterion(backend, data, tmp_path):
    told = _run(backend, tmp_path / "whole", data)
    assert told["steps"] == 8
    assert _run(backend, tmp_path / "parts", data, stop=7)["steps"] == 7  # the state is of step 6
    with np.load(tmp_path / "parts/last.state") as state:
        early = [state[f"variable{i}"] for i in told["criterion"]]
    assert _run(backend, tmp_path / "parts", data, resume=1) == told
    with (
        np.load(tmp_path / "whole/last.state") as one,
        np.load(tmp_path / "parts/last.state") as two,
    ):
        assert set(one.files) == set(two.files)
        for name in set(one.files) - {"position"}:
            np.testing.assert_allclose(one[name], two[name], atol=1e-5, err_msg=name)
        flows = [two[f"variable{i}"] for i in told["criterion"]]
    assert sum(flow.size for flow in flows) == FLOWS
    assert all(np.any(a != b) for a, b in zip(early, flows, strict=True)), "training goes on"
    assert sum(w.size for w in models.load(tmp_path / "parts/best.keras").get_weights()) < FLOWS / 5


def test_several_devices_share_one_criterion(data, tmp_path):
    assert _run("tensorflow", tmp_path / "run", data, devices=2)["replicas"] == 2
