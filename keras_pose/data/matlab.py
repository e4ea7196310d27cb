"""What Matlab wrote, as plain values: files of research data sets are nested struct arrays.

scipy gives them unsqueezed: a struct array of any length is an array of `mat_struct`, a number is
(1, 1), a missing value is an empty array. The functions below read one level each, and know no
data set.
"""

import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError, mat_struct

from keras_pose.errors import PoseError

_UNREADABLE = (
    ValueError, TypeError, KeyError, OSError, MatReadError, NotImplementedError, zlib.error,
)  # fmt: skip


def names(path) -> list:
    """What the variables of a .mat file are called. Raises PoseError where it cannot be read."""
    return sorted(name for name, _, _ in _read(whosmat, path))


def variable(path, name):
    """One variable of a .mat file. Raises PoseError, listing what there is, when it lacks it."""
    content = _read(loadmat, path, struct_as_record=False, variable_names=[name])
    if name not in content:
        raise PoseError(
            f"an array named `{name}`",
            f"{path} with {names(path)}",
            "Use the .mat file as its authors released it.",
        )
    return content[name]


def _read(reader, path, **options):
    path = Path(path)
    if not path.is_file():
        raise PoseError(f"a file {path.name}", f"{path}, which is not there", "Check --data.")
    try:
        return reader(path, **options)
    except _UNREADABLE as error:
        raise PoseError(
            "a Matlab file that scipy can read", f"{path} ({error})", "Download the file again."
        ) from error


def numbers(path, name) -> np.ndarray:
    """One variable of a .mat file as float64. Raises PoseError where it is not plain numbers."""
    array = variable(path, name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise PoseError(
            f"an array `{name}` of numbers", f"{path} with another type", "Save plain numbers."
        )
    return array.astype(np.float64)


def structs(value) -> list:
    """The elements of a struct array (also of one, of none, or within cells), in Matlab's order."""
    if isinstance(value, mat_struct):
        return [value]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [s for element in value.ravel(order="F") for s in structs(element)]
    return []


def field(struct, name):
    """A field of a struct, None where it is missing or empty."""
    value = getattr(struct, name, None)
    return None if value is None or np.size(value) == 0 else value


def number(value) -> float | None:
    """A number, however it is wrapped or spelt (also "1"); None for none, NaN or several."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    return float(array.item()) if array.size == 1 and np.isfinite(array).all() else None


def text(value) -> str:
    """A string, "" for none."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value if isinstance(value, str) else ""
