"""MPII Human Pose as its authors released it: one Matlab file, and the pictures.

mpii_human_pose_v1_u12_1.mat holds the struct `RELEASE` (Andriluka et al., CVPR 2014):
- annolist(i): image.name, and annorect(r), the persons of picture i;
- annorect(r): the head's box x1, y1, x2, y2; scale (the person's height over 200 pixels) and objpos
  (a rough centre), both known at test time; annopoints.point(p) with x, y, id (0 to 15, the order
  of MPII16) and is_visible. Any of them may be missing. Every point in the list is annotated:
  MPII's evaluation counts occluded joints too, so is_visible is not read.
- img_train(i): 0 for a test picture, whose joints are not public;
- single_person{i}: which persons of picture i stand well apart from others.

What trains and what validates is a list of Tompson et al. (CVPR 2015), 2958 persons: their file
detections.mat, beside the other, names them by RELEASE_img_index and RELEASE_person_index. Without
it everything that has joints is read for both.

Coordinates are Matlab's: the first pixel is 1. One is subtracted here and nowhere else.
"""

from pathlib import Path

import numpy as np

from keras_pose.data import matlab
from keras_pose.data.folders import find
from keras_pose.data.sample import NOBODY, PictureReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import MPII16

VALIDATION = "detections.mat"
_HEIGHT = 200.0  # pixels: a person of scale 1
_DOWN = 15.0  # pixels at scale 1: objpos is above the middle of the body, feet would be cut off
_HEAD = 0.6  # MPII's head length: this share of the head box's diagonal


class MpiiReader(PictureReader):
    """The persons of mpii_human_pose_v1_u12_1.mat that have joints, with the MPII16 skeleton.

    annotations: the .mat file; images: folders in which the pictures may be. split: "train" or
    "val" where Tompson's list is beside the file, see above; persons beside a validation person in
    the same picture are in neither. single: only persons that stand apart (single_person).

    A person's extent is that of objpos and scale, as everybody crops MPII, or else of the joints.
    `Sample.head` is 0.6 of the diagonal of the head's box, NaN without one: PCKh leaves such a
    person out. `Sample.others` are made of the persons that are read: whom `single`, the split or
    missing joints leave out is in nobody's `others`, and has a box in `people` at most. Test
    pictures, persons without joints, pictures that are gone and points with an id of no joint are
    counted in `skips`. Raises PoseError for a file without RELEASE, or whose parts do not belong
    together.
    """

    def __init__(self, annotations, images, split: str | None = None, single: bool = False):
        super().__init__(MPII16)
        self.path = Path(annotations)
        release, annolist, train = self._release()
        chosen = _validation(self.path.parent / VALIDATION) if split else None
        apart = self._apart(release, len(annolist)) if single else None
        names = {i: _name(picture) for i, picture in enumerate(annolist) if _name(picture)}
        files = find(names, images)
        for i, picture in enumerate(annolist):
            where = f"{self.path.name} annolist({i + 1})"
            if not train[i]:
                self.skips.add(where, "test picture without public joints, skipped")
            elif i not in names:
                self.skips.add(where, "picture without a name, skipped")
            elif chosen is None or (i + 1 in chosen) == (split == "val"):
                listed = chosen and chosen.get(i + 1)
                self._picture(picture, where, files[i], listed, apart and apart[i])
        self._refuse_empty(self.path)

    def _release(self):
        """The struct, its pictures, and for each whether it is for training."""
        release = next(iter(matlab.structs(matlab.variable(self.path, "RELEASE"))), None)
        annolist = matlab.structs(matlab.field(release, "annolist"))
        train = np.ravel(getattr(release, "img_train", np.zeros(0)))
        if not annolist or len(train) != len(annolist):
            raise PoseError(
                "a struct RELEASE with as many elements in annolist as in img_train",
                f"{self.path} with {len(annolist)} and {len(train)}",
                "Use mpii_human_pose_v1_u12_1.mat as its authors released it.",
            )
        return release, annolist, train

    def _apart(self, release, count):
        """For each picture the numbers of the persons that stand apart."""
        cells = np.ravel(getattr(release, "single_person", np.zeros(0)))
        if len(cells) != count or cells.dtype != object:
            raise PoseError(
                f"a cell array single_person with {count} elements",
                f"{self.path} with {len(cells)}",
                "Read all persons, or use the file as its authors released it.",
            )
        return [set(np.ravel(cell).tolist()) for cell in cells]

    def _picture(self, picture, where, file, listed, apart):
        """Adds a picture's persons; listed, apart: the numbers that alone count, None for all."""
        people = list(enumerate(matlab.structs(matlab.field(picture, "annorect")), 1))
        if file is None and people:
            self.skips.add(where, "picture that is gone, its persons skipped")
        if file is None:
            return
        boxes = [_placed(person) for _, person in people]
        there = [box for box in boxes if box is not None]
        around = np.array(there) if there else NOBODY
        for (r, person), box in zip(people, boxes, strict=True):
            title = f"{where}.annorect({r})"
            points = matlab.structs(matlab.field(person, "annopoints"))
            points = [p for part in points for p in matlab.structs(matlab.field(part, "point"))]
            if not points:
                self.skips.add(title, "person without key points, skipped")
            elif listed is not None and r not in listed:
                self.skips.add(title, "person beside one of the validation's, in neither split")
            elif apart is None or r in apart:
                head = head_length([matlab.number(matlab.field(person, n)) for n in _CORNERS])
                if np.isnan(head):
                    self.skips.add(title, "person without a head box, left out of PCKh")
                joints, visible = self._points(points, title)
                self._add(joints, visible, f"{file.name}#{r}", file, box, around, head=head)

    def _points(self, points, title):
        """(16, 2) 0-based points and (16,) bool; what has no joint's id is counted."""
        joints, visible = np.zeros((MPII16.count, 2)), np.zeros(MPII16.count, bool)
        for place, point in enumerate(points, 1):
            k, x, y = (matlab.number(matlab.field(point, n)) for n in ("id", "x", "y"))
            if k not in range(MPII16.count) or x is None or y is None:
                self.skips.add(f"{title} point({place})", "point without an id 0..15 or place")
                continue
            joints[int(k)], visible[int(k)] = (x - 1.0, y - 1.0), True
        return joints, visible


