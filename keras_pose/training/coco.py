"""COCO's way of scoring: boxes in, poses with person scores out, doubles suppressed, AP and AR.

Boxes are those of the annotations, or a detector's from a file. It works for any skeleton in a COCO
JSON; OKS takes the skeleton's sigmas.

Symbols: K key points.
"""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np

from keras_pose import geometry
from keras_pose.data.coco import CocoReader
from keras_pose.data.results_file import read_detections, read_results
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_ap import MISSING, average_precision
from keras_pose.metrics.coco_format import entry, select
from keras_pose.metrics.oks import nms
from keras_pose.runtime.refiner import around, known
from keras_pose.training import refining
from keras_pose.training.flip import flipping
from keras_pose.training.looking import Looked, look

NMS = 0.9  # OKS above which two poses are one person


@dataclasses.dataclass(frozen=True)
class Place:
    """A box to look at, (4,) in this project's convention, with the score of its detector.

    picture: COCO's id. name, source: as in keras_pose.data.Sample.
    """

    box: np.ndarray
    picture: int
    name: str
    source: Path
    score: float = 1.0


@dataclasses.dataclass
class CocoReport(Looked):
    """AP and AR of what a predictor said, and how that came about (Looked).

    scores: name -> 0..1, -1 for sizes that nobody has (metrics.coco_ap). persons: those in the
    pictures with a labelled point that counts; pictures: how many were scored; poses: how many were
    found in them; suppressed: those that OKS-NMS took away; detections: name of the file of boxes,
    "" for those of the annotations; results: the poses, in COCO's format; before: the scores of the
    poses that were refined, {} where pictures alone were looked at.
    """

    scores: dict
    persons: int
    pictures: int
    poses: int
    suppressed: int
    detections: str = ""
    results: list = dataclasses.field(default_factory=list, repr=False)
    before: dict = dataclasses.field(default_factory=dict)

    def summary(self) -> dict:
        """The ten numbers in percent, None for sizes that nobody has; of poses that were refined
        there are those of the input too, as "input AP"."""
        scores = {**self.scores, **{f"input {name}": v for name, v in self.before.items()}}
        return {k: None if v == MISSING else round(100 * v, 4) for k, v in scores.items()}

    def to_json(self) -> str:
        names = ("persons", "pictures", "poses", "suppressed", "detections")
        counts = {name: getattr(self, name) for name in names}
        return json.dumps({**self.about(), **counts, **self.summary()}, indent=1)

    def table(self) -> str:
        """Text: what was scored, then the ten numbers in percent."""
        lines = [self.line()]
        if not self.refined:
            lines.append(f"boxes: {self.detections or 'of the annotations'}")
        width = 11 if self.before else 5
        for name, value in self.summary().items():
            lines.append(f"{name:{width}}{'-' if value is None else format(value, '.1f'):>7}")
        lines.append(
            f"{self.persons} persons in {self.pictures} pictures, {self.poses} poses, "
            f"{self.suppressed} more suppressed as doubles"
        )
        return "\n".join(lines)


def metric(reader, asked=None, *files) -> str:
    """ "oks" for data with COCO's annotations, else "pck"; what was asked for, where it can be.

    files: paths that only OKS has a use for, or None. Raises PoseError for OKS, or for one of the
    files, without COCO's annotations or beside PCK.
    """
    annotated = isinstance(reader, CocoReader)
    chosen = asked or ("oks" if annotated else "pck")
    if (chosen == "oks" or any(files)) and not (annotated and chosen == "oks"):
        raise PoseError(
            "COCO's annotations, to be scored by OKS",
            f"{type(reader).__name__} to be scored by {chosen.upper()}",
            "Detections, results and OKS are of COCO data; other data, and packed ones, have PCK.",
        )
    return chosen


