"""What a predictor says of persons in their pictures: crops out, key points back.

A predictor is a function from patches (B, H, W, 3) uint8 RGB, the persons' crops at the network's
input size, to key points (B, K, 2) in pixels of the patch and scores (B, K). One that refines
poses, a Refining, takes them too: (B, K, 3), as the network reads them (models.network).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from keras_pose import geometry
from keras_pose.errors import PoseError
from keras_pose.metadata import GROWN
from keras_pose.runtime import crop
from keras_pose.runtime.refiner import known, shown

BATCH = 32


@dataclasses.dataclass(frozen=True)
class Refining:
    """A predictor of patches and poses. answer: function of both to key points and scores; grown:
    of the crop around a pose, see metadata.Metadata."""

    answer: Callable
    grown: float = GROWN

    def __call__(self, patches, poses):
        return self.answer(patches, poses)


@dataclasses.dataclass(kw_only=True)
class Looked:
    """How answers that are scored came about; "" and () for nothing out of the ordinary.

    flip: how the answers for mirror images were fused; output: the intermediate prediction that was
    scored; scales: of the multi-scale test; decoder: how maps were read, where not as the network
    says; only: names of the key points that counted; refined: which poses were refined; unposed:
    how many of them have no key point.
    """

    flip: str = ""
    output: str = ""
    scales: tuple = ()
    decoder: str = ""
    only: tuple = ()
    refined: str = ""
    unposed: int = 0

    def about(self) -> dict:
        """The same as plain types."""
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(Looked))
        return {name: list(v) if isinstance(v, tuple) else v for name, v in fields}

    def line(self) -> str:
        """The same as a line of text."""
        said = [f"output: {self.output or 'the last'}", f"flip test: {self.flip or 'none'}"]
        if self.scales:
            said.append(f"scales: {' '.join(map(str, self.scales))}")
        if self.decoder:
            said.append(f"decoder: {self.decoder}")
        if self.only:
            said.append(f"{len(self.only)} of the key points")
        if self.refined:
            said.append(f"poses refined: {self.refined}, {self.unposed} of them empty")
        return ", ".join(said)


def look(predict, reader, places, input_size, crop_margin=1.25, progress=False, poses=None):
    """Yields (place, key points (K, 2) in pixels of its picture, scores (K,)), in order.

    reader: gives the picture of a place; places: keras_pose.data Samples, or anything with `box`,
    `source` and `name`; input_size: (H, W) of the patches; crop_margin: the box is grown by it.
    poses: for a Refining, of every place (K, 3), x and y in its picture's pixels and the score, as
    runtime.PoseRefiner takes them; the scores that come back are these, as there.
    Places whose picture cannot be read are counted in the reader's skips and left out.
    """
    starts = range(0, len(places), BATCH)
    for start in tqdm(starts, "scoring", disable=not progress):
        patches, maps, kept, given, scored = [], [], [], [], []
        for n, place in enumerate(places[start : start + BATCH], start):
            box = geometry.crop_box(place.box, input_size, crop_margin)
            try:
                image = reader.image(place)
            except PoseError as error:
                reader.skips.add(place.name, str(error))
                continue
            patch, matrix = crop.cut(image, box, input_size)
            patches.append(patch)
            maps.append(geometry.invert(matrix))
            kept.append(place)
            if poses is not None:
                there = known(poses[n])
                given.append(shown(poses[n], there, matrix, input_size))
                scored.append(np.where(there, np.nan_to_num(poses[n][:, 2]), 0.0))
        if not kept:
            continue
        patches = np.stack(patches)
        if poses is None:
            points, scores = predict(patches)
        else:
            (points, _), scores = predict(patches, np.stack(given)), scored
        for place, back, found, score in zip(kept, maps, points, scores, strict=True):
            yield place, geometry.apply(back, found), score


def answering(predict, own, wanted):
    """A predictor for another skeleton's key points, by their names.

    own: Skeleton that `predict` answers for; wanted: Skeleton of the K key points to answer for.
    Those that `own` does not have are answered with NaN and score 0, which is never right.
    """
    places = [own.index(name) for name in wanted.keypoints]
    known = np.array([place is not None for place in places])
    places = [place or 0 for place in places]

    def renamed(patches):
        points, scores = predict(patches)
        points = np.where(known[:, None], points[:, places], np.nan)
        return points, np.where(known, scores[:, places], 0)

    return renamed
