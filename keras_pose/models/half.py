"""Weights in half precision: `.keras` files of half the size, for networks that are given away."""

import io
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_pose.errors import PoseError
from keras_pose.models.network import load
from keras_pose.models.stored import WEIGHTS


def write(source, out):
    """Writes a pose network's `.keras` file again, its weights rounded to float16.

    The file is read as any other (`network.load`): a network keeps its own types in memory. Whole
    numbers stay as they are. source, out: paths, of two files.
    Raises PoseError for a file that holds no pose network, and for a weight that float16 cannot
    hold (beyond 65504), before anything is written.
    """
    load(source)  # names what is wrong with a file
    part = Path(f"{out}.part")
    with zipfile.ZipFile(source) as given:
        contents = {entry.filename: given.read(entry) for entry in given.infolist()}
    contents[WEIGHTS] = _halved(contents[WEIGHTS], source)
    part.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(part, "w") as archive:
        for name, content in contents.items():
            # a fixed date: the same network gives the same bytes
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    os.replace(part, out)


def _halved(weights, source):
    """The bytes of an HDF5 file with float16 in place of every wider float."""
    written = io.BytesIO()
    # the latest layout: groups without weights, which Keras writes by the hundred, take less room
    with (
        h5py.File(io.BytesIO(weights)) as given,
        h5py.File(written, "w", libver="latest") as halved,
    ):

        def copy(name, item):
            if isinstance(item, h5py.Group):
                here = halved.create_group(name)
            else:
                here = halved.create_dataset(name, data=_rounded(item[()], f"{source}, {name}"))
            here.attrs.update(item.attrs)

        given.visititems(copy)
    return written.getvalue()


def _rounded(values, where):
    if not np.issubdtype(values.dtype, np.floating):
        return values
    largest = np.abs(values).max(initial=0.0)
    if not largest <= np.finfo(np.float16).max:
        raise PoseError(
            f"finite weights of at most {np.finfo(np.float16).max:g}, which float16 can hold",
            f"{largest:g} in {where}",
            "Keep the file as it is, or train with smaller weights.",
        )
    return values.astype(np.float16)
