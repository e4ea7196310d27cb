"""Frames Labeled in Cinema (Sapp and Taskar, CVPR 2013): `examples.mat` and `images/`.

`examples` is a struct array, one element a person: coords (2, 29), filepath, torsobox, istrain and
istest. Of the 29 places 11 are annotated, the others are NaN; they are the joints of FLIC11. Most
people face the camera and are seen from the hips upwards. Sides are as in the file, by which FLIC
is always scored ("observer-centric").

FLIC's PCK is that of Sapp and Taskar: a joint is correct within a share of the torso's height, the
distance from left shoulder to right hip, which is what keras_pose.metrics.torso measures. torsobox
is a detector's box (their system began from it), it takes part in no score and is not read.

Coordinates are Matlab's: the first pixel is 1. One is subtracted here and nowhere else.
"""

from pathlib import Path

import numpy as np

from keras_pose.data import matlab
from keras_pose.data.folders import find
from keras_pose.data.sample import PictureReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import FLIC11

_PLACES = 29
# columns of coords from 0, in the order of FLIC11: shoulder, elbow, wrist of both sides, hips,
# eyes, nose
_COLUMNS = (0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16)
_FLAGS = {"train": "istrain", "val": "istest"}


class FlicReader(PictureReader):
    """The persons of FLIC, one per picture, with the FLIC11 skeleton.

    folder: holds examples.mat and images/, or the file itself. split: "train" or "val" takes the
    persons whose istrain or istest is set, None all. Persons with neither (FLIC-full has them) and
    those whose picture is gone are counted in `skips`. Raises PoseError for a file without
    `examples` and for coords of another shape, naming the example.
    """

    def __init__(self, folder, split: str | None = None):
        super().__init__(FLIC11)
        folder = Path(folder)
        path = folder if folder.suffix.lower() == ".mat" else folder / "examples.mat"
        examples = matlab.structs(matlab.variable(path, "examples"))
        names = {i: matlab.text(matlab.field(e, "filepath")) for i, e in enumerate(examples)}
        files = find(names, [path.parent / "images", path.parent])
        for i, example in enumerate(examples):
            where = f"{path.name} examples({i + 1})"
            flags = {s: matlab.number(matlab.field(example, f)) for s, f in _FLAGS.items()}
            joints = _joints(example, path, i)
            if split is not None and not any(flags.values()):
                self.skips.add(where, "person in neither split, skipped")
            elif split is not None and not flags[split]:
                continue
            elif not names[i] or files[i] is None:
                self.skips.add(where, "person whose picture is gone, skipped")
            else:
                seen = np.isfinite(joints).all(axis=-1)
                self._add(joints, seen, f"{files[i].name}#{i + 1}", files[i])
        self._refuse_empty(path)


def _joints(example, path, i):
    """(11, 2) 0-based points, NaN where nothing is annotated."""
    try:
        coords = np.asarray(getattr(example, "coords", None), np.float64)
    except (TypeError, ValueError):
        coords = np.zeros(0)
    if coords.shape != (2, _PLACES):
        raise PoseError(
            f"coords of shape (2, {_PLACES})",
            f"{path}, examples({i + 1}), with shape {coords.shape}",
            "Use examples.mat as its authors released it.",
        )
    return coords.T[list(_COLUMNS)] - 1.0
