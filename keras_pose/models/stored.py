"""Reads a `.keras` by its layers' names.

Keras stores weights by the kind of layer and its number in the graph (`conv2d_7`), so a builder
that makes its layers in another order could no longer read older files, or would mix up what fits.
The names are in the file too; here they decide.
"""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras

CONFIG, WEIGHTS = "config.json", "model.weights.h5"  # Keras' names inside a .keras


def read(path) -> keras.Model:
    """The model that a `.keras` holds, built by today's code, each layer with the weights of its
    name.

    Raises OSError, KeyError, TypeError or ValueError for a file that is damaged, of another kind,
    or whose layers or shapes are others; and what the builder raises.
    """
    with zipfile.ZipFile(path) as file:
        config, content = json.loads(file.read(CONFIG)), file.read(WEIGHTS)
    model = keras.saving.deserialize_keras_object(config)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.weights.h5"
        model.save_weights(weights)  # the places that the graph of today has
        with h5py.File(io.BytesIO(content)) as given, h5py.File(weights, "r+") as wanted:
            _fill(wanted, given)
        model.load_weights(weights)
    return model


def _fill(wanted, given):
    """Overwrites every array of one HDF5 file by that of the same layer in another."""
    there, here = _keys(given), _keys(wanted)
    # names that Keras made up differ from one building to the next; there the order has to do
    named = there.keys() == here.keys()
    keys = {key: there[name] for name, key in here.items()} if named else {}
    left = _arrays(given)
    for path, array in _arrays(wanted).items():
        top, key, *rest = path.split("/")
        values = left.pop("/".join([top, keys.get(key, key), *rest]), None)
        if values is None or values.shape != array.shape:
            found = "none" if values is None else f"of shape {values.shape}"
            raise ValueError(f"weights {found} for {path} of shape {array.shape}")
        array[...] = values[()]
    if left:
        raise ValueError(f"weights that the network has no place for: {sorted(left)[:5]}")


def _keys(file):
    """Name to key under `layers/`, of the layers that have arrays."""
    keys = {path.split("/")[1] for path in _arrays(file)}
    return {file["layers"][key]["vars"].attrs.get("name", key): key for key in keys}


def _arrays(file):
    """The arrays by their paths."""
    found = {}
    file.visititems(lambda p, x: found.update({p: x}) if isinstance(x, h5py.Dataset) else None)
    return found
