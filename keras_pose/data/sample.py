"""One labelled person, and what every reader of picture files shares.

Symbols: K key points, M people in one picture.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np

from keras_pose import geometry
from keras_pose.data.skips import SkipLog
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import load_image

NOBODY = np.zeros((0, 4))
_ALONE = np.zeros((0, 0, 3), np.float32)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A person in a picture.

    keypoints: (K, 2) float32, pixels of the stored picture. visible: (K,) bool, annotated.
    box: (4,) float64, the person's extent (x, y, w, h). name: "file.jpg#3". source: the picture's
    path, or the number from which a figure is rendered. people: (M, 4) boxes of everybody known to
    be in the picture, labelled or not; background crops keep away from them and from `box`.
    head: the head's length in pixels that PCKh takes for its unit, NaN where the data has none.
    others: (M, K, 3) float32, x, y and visible (0 or 1) of the picture's other labelled persons.
    picture, label: COCO's ids of the picture and the annotation, None in other data. area: of the
    person in pixels, the measure of OKS; NaN where unknown.
    """

    keypoints: np.ndarray
    visible: np.ndarray
    box: np.ndarray
    name: str
    source: Path | int
    people: np.ndarray = dataclasses.field(default_factory=lambda: NOBODY)
    head: float = math.nan
    others: np.ndarray = dataclasses.field(default_factory=lambda: _ALONE)
    picture: int | None = None
    label: int | None = None
    area: float = float("nan")


class PictureReader:
    """Samples whose pictures are files. Subclasses fill `samples`, then call `_refuse_empty`, which
    also tells everybody of the others."""

    def __init__(self, skeleton):
        self.skeleton = skeleton
        self.samples: list[Sample] = []
        self.skips = SkipLog()

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index) -> Sample:
        return self.samples[index]

    def image(self, sample: Sample, reduce: int = 1) -> np.ndarray:
        """The sample's picture, RGB uint8 (H, W, 3), read `reduce` times smaller (1, 2, 4, 8).

        Raises PoseError, naming the file, when it cannot be read.
        """
        return load_image(sample.source, reduce)

    def _mask(self, keypoints, visible, where):
        """Masks coordinates that no picture has, counting each; returns both, nothing left NaN."""
        keypoints, visible = np.array(keypoints, np.float64), np.array(visible, bool)
        # a picture begins at -0.5; coordinates of points without a label may be anything
        wrong = ~(keypoints >= -0.5).all(axis=-1) | ~np.isfinite(keypoints).all(axis=-1)
        for k in np.flatnonzero(wrong & visible):
            joint = f"{where} {self.skeleton.keypoints[k]}"
            self.skips.add(joint, "key point with a negative or not finite coordinate, masked")
        visible &= ~wrong
        keypoints[~visible] = 0.0
        return keypoints.astype(np.float32), visible

    def _add(self, keypoints, visible, name, source, box=None, people=NOBODY, **more):
        """Appends a person, or counts it as skipped when no joint of it is visible.

        more: further fields of Sample, which only some data sets have."""
        keypoints, visible = self._mask(keypoints, visible, name)
        extent = geometry.extent(keypoints, visible)
        if extent is None:
            self.skips.add(name, "person without a visible key point, skipped")
            return
        box = extent if box is None else box
        self.samples.append(Sample(keypoints, visible, box, name, source, people, **more))

    def _introduce(self):
        """Fills `others` of persons whose picture shows several."""
        pictures = {}
        for i, sample in enumerate(self.samples):
            pictures.setdefault(sample.source, []).append(i)
        for places in pictures.values():
            if len(places) == 1:
                continue
            people = [self.samples[i] for i in places]
            known = [np.column_stack([p.keypoints, p.visible]).astype(np.float32) for p in people]
            # round about: everybody's others lie in one piece, so a picture needs no more memory
            # than twice its persons, however many there are
            ring = np.stack(known * 2)
            for row, i in enumerate(places):
                others = ring[row + 1 : row + len(places)]
                self.samples[i] = dataclasses.replace(self.samples[i], others=others)

    def _refuse_empty(self, where):
        self._introduce()
        if not self.samples:
            raise PoseError(
                "at least one person with a picture and a visible key point",
                f"{where}, of which nothing is left:\n{self.skips.summary() or '0 annotations'}",
                "Check that annotations and pictures belong together.",
            )