def places(reader, detections=None) -> list[Place]:
    """Where to look: the boxes of the labelled persons, each with score 1, or those of a file.

    reader: a CocoReader; detections: path of a detections JSON, see results_file.read_detections
    for what is skipped and refused.
    """
    if detections is None:
        return [Place(s.box, s.picture, s.name, s.source) for s in reader.samples]
    there = _pictures(reader)
    found = read_detections(detections, reader.category, there, reader.skips)
    return [
        Place(
            d.box, d.picture, f"{there[d.picture].name}, detection {n}", there[d.picture], d.score
        )
        for n, d in enumerate(found)
    ]


def _pictures(reader):
    """Id -> path of the pictures that are there."""
    return {picture: file for picture, file in reader.files.items() if file is not None}


def some(reader, chosen, limit):
    """(ids of pictures, the places in them): all of them, or whole pictures with at most `limit`
    places, evenly spread, so that nobody in them is missed. At least one picture with a place."""
    ids = list(_pictures(reader))
    if not 0 < limit < len(chosen):
        return set(ids), chosen
    counts = dict.fromkeys(ids, 0)
    for place in chosen:
        counts[place.picture] += 1
    golden = (5**0.5 - 1) / 2  # its multiples spread evenly, however many are taken
    kept, total = set(), 0
    for n in np.argsort(np.arange(len(ids)) * golden % 1, kind="stable"):
        if total and total + counts[ids[n]] > limit:
            break
        kept.add(ids[n])
        total += counts[ids[n]]
    return kept, [place for place in chosen if place.picture in kept]


def find(predict, reader, chosen, input_size, crop_margin=1.25, columns=(), flip="",
         progress=False, poses=None):  # fmt: skip
    """Poses at some places: (results in COCO's format, how many were suppressed, pictures that
    could not be read).

    predict: see training.looking; chosen: from `places`; columns: the key points that a person's
    score is of, all where it is empty; flip: name of a fusion of the flip test, "" for none. poses:
    what a looking.Refining refines, see looking.look; these keep their scores.

    Another pose's score is its box's times the mean of its key points'. Of poses in one picture
    that OKS-NMS takes for one, the better stays. Its areas are those of the crops that the network
    saw (of several scales, the frame): boxes grown by the margin to the input's aspect, as in
    SimpleBaseline's and HRNet's releases. Poses whose score is no finite number are counted in the
    reader's skips and left out.
    Points are written as they are, since COCO's key points have this project's convention.
    """
    if flip:
        predict = flipping(predict, reader.skeleton, flip)
    columns = list(columns) or list(range(reader.skeleton.count))
    together = {}
    for place, points, scores in look(
        predict, reader, chosen, input_size, crop_margin, progress, poses
    ):
        score = place.score * (float(np.mean(scores[columns])) if poses is None else 1)
        found = together.setdefault(place.picture, [])  # without a pose, too, it was looked at
        if not np.isfinite(score):
            reader.skips.add(place.name, "pose whose score is no finite number, skipped")
            continue
        pose = entry(place.picture, reader.category, points, scores, score)
        found.append((pose, geometry.crop_box(place.box, input_size, crop_margin)))
    results, suppressed = [], 0
    sigmas = np.array(reader.skeleton.sigmas)[columns]
    for found in together.values():
        shape = (len(found), reader.skeleton.count, 3)
        points = np.array([pose["keypoints"] for pose, _ in found]).reshape(shape)
        areas = [crop[2] * crop[3] for _, crop in found]
        scores = [pose["score"] for pose, _ in found]
        stay = nms(points[:, columns, :2], scores, areas, sigmas, NMS)
        results += [found[n][0] for n in stay]
        suppressed += len(found) - len(stay)
    return results, suppressed, {place.picture for place in chosen} - together.keys()


