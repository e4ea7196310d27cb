"""The pictures that COCO's files speak of by their ids."""

import collections
import os
from pathlib import Path

import numpy as np

from keras_pose import json_file
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_format import among
from keras_pose.runtime.crop import load_image

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_KEPT = 4  # pictures; results of one mostly follow each other


class PictureFiles:
    """Pictures by id, each (H, W, 3) RGB uint8, and decoded once while it is asked for again.

    folder: where they lie. annotations: a COCO JSON whose `images` say which file an id is; without
    it, a file is called like its id, or like COCO's own with twelve digits, 000000000139.jpg.
    orient: turn pictures as their EXIF entry says. Annotations and results of data sets are of the
    stored pixels, so it is off by default.
    Raises PoseError for a folder that is not there and for annotations without `images`.
    """

    def __init__(self, folder, annotations=None, orient: bool = False):
        self._folder, self._orient = Path(folder), orient
        self._names = None if annotations is None else _names(annotations)
        self._held = collections.OrderedDict()
        if not self._folder.is_dir():
            raise PoseError("a folder of pictures", f"{folder}, which is none", "Check the path.")

    def __call__(self, picture) -> np.ndarray:
        """The picture. Raises PoseError for an id without a file, and a file that is damaged."""
        path = self._path(picture)
        if path not in self._held:
            try:
                self._held[path] = load_image(path, orient=self._orient)
            except PoseError as error:
                self._held[path] = error
            if len(self._held) > _KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(path)
        if isinstance(self._held[path], PoseError):
            raise self._held[path]
        return self._held[path]

    def _path(self, picture):
        if self._names is not None and not among(picture, self._names):
            raise PoseError(
                "a picture that the annotations have",
                f"{picture!r}",
                "Give the annotations of the split that the results are of.",
            )
        names = _called(picture) if self._names is None else [self._names[picture]]
        for name in names:
            path = os.path.join(self._folder, name)
            if os.path.isfile(path):  # whatever an id may hold; Path.is_file raises for some
                return path
        raise PoseError(
            "a file of its picture",
            f"{picture!r}, but no {' and no '.join(names[:2]) or 'such name'} in {self._folder}",
            "Check the folder, or give the annotations that say which file an id is.",
        )


def _names(annotations):
    """Picture id -> file name."""
    content = json_file.read(annotations)
    try:
        return {image["id"]: os.fspath(image["file_name"]) for image in content["images"]}
    except (KeyError, TypeError) as error:
        raise PoseError(
            "a COCO JSON whose `images` have `id` and `file_name`",
            f"{annotations} without it ({error})",
            "Give the annotations of the pictures.",
        ) from error


def _called(picture):
    """What the file of an id may be called, the likeliest first."""
    if isinstance(picture, float) and picture.is_integer():
        picture = int(picture)
    if isinstance(picture, str):
        return [picture, *(picture + end for end in sorted(PICTURES))]
    if isinstance(picture, bool) or not isinstance(picture, int):
        return []
    stems = (f"{picture:012d}", str(picture))
    return [stem + end for end in (".jpg", *sorted(PICTURES)) for stem in stems]
