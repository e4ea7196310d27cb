"""The state of a run on disk: enough to go on as if it had never stopped.

Raw weights, BN statistics and seed generators, optimizer, averaged weights, loss so far, position
in the data and history. Data draws need nothing: they are a pure function of (seed, epoch, index).
"""

import json
import os
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_pose.errors import PoseError


def _variables(task):
    """Every variable of a compiled task: weights, seed generators, metrics, optimizer."""
    known, unique = set(), []
    for variable in [*task.variables, *task.metrics_variables, *task.optimizer.variables]:
        if id(variable) not in known:
            known.add(id(variable))
            unique.append(variable)
    return unique


def save(path, task, average, position: dict):
    """Writes the state in one go: a kill at any moment leaves the old file or the new one.

    task: a compiled keras.Model; average: ema.Average; position: plain types.
    """
    arrays = {f"variable{i}": _numpy(v) for i, v in enumerate(_variables(task))}
    arrays.update({f"average{i}": v for i, v in enumerate(average.values)})
    arrays["position"] = np.array(json.dumps(position))
    part = Path(f"{path}.part")
    with open(part, "wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)


def read_position(path) -> dict:
    """The `position` of a saved state.

    Raises PoseError when there is no readable state at `path`.
    """
    try:
        with np.load(path) as arrays:
            return json.loads(str(arrays["position"]))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise PoseError(
            "a state to resume from", f"{path} ({error})", "Start without --resume."
        ) from error


def restore(path, task, average):
    """Fills a freshly built task and average from a saved state.

    Returns the metrics' values, which `fit` resets at the start of an epoch.
    Raises PoseError when the state belongs to another network or optimizer.
    """
    variables = _variables(task)
    with np.load(path) as arrays:
        shapes = [arrays[f"variable{i}"].shape for i in range(_count(arrays, "variable"))]
        averages = [arrays[f"average{i}"] for i in range(_count(arrays, "average"))]
        if shapes != [tuple(v.shape) for v in variables] or len(averages) != len(average.values):
            raise PoseError(
                f"a state of {len(variables)} variables like this run's",
                f"{path} with {len(shapes)} variables of other shapes",
                "Resume with the recipe and data that the run began with, or start anew.",
            )
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"variable{i}"])
    average.values = averages
    return [_numpy(v) for v in task.metrics_variables]


def _numpy(variable):
    return np.array(keras.ops.convert_to_numpy(variable))


def _count(arrays, prefix):
    return sum(1 for name in arrays.files if name.startswith(prefix))
