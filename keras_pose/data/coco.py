"""COCO key point JSON with any skeleton: the names and bones are those of its category."""

from pathlib import Path

import numpy as np

from keras_pose import geometry, json_file
from keras_pose.data.folders import find
from keras_pose.data.sample import NOBODY, PictureReader
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_format import finite
from keras_pose.metrics.diagnosis import FILLED
from keras_pose.skeletons import Skeleton

_EDGE = np.array([0.5, 0.5, 0.0, 0.0])  # from a pixel's edge, COCO's 0, to its centre, ours


class CocoReader(PictureReader):
    """Labelled objects of one category of a COCO JSON file.

    annotations: path of the JSON. images: folder that `file_name` is relative to, or several, of
    which the first that holds any of the first pictures is taken. category: name; by default the
    first category that has key points. pictures: False for annotations alone: nobody will look at
    the pictures, so nobody looks for them, and none is gone.

    A point with v = 0 is masked; v = 1 (labelled, hidden) and 2 count alike, as in COCO's own
    evaluation. A person's extent is the annotated bounding box where there is one, because few
    labelled joints do not show how large a person is. Crowds, persons without key points and
    annotations whose picture is gone are counted in `skips`. Raises PoseError for a key that is
    missing, naming it and the file, and for `keypoints` of another length than 3 K, naming the
    annotation.

    Key points are taken over as they are: COCO counts pixels from 0, like this project. Only boxes
    move, by half a pixel, since COCO's begin at a pixel's edge.

    category: the id that was chosen. files: picture id -> path, None for a picture that is gone.
    """

    def __init__(self, annotations, images, category: str | None = None, pictures: bool = True):
        self.path = Path(annotations)
        folders = [Path(f) for f in (images if isinstance(images, (list, tuple)) else [images])]
        content = json_file.read(self.path)
        entry = self._category(self._get(content, "categories", "the file"), category)
        super().__init__(Skeleton.from_coco_category(entry))
        self.files = self._files(self._get(content, "images", "the file"), folders, pictures)
        self.category = self._get(entry, "id", "a category")
        objects = self._objects(content)
        crowded = self._people(objects)
        for place, annotation in enumerate(objects):
            self._read(annotation, place, crowded)
        self._refuse_empty(self.path)

    def truth(self, pictures=None) -> dict:
        """Ground truth for metrics.coco_ap, read from the file again, crowds included.

        pictures: ids to keep, by default all whose file is there. What the evaluation needs and an
        annotation lacks is filled in: `area` (0.53 of the box, as persons of COCO have on average,
        where it is not positive), `bbox` (the extent of the labelled points), `iscrowd` (0),
        `num_keypoints`. Points that are no finite numbers count as not labelled.
        """
        if pictures is None:
            pictures = {picture for picture, file in self.files.items() if file is not None}
        annotations = []
        for annotation in self._objects(json_file.read(self.path)):
            if self._get(annotation, "image_id", _title(annotation)) in pictures:
                annotations.append(self._person(annotation))
        return {"images": [{"id": picture} for picture in pictures], "annotations": annotations}

    def _person(self, annotation):
        points = np.zeros((self.skeleton.count, 3))
        if annotation.get("keypoints"):
            points = self._points(annotation, _title(annotation))
        points = np.where(np.isfinite(points).all(axis=1, keepdims=True), points, 0.0)
        labelled = annotation.get("num_keypoints")
        if box_of(annotation) is not None:
            box = annotation["bbox"]  # as it is: this is COCO's convention
        else:
            extent = geometry.extent(points[:, :2], points[:, 2] > 0)
            box = [0.0] * 4 if extent is None else extent.tolist()
        return {
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "iscrowd": int(bool(annotation.get("iscrowd"))),
            "num_keypoints": int((points[:, 2] > 0).sum()) if labelled is None else labelled,
            "keypoints": points.ravel().tolist(),
            "bbox": box,
            "area": _area(annotation, box),
        }

    def _objects(self, content):
        """The annotations of the category."""
        annotations = self._get(content, "annotations", "the file")
        return [a for a in annotations if self._get(a, "category_id", _title(a)) == self.category]

    def _get(self, owner, key, title):
        if not isinstance(owner, dict) or key not in owner:
            raise PoseError(
                f"the key {key!r} in {title} of a COCO JSON",
                f"{self.path} without it",
                "Compare the file with person_keypoints_val2017.json.",
            )
        return owner[key]

    def _category(self, categories, name):
        entries = [c for c in categories if isinstance(c, dict)]
        usable = [c for c in entries if c.get("keypoints") and name in (None, c.get("name"))]
        if not usable:
            raise PoseError(
                f"a category{f' {name!r}' if name else ''} with the key 'keypoints'",
                f"{self.path} with categories {[c.get('name') for c in entries]}",
                "Add the list of key point names to the category.",
            )
        return usable[0]

    def _files(self, images, folders, looked_for):
        """Picture id -> path, None for a picture that was looked for and is gone."""
        names = {}
        for image in images:
            title = f"image {image.get('id', '?')}" if isinstance(image, dict) else "an image"
            names[self._get(image, "id", title)] = Path(self._get(image, "file_name", title))
        if not looked_for:
            return {picture: folders[0] / name for picture, name in names.items()}
        return find(names, folders)

    def _people(self, objects):
        """Picture id -> (M, 4) boxes of everybody in it, crowds and unlabelled persons included."""
        boxes = {}
        for annotation in objects:
            box = box_of(annotation)
            if box is not None:
                boxes.setdefault(self._get(annotation, "image_id", _title(annotation)), []).append(
                    box
                )
        return {image: np.array(rows) for image, rows in boxes.items()}

    def _read(self, annotation, place, people):
        title = _title(annotation)
        image = self._get(annotation, "image_id", title)
        where = f"{self.path.name} {title if 'id' in annotation else f'annotation {place}'}"
        if annotation.get("iscrowd"):
            return self.skips.add(where, "crowd, skipped")
        if not annotation.get("keypoints") or annotation.get("num_keypoints") == 0:
            return self.skips.add(where, "person without key points, skipped")
        file = self.files.get(image)
        if file is None:
            return self.skips.add(where, "person whose picture is gone, skipped")
        points = self._points(annotation, title)
        label, box = annotation.get("id", place), box_of(annotation)
        name = f"{file.name}#{label}"
        self._add(
            points[:, :2],
            points[:, 2] > 0,
            name,
            file,
            box,
            people.get(image, NOBODY),
            picture=image,
            label=label,
            area=_area(annotation, box),
        )

    def _points(self, annotation, title):
        expected = 3 * self.skeleton.count
        try:
            points = np.array(annotation["keypoints"], np.float64)
        except (ValueError, TypeError):
            points = np.zeros(0)
        if points.shape != (expected,):
            raise PoseError(
                f"{expected} numbers in 'keypoints': x, y, v of {self.skeleton.count} points",
                f"{self.path}, {title}, with {np.size(annotation['keypoints'])} values",
                "Correct this annotation or the category's list of names.",
            )
        return points.reshape(-1, 3)


def _title(annotation):
    return f"annotation {annotation.get('id', '?')}" if isinstance(annotation, dict) else "a list"


def box_of(annotation):
    """`bbox` of an annotation or a detection, (4,), in this project's convention (a pixel's centre
    at its integer index); None where it is no box."""
    try:
        box = np.array(annotation.get("bbox"), np.float64)
    except (ValueError, TypeError):
        return None
    if box.shape != (4,) or not np.isfinite(box).all() or min(box[2:]) <= 0:
        return None
    return box - _EDGE


def _area(annotation, box):
    """`area` as a positive number, or else what the box says, NaN without one."""
    area = annotation.get("area")
    if finite(area) and area > 0:
        return float(area)
    return float("nan") if box is None else float(FILLED * box[2] * box[3])
