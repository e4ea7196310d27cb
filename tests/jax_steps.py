"""Training steps on JAX, where TensorFlow is not installed: one process for all that ask.

`python tests/jax_steps.py` reads a line of JSON for each, [home, builder, arguments]: a function of
keras_pose.models once the module `home` is imported. It answers with a line, [loss, the share of
the weights that two steps moved], or with a string, what went wrong. `Steps` is the other end.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

TESTS = Path(__file__).resolve().parent


class Steps:
    """jax_steps(home, builder, arguments) -> (loss, moved) of a new network.

    errors: a file for what the process says beside its answers.
    """

    def __init__(self, errors):
        environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        self.errors = Path(errors)
        with open(errors, "w") as file:
            self.process = subprocess.Popen(
                [sys.executable, __file__], env=environment, cwd=TESTS.parent, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
            )  # fmt: skip

    def __call__(self, *asked):
        assert self.process.poll() is None, f"JAX's process ended: {self._said()}"
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, f"JAX's process ended: {self._said()}"
        answer = json.loads(line)
        assert not isinstance(answer, str), answer
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)

    def _said(self):
        return self.errors.read_text()[-2000:]


class Missing:
    """As where TensorFlow is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)


def _two_steps(home, builder, arguments):
    import keras
    import numpy as np

    importlib.import_module(home)
    from shown import batch

    from keras_pose import models
    from keras_pose.task import PoseTask

    assert keras.backend.backend() == "jax"
    network = getattr(models, builder)(**arguments)
    task = PoseTask(network)
    before = [np.array(w) for w in task.weights]
    task.compile(optimizer=keras.optimizers.SGD(0.01), jit_compile=True)
    task.train_on_batch(*batch(network))
    loss = task.train_on_batch(*batch(network))  # what starts at zero hides others for a step
    moved = [np.any(a != np.array(b)) for a, b in zip(before, task.weights, strict=True)]
    assert "tensorflow" not in sys.modules
    return float(loss), float(np.mean(moved))


def _serve():
    sys.meta_path.insert(0, Missing())
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            answer = _two_steps(*json.loads(line))
        except Exception:
            answer = traceback.format_exc()[-2000:]
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
