"""Runs a tiny training in a process of its own: `train_worker.py OUT DATA [key=value ...]`.

kill=N: the process kills itself, without warning, after step N. resume=1: goes on with OUT.
drop=0.2: with dropout, whose random state must resume too. devices=2: two logical CPU devices.
Under JAX, importing TensorFlow fails here as it does where it is not installed.
"""

import os
import signal
import sys


class _NoTensorFlow:
    """An import hook under which TensorFlow is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}")


if os.environ.get("KERAS_BACKEND") == "jax":
    sys.meta_path.insert(0, _NoTensorFlow())

# ruff: noqa: E402
import json

import tiny

from keras_pose.data.augment import Augment
from keras_pose.training import run
from keras_pose.training.recipe import Optimizer, Recipe


def recipe(drop=0.2, epochs=2, precision="float32"):
    return Recipe(
        builder="TinyPose", network={"drop": drop}, augment=Augment(background=0.2),
        optimizer=Optimizer(warmup=2), epochs=epochs, batch_size=4, save_every=2, ema=0.9,
        ema_every=1, deterministic=True, precision=precision, name="tiny",
    )  # fmt: skip


def main(out, data, *settings):
    options = dict(s.split("=") for s in settings)
    assert tiny.CHAIN.count == 3
    if "devices" in options:
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * int(options["devices"]),
        )
    chosen = recipe(float(options.get("drop", 0.2)), precision=options.get("precision", "float32"))
    job = run.Run(chosen, data, run.Path(out), bool(options.get("resume")), progress=False)
    fatal = int(options.get("kill", 0))
    after_step = job.after_step

    def step(logs):
        after_step(logs)
        if job.done == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    job.after_step = step
    job.go()
    print(json.dumps({"replicas": job.replicas, "steps": job.done}))


if __name__ == "__main__":
    main(*sys.argv[1:])