_CORNERS = ("x1", "y1", "x2", "y2")


def head_length(corners) -> float:
    """MPII's head length in pixels from the head's box (x1, y1, x2, y2), NaN without one."""
    if any(c is None for c in corners):
        return float("nan")
    x1, y1, x2, y2 = corners
    length = _HEAD * float(np.hypot(x2 - x1, y2 - y1))
    return length if length > 0 else float("nan")


def place(centre, scale):
    """A person's extent (x, y, w, h) from MPII's centre (1-based) and scale, None without them."""
    if None in (*centre, scale) or not scale > 0:
        return None
    side = _HEIGHT * scale
    x, y = centre[0] - 1.0, centre[1] - 1.0 + _DOWN * scale
    return np.array([x - side / 2, y - side / 2, side, side])


def _placed(person):
    spot = next(iter(matlab.structs(matlab.field(person, "objpos"))), None)
    centre = [matlab.number(matlab.field(spot, axis)) for axis in "xy"]
    return place(centre, matlab.number(matlab.field(person, "scale")))


def _name(picture):
    image = next(iter(matlab.structs(matlab.field(picture, "image"))), None)
    return matlab.text(matlab.field(image, "name"))


def _validation(path):
    """Picture -> numbers of Tompson's validation persons, both from 1; None without the list."""
    if not path.is_file():
        return None
    pictures, people = (
        matlab.numbers(path, f"RELEASE_{n}_index").astype(int).ravel() for n in ("img", "person")
    )
    if len(pictures) != len(people):
        raise PoseError(
            "as many RELEASE_img_index as RELEASE_person_index",
            f"{path} with {len(pictures)} and {len(people)}",
            "Use the file as its authors released it.",
        )
    chosen = {}
    for picture, person in zip(pictures.tolist(), people.tolist(), strict=True):
        chosen.setdefault(picture, set()).add(person)
    return chosen