def evaluate(predict, reader, input_size, crop_margin=1.25, detections=None, limit=0, flip="",
             only=(), progress=False, poses=None):  # fmt: skip
    """Scores a predictor by OKS: a CocoReport.

    reader: a CocoReader; detections: path of a detections JSON, None for the annotations' boxes;
    limit: at most so many boxes, in whole pictures, 0 for all; flip: name of a fusion of the flip
    test; only: names of the key points that count, of ground truth and poses alike. Pictures that
    cannot be read are not scored and are counted in the reader's skips, as are poses without a
    finite score, whose persons are missed.
    poses: path of a file of key point results, all of which a looking.Refining refines, each in a
    crop around itself; by default it refines errors drawn for the annotated persons. Poses without
    a key point stay as they are.
    Raises PoseError when no picture can be read, and as `places` does; for detections with what
    refines poses, and for poses with what does not.
    """
    columns = [reader.skeleton.index(name) for name in only]
    refining.refuse(predict, poses)
    given, shown, empty = None, None, []
    if isinstance(predict, refining.Refining):
        if detections is not None:
            raise PoseError(
                "a file of poses for a network that refines them",
                f"the detections {detections}",
                "Give --poses FILE, or neither to refine drawn poses.",
            )
        given, empty = _to_refine(poses, reader, input_size, crop_margin, predict.grown)
        pictures, chosen = some(reader, list(given.places), limit)
        rows = {id(place): n for n, place in enumerate(given.places)}
        shown = given.poses[[rows[id(place)] for place in chosen]]
    else:
        pictures, chosen = some(reader, places(reader, detections), limit)
    results, suppressed, unread = find(
        predict, reader, chosen, input_size, crop_margin, columns, flip, progress, shown
    )
    if chosen and all(place.picture in unread for place in chosen):
        raise PoseError(
            "at least one readable picture", reader.skips.summary(), "Check the data folder."
        )
    scored = pictures - unread
    truth, empty = reader.truth(scored), [pose for pose in empty if pose["image_id"] in scored]
    results += empty
    score = functools.partial(average_precision, truth, sigmas=reader.skeleton.sigmas, only=columns)
    labelled = select(truth["annotations"], columns) if columns else truth["annotations"]
    counted = [a for a in labelled if a["num_keypoints"] and not a["iscrowd"]]
    name = "" if detections is None else Path(detections).name
    report = CocoReport(
        score(results), len(counted), len(truth["images"]), len(results), suppressed, name,
        flip=flip, only=tuple(only), results=results,
    )  # fmt: skip
    if given:
        before = [
            _entry(reader, place, pose)
            for place, pose in zip(chosen, shown, strict=True)
            if place.picture in scored
        ]
        report.before = score(before + empty)
        report.refined, report.unposed = given.name, given.unposed + len(empty)
    return report


def _to_refine(path, reader, input_size, crop_margin, grown):
    """What is refined, a refining.Given, and those results of the file that have no key point."""
    if path is None:
        given = refining.drawn(reader.samples, reader.skeleton, input_size, crop_margin)
        return dataclasses.replace(given, places=tuple(places(reader))), []
    there, poses, seen, empty = _pictures(reader), [], [], []
    results = read_results(path, reader.skeleton.count, reader.files.keys(), reader.category)
    for n, result in enumerate(results):
        if result["category_id"] != reader.category:
            continue
        if result["image_id"] not in there:
            reader.skips.add(f"{path}, entry {n}", "pose in a picture that is gone, skipped")
            continue
        pose = np.array(result["keypoints"], np.float32).reshape(-1, 3)
        if not known(pose).any():
            empty.append(result)
            continue
        file = there[result["image_id"]]
        box = around(pose[known(pose), :2], grown)
        seen.append(Place(box, result["image_id"], f"{file.name}, pose {n}", file, result["score"]))
        poses.append(pose)
    shape = (len(poses), reader.skeleton.count, 3)
    poses = np.array(poses, np.float32).reshape(shape)
    return refining.Given(Path(path).name, poses, tuple(seen), tuple(seen)), empty


def _entry(reader, place, pose):
    points = np.where(known(pose)[:, None], pose[:, :2], np.nan)
    return entry(place.picture, reader.category, points, pose[:, 2], place.score)
