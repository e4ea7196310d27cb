"""Kinds of errors of a model or of a file of results, and their table.

What good, jitter, inversion, swap and miss are is told in keras_pose.metrics.diagnosis.
"""

import dataclasses

import numpy as np

from keras_pose.data.coco import CocoReader
from keras_pose.data.results_file import read_results
from keras_pose.errors import PoseError
from keras_pose.metrics import diagnosis
from keras_pose.metrics.diagnosis import CLASSES
from keras_pose.metrics.oks import oks
from keras_pose.runtime.refiner import known
from keras_pose.skeletons import Skeleton
from keras_pose.training import evaluate


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What went wrong at the key points of N persons.

    name: of what was diagnosed; codes: (N, K) of metrics.diagnosis.classify; skeleton: of the K
    key points; notes: sentences about what does not count.
    """

    name: str
    codes: np.ndarray
    skeleton: Skeleton
    notes: tuple = ()

    def frequencies(self) -> dict:
        """Percentages, see metrics.diagnosis.frequencies."""
        return diagnosis.frequencies(self.codes, self.skeleton)

    def annotated(self) -> dict:
        """Of how many annotated key points the rows of `frequencies` are the shares."""
        counts = (self.codes != diagnosis.UNANNOTATED).sum(axis=0)
        names = self.skeleton.keypoints
        return {"mean": int(counts.sum()), **dict(zip(names, counts.tolist(), strict=True))}

    def table(self) -> str:
        """Text: one row per key point, one column per class, percent of what is annotated."""
        counts = self.annotated()
        lines = [self.name, f"{'':16}" + "".join(f"{c:>11}" for c in (*CLASSES, "annotated"))]
        for name, shares in self.frequencies().items():
            cells = "".join(f"{value:11.1f}" for value in shares.values())
            lines.append(f"{name:16}{cells}{counts[name]:11}")
        lines.append(f"{len(self.codes)} persons")
        return "\n".join([*lines, *self.notes])


def diagnose(name, predicted, samples, persons, skeleton, notes=()) -> Diagnosis:
    """Classifies the key points of some of the persons of labelled pictures.

    predicted: (N, K, 2), pixels of the pictures; samples: everybody annotated in these pictures,
    keras_pose.data Samples, of whom swaps are told; persons: (N,) which of the samples were
    predicted. A sample without an area gets that of its extent; persons that have none either, as
    of a single key point, are left out, which a note counts.
    """
    truth, visible, area = people(samples)
    picture = np.array([str(s.source) for s in samples])
    known = np.isfinite(area)
    persons = np.asarray(persons, int)
    counted = known[persons]
    if not counted.all():
        notes = (*notes, f"{(~counted).sum()} persons left out (too few key points to tell a size)")
    truth, visible, area, picture = (part[known] for part in (truth, visible, area, picture))
    rows = (np.cumsum(known) - 1)[persons[counted]]  # of the persons, among those with an area
    others = diagnosis.others_in(picture, truth, visible, area, rows)
    codes = diagnosis.classify(
        np.asarray(predicted)[counted], truth[rows], visible[rows], area[rows], skeleton, others
    )
    return Diagnosis(name, codes, skeleton, tuple(notes))


def of_results(path, reader, least=0.1) -> Diagnosis:
    """Diagnoses a file of key point results (COCO's format) of a COCO data set.

    reader: a CocoReader of the annotations, which may be one without pictures; least: as in
    metrics.diagnosis.match, by which the poses of a picture choose persons. Persons without a pose
    and poses without a person are no kind of error at a key point: notes count them. A point that
    is 0, 0, 0 has no answer, and is a miss.
    Raises PoseError for data that are not COCO's, and what data.results_file.read_results does.
    """
    points, poses, persons = matched(path, reader, least)
    count = len(reader.samples)
    notes = (
        f"{count - len(persons)} of {count} annotated persons without a pose of OKS {least:g}",
        f"{len(points) - len(poses)} of {len(points)} poses without a person",
    )
    found = np.where(known(points)[..., None], points[..., :2], np.nan)
    return diagnose(str(path), found[poses], reader.samples, persons, reader.skeleton, notes)


def matched(path, reader, least=0.1):
    """Poses of a file of results, and whose they are: points (R, K, 3), and two lists of the same
    length, places of poses and of the samples that they chose.

    Arguments and errors are those of `of_results`.
    """
    if not isinstance(reader, CocoReader):
        raise PoseError(
            "COCO data for a file of results, which name persons by COCO's picture ids",
            f"{path} for {reader.skeleton.name} data of another kind",
            "Take data in COCO's format, or give the model itself in place of its results.",
        )
    results = read_results(path, reader.skeleton.count, reader.files.keys(), reader.category)
    results = [r for r in results if r["category_id"] == reader.category]
    points = np.array([r["keypoints"] for r in results], np.float64)
    points = points.reshape(len(results), reader.skeleton.count, 3)
    return points, *_chosen(points, results, reader, least)


def of_everybody(path, reader, least=0.1) -> np.ndarray:
    """The pose of a file of results that each of a reader's persons got: (N, K, 3), 0 where there
    is none. Arguments and errors are those of `of_results`."""
    points, poses, persons = matched(path, reader, least)
    found = np.zeros((len(reader.samples), *points.shape[1:]), np.float32)
    found[persons] = points[poses]
    return found


def _chosen(points, results, reader, least):
    points = np.where(known(points)[..., None], points[..., :2], np.inf)
    truth, visible, area = people(reader.samples)
    scores = np.array([r["score"] for r in results], np.float64)
    there = _places(sample.picture for sample in reader.samples)
    given = _places(result["image_id"] for result in results)
    poses, persons = [], []
    for picture in (p for p in given if p in there):
        of, to = np.array(given[picture]), np.array(there[picture])
        pairs = [part.ravel() for part in np.meshgrid(of, to, indexing="ij")]
        similarity = oks(
            points[pairs[0]],  # no answer is far from everything
            *(part[pairs[1]] for part in (truth, visible, area)),
            reader.skeleton.sigmas,
        )
        chosen = diagnosis.match(similarity.reshape(len(of), len(to)), scores[of], least)
        poses += of[chosen >= 0].tolist()
        persons += to[chosen[chosen >= 0]].tolist()
    return poses, persons


def of_model(path, reader, limit=0, flip="", progress=False) -> Diagnosis:
    """Diagnoses a model, a .keras, a .tflite or a preset, on crops of a reader's persons.

    limit, flip and progress are those of training.evaluate.find. A model that refines poses gets
    drawn ones, which a note says. Raises PoseError for a model of
    other key points than the data's.
    """
    predict, skeleton, size, margin = evaluate.open_model(path)
    evaluate.check_skeleton(skeleton, reader.skeleton, path)
    found = evaluate.find(predict, reader, size, margin, limit, flip, progress)
    place = {id(s): n for n, s in enumerate(reader.samples)}
    persons = [place[id(s)] for s in found.samples]
    notes = (f"poses refined: {found.given.name}",) if found.given else ()
    return diagnose(str(path), found.predicted, reader.samples, persons, reader.skeleton, notes)


def people(samples):
    """Truth (N, K, 2), visible (N, K) and area (N,), which is NaN where nothing tells it."""
    truth = np.stack([s.keypoints for s in samples])
    visible = np.stack([s.visible for s in samples])
    area = np.array([s.area for s in samples], np.float64)
    return truth, visible, np.where(area > 0, area, diagnosis.area_from_extent(truth, visible))


def _places(values):
    """value -> where it stands."""
    places = {}
    for place, value in enumerate(values):
        places.setdefault(value, []).append(place)
    return places
