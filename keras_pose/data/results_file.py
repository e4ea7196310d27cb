"""COCO's two files of answers: key point results, and detections to look at."""

import dataclasses
import json

import numpy as np

from keras_pose import json_file
from keras_pose.data.coco import box_of
from keras_pose.errors import PoseError
from keras_pose.metrics import coco_format


def read_results(path, count, pictures=None, category=None) -> list[dict]:
    """Key point results from a file, in COCO's format (metrics.coco_format). [] is no pose at all.

    count: K of the skeleton. pictures, category: ids that the ground truth has, None for any.
    Raises PoseError that names the file and the entry, see metrics.coco_format.check.
    """
    return coco_format.check(json_file.read(path, "COCO results"), count, path, pictures, category)


def write_results(path, results):
    """Writes key point results. Raises PoseError for a path that cannot be written."""
    json_file.write(path, json.dumps(results, allow_nan=False))


@dataclasses.dataclass(frozen=True)
class Detection:
    """A box that a detector took for a person.

    picture: its id. box: (4,) float64 in this project's convention. score: the detector's.
    """

    picture: int
    box: np.ndarray
    score: float


def read_detections(path, category, pictures, skips) -> list[Detection]:
    """Boxes to look at: a JSON list of {"image_id", "category_id", "bbox", "score"}.

    category: id of which boxes are taken; entries without "category_id" are all of it. pictures:
    ids of the ground truth. skips: a SkipLog that counts boxes in other pictures, as a file of a
    whole data set has them beside a part of it, boxes without area, and scores that are no finite
    numbers.
    Raises PoseError, naming the file and the entry, for what is no such list, for entries without
    picture, box or score, and when the list has boxes of which none can be used.
    """
    found, taken = json_file.read(path, "a file of detections"), 0
    detections = []
    if not isinstance(found, list):
        raise PoseError(
            "a list of detections",
            f"{path} with a {type(found).__name__}",
            'Write [{"image_id": .., "category_id": .., "bbox": [x, y, w, h], "score": ..}, ..].',
        )
    for place, entry in enumerate(found):
        where = f"{path}, entry {place}"
        gone = [
            key
            for key in ("image_id", "bbox", "score")
            if not isinstance(entry, dict) or key not in entry
        ]
        if gone:
            raise PoseError(
                "image_id, bbox and score in every detection",
                f"{where}, without {', '.join(gone)}",
                "A pose's score is that of its box times that of its key points: write the "
                "detector's scores, or 1.",
            )
        if entry.get("category_id", category) != category:
            continue
        taken += 1
        box = box_of(entry)
        if not coco_format.among(entry["image_id"], pictures):
            skips.add(where, "detection in a picture that the ground truth does not have, skipped")
        elif box is None:
            skips.add(where, "detection without a box of positive width and height, skipped")
        elif not coco_format.finite(entry["score"]):
            skips.add(where, "detection whose score is no finite number, skipped")
        else:
            detections.append(Detection(entry["image_id"], box, float(entry["score"])))
    if found and not detections:
        raise PoseError(
            "detections of the data's category in its pictures",
            f"{path} with {len(found)} entries, {taken} of category {category}, none of use"
            + (f":\n{skips.summary()}" if skips.count else ""),
            "Compare its image_id and category_id with the annotations.",
        )
    return detections
