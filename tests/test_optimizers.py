"""What is to move slowly does, decay included, on every backend, device and precision."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT
from tiny import TinyPose, batch

from keras_pose import models
from keras_pose.errors import PoseError
from keras_pose.task import PoseTask
from keras_pose.training import optimizers
from keras_pose.training.recipe import Optimizer

SLOW, FAST = "layer1_sampling_offsets", "attention"


def trained(backend="tensorflow", devices=1, precision="float32", **settings):
    """Means of the variables of optimizer_worker.py, all of which were 2."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    environment["JAX_PLATFORMS"] = "cpu"
    arguments = json.dumps([settings, devices, precision])
    done = subprocess.run(
        [sys.executable, "tests/optimizer_worker.py", arguments],
        capture_output=True, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "where",
    [
        {"devices": 2},
        {"devices": 2, "precision": "mixed_float16"},
        {"precision": "mixed_float16"},
        {"backend": "jax"},
        {"backend": "jax", "precision": "mixed_float16"},
    ],
    ids=str,
)
def test_slow_variables_move_and_decay_at_a_tenth_of_the_rate(where):
    after = trained(**where, name="adamw", decay=0.5)
    assert after[f"{FAST}/kernel"] == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1, abs=1e-5)
    assert after[f"{SLOW}/kernel"] == pytest.approx(2 * (1 - 0.01 * 0.5) - 0.01, abs=1e-5)
    assert after[f"{FAST}/bias"] == pytest.approx(2 - 0.1, abs=1e-5)
    assert after[f"{SLOW}/bias"] == pytest.approx(2 - 0.01, abs=1e-5)


def variables(optimizer, names):
    made = []
    for name in names:
        layer = keras.layers.Dense(2, name=name)
        layer.build((None, 3))
        made += layer.trainable_variables
    optimizer.build(made)
    return made


def test_adam_has_no_decay_and_the_names_and_the_factor_can_be_chosen():
    given = Optimizer(
        name="adam", rate=0.1, warmup=0, decay=0.5, slow=("attention",), slow_factor=0.25
    )
    optimizer = optimizers.build(given, 9)
    moved = variables(optimizer, (SLOW, FAST))
    before = [np.asarray(v) for v in moved]
    optimizer.apply([keras.ops.ones(v.shape) for v in moved], moved)
    after = [np.asarray(v) for v in moved]
    steps = [np.unique((b - a).round(5)) for b, a in zip(before, after, strict=True)]
    assert np.allclose(steps, [[0.1], [0.1], [0.025], [0.025]], atol=1e-5)


@pytest.mark.parametrize("name, theirs", [("adam", "Adam"), ("adamw", "AdamW")])
def test_without_slow_variables_it_is_keras_own(name, theirs):
    rng = np.random.default_rng(0)
    given = Optimizer(name=name, rate=0.03, decay=0.2, clip=0.7, schedule="constant", warmup=0)
    ours = optimizers.build(given, 9)
    decay = {"weight_decay": 0.2} if name == "adamw" else {}
    rate = optimizers.Schedule(0.03, 9, schedule="constant")
    reference = getattr(keras.optimizers, theirs)(rate, global_clipnorm=0.7, **decay)
    if decay:
        reference.exclude_from_weight_decay(var_names=["bias"])
    pairs = [variables(o, ("one", "two")) for o in (ours, reference)]
    for mine, other in zip(*pairs, strict=True):
        other.assign(mine)
    for _ in range(5):
        gradients = [rng.normal(size=v.shape).astype(np.float32) for v in pairs[0]]
        for optimizer, moved in zip((ours, reference), pairs, strict=True):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], moved)
    for mine, other in zip(*pairs, strict=True):
        assert np.array_equal(np.asarray(mine), np.asarray(other))
    assert [v.shape for v in ours.variables] == [v.shape for v in reference.variables]


def test_every_step_is_as_much_slower():
    """Not the first alone: the moments that a step is made of are those of the full gradient."""
    optimizer = optimizers.build(Optimizer(rate=0.05, schedule="cosine", warmup=3), 20)
    (kernel, _, other, _) = moved = variables(optimizer, (SLOW, FAST))
    other.assign(kernel)
    begin, rng = np.asarray(kernel), np.random.default_rng(1)
    optimizer.weight_decay = 0.0
    for _ in range(12):
        gradient = keras.ops.convert_to_tensor(rng.normal(size=begin.shape).astype(np.float32))
        bias = keras.ops.zeros((2,))
        optimizer.apply([gradient, bias, gradient, bias], moved)
    slow, fast = np.asarray(kernel) - begin, np.asarray(other) - begin
    assert np.allclose(slow, 0.1 * fast, atol=1e-6) and np.abs(fast).max() > 0.02


def test_a_saved_task_keeps_its_slow_variables(tmp_path):
    task = PoseTask(TinyPose())
    task.compile(optimizers.build(Optimizer(slow=("conv",), slow_factor=0.3), 10))
    task.train_on_batch(*batch())
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras").optimizer
    assert (loaded.slow, loaded.slow_factor) == (("conv",), 0.3)
    assert [v.shape for v in loaded.variables] == [v.shape for v in task.optimizer.variables]


def test_a_factor_that_would_speed_up_is_refused():
    with pytest.raises(PoseError, match="slow_factor"):
        Optimizer(slow_factor=2.0)


TINY = {"skeleton": "lsp14", "input_size": (64, 64), "alpha": 0.35, "channels": 16, "heads": 2}


@pytest.mark.parametrize("initial", ["coarse", "query"])
@pytest.mark.parametrize("builder", ["Poseur", "PoseurMobile"])
def test_the_default_slows_what_chooses_where_to_look_and_nothing_else(builder, initial):
    backbone = {"backbone": "mobilenet_v2"} if builder == "Poseur" else {}
    network = getattr(models, builder)(**TINY, **backbone, initial=initial)
    slow = {
        v.path for v in network.trainable_variables if any(n in v.path for n in Optimizer().slow)
    }
    layers = [x.name for x in network.layers if x.name.endswith("_sampling_offsets")]
    assert len(layers) == 3 or (network.arguments["shared"] and len(layers) == 1)
    if initial == "query":
        layers.append("encoder_reference_points")
    assert slow == {f"{name}/{part}" for name in layers for part in ("kernel", "bias")}


class Everything(keras.layers.Layer):
    """A variable of every name that the networks give."""

    def build(self, _):
        for name in ("classes", "level", "gamma", "beta", "bias", "scale", "kernel"):
            self.add_weight(name=name, shape=(3,), initializer=keras.initializers.Constant(2.0))


@pytest.mark.parametrize("slow", [(), ("encoder", "decoder")])
def test_embeddings_and_normalisations_are_not_decayed(slow):
    """Where the loss does not pull, decay alone moves: what holds values of its own stays."""
    optimizer = optimizers.build(Optimizer(rate=0.1, warmup=0, decay=0.5, slow=slow), 9)
    moved = []
    for name in ("encoder_classes", "decoder_level_scale"):
        layer = Everything(name=name)
        layer.build(())
        moved += layer.trainable_variables
    optimizer.build(moved)
    optimizer.apply([keras.ops.zeros(3) for _ in moved], moved)
    changed = {v.path for v in moved if np.asarray(v)[0] != 2.0}
    assert changed == {"encoder_classes/kernel", "decoder_level_scale/kernel"}
