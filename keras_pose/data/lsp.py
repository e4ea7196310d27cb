"""Leeds Sports Pose and its extension: `images/imNNNN.jpg` beside one `joints.mat`.

The two releases store the same thing in two ways (J the array `joints`):
- LSP Extended: J is (14, 3, N); J[k, 2, n] = 1 for a visible joint. Coordinates of the others mean
  nothing.
- LSP: J is (3, 14, N); J[2, k, n] = 1 for an OCCLUDED joint. Its README calls this row "joint
  visibility", but in the file the value 1 marks the rarer, hidden joints.
Because a (3, 14, N) file may also be a transposed LSP Extended, the row is read by what both
releases have in common: most joints are visible, so the commoner value means visible. Observer-
centric files may lack the row, (2, 14, N): there every joint counts.

Whose left is left? The releases are person-centric: the left wrist is the person's own. For LSP
there are also observer-centric annotations (Eichner and Ferrari 2012): sides as an observer tells
them, whichever way the person faces. Somebody seen from behind has left and right swapped between
the two. They are a file of their own, `joints-OC.mat`: which way somebody faces is a judgement that
14 points do not settle (somebody seen from the side, or upside down), so the one is never derived
from the other here; `viewpoint` says which file is read. In LSP Extended there is only the first.

Coordinates are Matlab's: the first pixel is 1. One is subtracted here and nowhere else.
"""

import re
from pathlib import Path

import numpy as np

from keras_pose.data import matlab
from keras_pose.data.sample import PictureReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import LSP14

_PROTOCOL = {"train": slice(0, 1000), "val": slice(1000, 2000)}  # of the LSP release
# what a file of annotations is called, the release's name first
_FILES = {
    "person": ("joints.mat", "joints-PC.mat", "lsp-joints-PC.mat", "LSP-joints-PC.mat"),
    "observer": ("joints-OC.mat", "lsp-joints-OC.mat", "LSP-joints-OC.mat"),
}


class LspReader(PictureReader):
    """People of LSP or LSP Extended, one per picture, with the LSP14 skeleton.

    folder: holds joints.mat and images/, or one file of annotations with images/ beside it.
    split: only the original LSP, 2000 persons in one folder, is divided by it, as its authors do:
    the first 1000 are for training, the others for testing.
    flag: what 1 in the third row means, "visible" or "occluded"; by default as told above.
    viewpoint: "person" reads joints.mat (or joints-PC.mat), "observer" joints-OC.mat, see above; a
    file is taken for what it is.
    hidden: keep the joints that the original LSP marks as occluded. Its annotators guessed where
    they are, and published scores of LSP count them. LSP Extended has no guesses.
    Otherwise hidden joints are masked. Missing pictures and persons without a visible joint are
    counted in `skips`. Raises PoseError for a missing or unreadable file, one of another shape, and
    an unknown viewpoint.
    """

    def __init__(
        self,
        folder,
        split: str | None = None,
        flag: str | None = None,
        viewpoint: str = "person",
        hidden: bool = False,
    ):
        super().__init__(LSP14)
        path = _annotations(Path(folder), viewpoint)
        joints, visible, original = _joints(path, flag)
        if hidden and original:
            visible = np.ones_like(visible)
        pictures = _pictures(path.parent / "images")
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


def _annotations(folder, viewpoint):
    """The file that `viewpoint` means; its usual name where there is none, for the refusal."""
    if viewpoint not in _FILES:
        raise PoseError(
            'viewpoint "person" or "observer"', repr(viewpoint), "Choose one of the two."
        )
    if folder.suffix.lower() == ".mat":
        return folder
    paths = [folder / name for name in _FILES[viewpoint]]
    return next((p for p in paths if p.is_file()), paths[0])


def _joints(path, flag):
    """(N, 14, 2) 0-based points, (N, 14) bool, and whether the layout is the original LSP's."""
    joints = matlab.numbers(path, "joints")
    original = joints.shape[:2] in ((3, 14), (2, 14))
    if joints.ndim != 3 or not (original or joints.shape[:2] == (14, 3)):
        raise PoseError(
            "an array `joints` of shape (14, 3, N) or (3, 14, N)",
            f"{path} with shape {joints.shape}",
            "Store x, y and visibility of the 14 LSP joints for N persons.",
        )
    joints = np.moveaxis(joints, -1, 0)
    joints = np.swapaxes(joints, 1, 2) if original else joints
    if joints.shape[2] == 2:
        return joints - 1.0, np.ones(joints.shape[:2], bool), original
    marked = joints[..., 2] > 0.5
    if flag is None:
        flag = "occluded" if original and marked.mean() < 0.5 else "visible"
    return joints[..., :2] - 1.0, marked == (flag == "visible"), original


def _pictures(folder):
    """Number in the name -> path: im0001.jpg in LSP, im00001.jpg in LSP Extended."""
    found = {}
    for path in sorted(folder.glob("im*")):
        number = re.fullmatch(r"im(\d+)\.(?:jpe?g|png)", path.name, re.IGNORECASE)
        if number:
            found.setdefault(int(number[1]), path)
    return found
