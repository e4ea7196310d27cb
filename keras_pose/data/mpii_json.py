"""MPII Human Pose as most code bases pass it on: a JSON list of persons, and a file of head boxes.

`train.json` and `valid.json` are lists of {image, center, scale, joints, joints_vis}: joints are 16
pairs in the order of MPII16, joints_vis is 1 for an annotated one. The head boxes are in
`gt_valid.mat` beside `valid.json`, as headboxes_src of shape (2, 2, N): corner, axis, person, in
the order of the list. Both files count pixels from 1, as MPII's own; one is subtracted here.
"""

from pathlib import Path

import numpy as np

from keras_pose import json_file
from keras_pose.data import matlab
from keras_pose.data.folders import find
from keras_pose.data.mpii import head_length, place
from keras_pose.data.sample import NOBODY, PictureReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import MPII16


class MpiiJsonReader(PictureReader):
    """The persons of a JSON list, with the MPII16 skeleton.

    annotations: the .json; images: folders in which the pictures may be. Head boxes come from
    gt_<name>.mat (or mpii_gt_<name>.mat) beside it; without the file `Sample.head` is NaN for
    everybody, and head lengths are measured from neck to head top.

    A person's extent is that of center and scale, or else of the joints. Persons without joints,
    without a head box where the others have one, and pictures that are gone are counted in `skips`.
    Raises PoseError, naming the entry, for joints of another shape, and for head boxes of another
    number of persons.
    """

    def __init__(self, annotations, images):
        super().__init__(MPII16)
        self.path = Path(annotations)
        entries = self._load()
        heads = self._heads(len(entries))
        names = {i: str(self._get(entry, "image", i)) for i, entry in enumerate(entries)}
        files = find(names, images)
        boxes, around = [], {}
        for i, entry in enumerate(entries):
            boxes.append(self._box(entry))
            if boxes[-1] is not None:
                around.setdefault(names[i], []).append(boxes[-1])
        around = {name: np.array(rows) for name, rows in around.items()}
        for i, entry in enumerate(entries):
            title = f"{self.path.name} entry {i}"
            if entry.get("joints") is None:
                self.skips.add(title, "person without key points, skipped")
                continue
            points, visible = self._joints(entry, i)
            if files[i] is None:
                self.skips.add(title, "person whose picture is gone, skipped")
                continue
            head = float("nan") if heads is None else heads[i]
            if heads is not None and np.isnan(head):
                self.skips.add(title, "person without a head box, left out of PCKh")
            people = around.get(names[i], NOBODY)
            name = f"{files[i].name}#{i}"
            self._add(points, visible, name, files[i], boxes[i], people, head=head)
        self._refuse_empty(self.path)

    def _load(self):
        entries = json_file.read(self.path, "a JSON list of persons")
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise PoseError(
                "a list of persons {image, center, scale, joints, joints_vis}",
                f"{self.path} with something else",
                "Compare the file with MPII's valid.json.",
            )
        return entries

    def _get(self, entry, key, place):
        if key not in entry:
            raise PoseError(
                f"the key {key!r} in every entry",
                f"{self.path}, entry {place}, with {sorted(entry)}",
                "Compare the file with MPII's valid.json.",
            )
        return entry[key]

    def _box(self, entry):
        try:
            x, y, scale = np.array([*entry["center"], entry["scale"]], np.float64).tolist()
        except (KeyError, TypeError, ValueError):
            return None
        return place((x, y), scale) if np.isfinite((x, y)).all() else None

    def _joints(self, entry, i):
        """(16, 2) 0-based points and (16,) bool."""
        values = self._get(entry, "joints", i), self._get(entry, "joints_vis", i)
        try:
            points, visible = (np.array(v, np.float64) for v in values)
        except (TypeError, ValueError):
            points = visible = np.zeros(0)
        if points.shape != (MPII16.count, 2) or visible.shape != (MPII16.count,):
            raise PoseError(
                f"{MPII16.count} pairs in 'joints' and {MPII16.count} numbers in 'joints_vis'",
                f"{self.path}, entry {i}, with shapes {points.shape} and {visible.shape}",
                "Correct this entry; joints that are not annotated keep their place.",
            )
        return points - 1.0, visible > 0

    def _heads(self, count):
        """(N,) head lengths, None where there is no file of them."""
        stem = self.path.stem
        files = [self.path.with_name(f"gt_{stem}.mat")]
        files.append(self.path.with_name(f"{stem.replace('mpii_', 'mpii_gt_')}.mat"))
        path = next((f for f in files if f.is_file()), None)
        if path is None:
            return None
        boxes = matlab.numbers(path, "headboxes_src")
        boxes = boxes[..., None] if boxes.shape == (2, 2) else boxes  # Matlab drops a last 1
        if boxes.shape != (2, 2, count):
            raise PoseError(
                f"headboxes_src of shape (2, 2, {count}), one head box for each entry",
                f"{path} with shape {boxes.shape}",
                f"Use the file that belongs to {self.path.name}.",
            )
        return [head_length(boxes[:, :, i].ravel().tolist()) for i in range(count)]
