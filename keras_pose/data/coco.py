"""COCO key point JSON with any skeleton: the names and bones are those of its category."""

import json
from pathlib import Path

import numpy as np

from keras_pose.data.sample import NOBODY, PictureReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import Skeleton


class CocoReader(PictureReader):
    """Labelled objects of one category of a COCO JSON file.

    annotations: path of the JSON. images: folder that `file_name` is relative to, or several, of
    which the first that holds any of the first pictures is taken. category: name; by default the
    first category that has key points.

    A point with v = 0 is masked; v = 1 (labelled, hidden) and 2 count alike, as in COCO's own
    evaluation. A person's extent is the annotated bounding box where there is one, because few
    labelled joints do not show how large a person is. Crowds, persons without key points and
    annotations whose picture is gone are counted in `skips`. Raises PoseError for a key that is
    missing, naming it and the file, and for `keypoints` of another length than 3 K, naming the
    annotation.
    """

    def __init__(self, annotations, images, category: str | None = None):
        self.path = Path(annotations)
        folders = [Path(f) for f in (images if isinstance(images, (list, tuple)) else [images])]
        content = self._load()
        entry = self._category(self._get(content, "categories", "the file"), category)
        super().__init__(Skeleton.from_coco_category(entry))
        files = self._files(self._get(content, "images", "the file"), folders)
        wanted = self._get(entry, "id", "a category")
        objects = [
            a
            for a in self._get(content, "annotations", "the file")
            if self._get(a, "category_id", _title(a)) == wanted
        ]
        crowded = self._people(objects)
        for place, annotation in enumerate(objects):
            self._read(annotation, place, files, crowded)
        self._refuse_empty(self.path)

    def _load(self):
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PoseError(
                "a COCO JSON file", f"{self.path} ({error.strerror})", "Check the path."
            ) from error
        except ValueError as error:
            raise PoseError(
                "valid JSON", f"{self.path}: {error}", "Export the annotations again."
            ) from error
        return content

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

    def _files(self, images, folders):
        """Picture id -> path, None for a picture that is gone."""
        names = {}
        for image in images:
            title = f"image {image.get('id', '?')}" if isinstance(image, dict) else "an image"
            names[self._get(image, "id", title)] = Path(self._get(image, "file_name", title))
        first = list(names.values())[:10]
        folder = next((f for f in folders if any((f / n).is_file() for n in first)), folders[0])
        # one listing per folder: far faster than a question per file on network drives
        there = {
            parent: {p.name for p in (folder / parent).glob("*")}
            for parent in {n.parent for n in names.values()}
        }
        return {i: folder / n if n.name in there[n.parent] else None for i, n in names.items()}

    def _people(self, objects):
        """Picture id -> (M, 4) boxes of everybody in it, crowds and unlabelled persons included."""
        boxes = {}
        for annotation in objects:
            box = _box(annotation)
            if box is not None:
                boxes.setdefault(self._get(annotation, "image_id", _title(annotation)), []).append(
                    box
                )
        return {image: np.array(rows) for image, rows in boxes.items()}

    def _read(self, annotation, place, files, people):
        title = _title(annotation)
        image = self._get(annotation, "image_id", title)
        where = f"{self.path.name} {title if 'id' in annotation else f'annotation {place}'}"
        if annotation.get("iscrowd"):
            return self.skips.add(where, "crowd, skipped")
        if not annotation.get("keypoints") or annotation.get("num_keypoints") == 0:
            return self.skips.add(where, "person without key points, skipped")
        if files.get(image) is None:
            return self.skips.add(where, "person whose picture is gone, skipped")
        points = self._points(annotation, title)
        name = f"{files[image].name}#{annotation.get('id', place)}"
        self._add(
            points[:, :2],
            points[:, 2] > 0,
            name,
            files[image],
            _box(annotation),
            people.get(image, NOBODY),
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


def _box(annotation):
    """`bbox` in this project's convention (a pixel's centre at its integer index), or None."""
    try:
        box = np.array(annotation.get("bbox"), np.float64)
    except (ValueError, TypeError):
        return None
    if box.shape != (4,) or not np.isfinite(box).all() or min(box[2:]) <= 0:
        return None
    return box - (0.5, 0.5, 0.0, 0.0)
