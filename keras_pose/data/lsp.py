"""Leeds Sports Pose and its extension: `images/imNNNN.jpg` beside one `joints.mat`.

The two releases store the same thing in two ways (J the array `joints`):
- LSP Extended: J is (14, 3, N); J[k, 2, n] = 1 for a visible joint. Coordinates of the others mean
  nothing.
- LSP: J is (3, 14, N); J[2, k, n] = 1 for an OCCLUDED joint. Its README calls this row "joint
  visibility", but in the file the value 1 marks the rarer, hidden joints.
Because a (3, 14, N) file may also be a transposed LSP Extended, the row is read by what both
releases have in common: most joints are visible, so the commoner value means visible.

Coordinates are Matlab's: the first pixel is 1. One is subtracted here and nowhere else.
"""

import re
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from keras_pose.data.sample import PictureReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import LSP14

_PROTOCOL = {"train": slice(0, 1000), "val": slice(1000, 2000)}  # of the LSP release


class LspReader(PictureReader):
    """People of LSP or LSP Extended, one per picture, with the LSP14 skeleton.

    folder: holds joints.mat and images/. split: only the original LSP, 2000 persons in one folder,
    is divided by it, as its authors do: the first 1000 are for training, the others for testing.
    flag: what 1 in the third row means, "visible" or "occluded"; by default as told above.
    Hidden joints are masked. Missing pictures and persons without a visible joint are counted in
    `skips`. Raises PoseError for a missing or unreadable joints.mat or one of another shape.
    """

    def __init__(self, folder, split: str | None = None, flag: str | None = None):
        super().__init__(LSP14)
        path = Path(folder) / "joints.mat"
        joints, visible, original = _joints(path, flag)
        pictures = _pictures(Path(folder) / "images")
        people = range(len(joints))
        if original and len(joints) == 2000 and split is not None:
            people = people[_PROTOCOL[split]]
        for i in people:
            picture = pictures.get(i + 1)
            if picture is None:
                self.skips.add(f"{path} person {i + 1}", "person whose picture is gone, skipped")
                continue
            self._add(joints[i], visible[i], f"{picture.name}#0", picture)
        self._refuse_empty(path)


def _joints(path, flag):
    """(N, 14, 2) 0-based points, (N, 14) bool, and whether the layout is the original LSP's."""
    joints = _load(path)
    original = joints.shape[:2] == (3, 14)
    if joints.ndim != 3 or not (original or joints.shape[:2] == (14, 3)):
        raise PoseError(
            "an array `joints` of shape (14, 3, N) or (3, 14, N)",
            f"{path} with shape {joints.shape}",
            "Store x, y and visibility of the 14 LSP joints for N persons.",
        )
    joints = np.moveaxis(joints, -1, 0)
    joints = np.swapaxes(joints, 1, 2) if original else joints
    marked = joints[..., 2] > 0.5
    if flag is None:
        flag = "occluded" if original and marked.mean() < 0.5 else "visible"
    return joints[..., :2] - 1.0, marked == (flag == "visible"), original


def _load(path):
    if not path.is_file():
        raise PoseError("a file joints.mat", f"{path}, which is not there", "Check --data.")
    try:
        content = loadmat(path)
    except (ValueError, TypeError, OSError, MatReadError, NotImplementedError) as error:
        raise PoseError(
            "a Matlab file that scipy can read", f"{path} ({error})", "Download the file again."
        ) from error
    if "joints" not in content:
        raise PoseError(
            "an array named `joints`",
            f"{path} with {sorted(k for k in content if not k.startswith('__'))}",
            "Use the joints.mat of the LSP or LSP Extended archive.",
        )
    joints = content["joints"]
    if not isinstance(joints, np.ndarray) or joints.dtype.kind not in "fiu":
        raise PoseError(
            "an array `joints` of numbers", f"{path} with another type", "Save plain numbers."
        )
    return joints.astype(np.float64)


def _pictures(folder):
    """Number in the name -> path: im0001.jpg in LSP, im00001.jpg in LSP Extended."""
    found = {}
    for path in sorted(folder.glob("im*")):
        number = re.fullmatch(r"im(\d+)\.(?:jpe?g|png)", path.name, re.IGNORECASE)
        if number:
            found.setdefault(int(number[1]), path)
    return found
