"""A data set in one file: reads the .pack that keras_pose.data.packing writes.

The file is a zip without compression (JPEGs do not shrink). It holds `pack.json` (version,
skeleton, settings, which folder is which split), and for each folder `<folder>.npz` (one row a
person, in pixels of the person's patch) and `<folder>/000000.jpg`, `000001.jpg`, .. (the patches).
The arrays of the .npz, N persons of K key points: `keypoints` (N, K, 2) float32, `visible` (N, K)
bool, `boxes` (N, 4) float64, `names` (N,), `people` (M, 4) float64, the boxes of everybody known to
be in a person's picture, `crowd` (N,), how many rows of `people` are each person's, `heads`
(N,) float64, head lengths, NaN where there is none. `others` (Q, K, 3) float32 are the key points
of other persons in the picture, and `beside` (N,) how many of these rows are each person's. `areas`
(N,) float64 are the persons' areas, NaN where unknown. Older files lack what follows `crowd`.
"""

import io
import json
import threading
import zipfile
from pathlib import Path

import numpy as np

from keras_pose.data.sample import PictureReader, Sample
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import decode_image
from keras_pose.skeletons import Skeleton

SUFFIX = ".pack"
VERSION = 1
INDEX = "pack.json"


def entry(folder: str, place: int) -> str:
    """The name of a patch inside the file."""
    return f"{folder}/{place:06d}.jpg"


class PackReader(PictureReader):
    """The persons of one split of a .pack, each in a patch of the picture that it came from.

    path: the file; split: "train" or "val" (data that were not divided are both). `settings` says
    how the patches were cut: size, quality and margin. A sample's name is that of the packed data;
    its picture is the patch, its `source` the file's path and the patch's name in it.

    Safe for several threads. A patch that is missing is counted in `skips`, one that is damaged is
    refused by `image`, which loaders count. Raises PoseError for a file that is missing, cut short,
    of another kind or version, or whose arrays do not belong together.
    """

    def __init__(self, path, split: str = "train"):
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise self._refusal(error) from error
        about = self._about()
        try:
            super().__init__(Skeleton.from_dict(about["skeleton"]))
            self.settings = dict(about["settings"])
            folder = about["splits"][split]
            arrays = self._arrays(folder)
        except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise self._refusal(error) from error
        self._fill(folder, **arrays)
        self._refuse_empty(f"{self.path}, split {split!r}")

    def image(self, sample: Sample, reduce: int = 1) -> np.ndarray:
        """The sample's patch, RGB uint8 (H, W, 3), read `reduce` times smaller (1, 2, 4, 8).

        Raises PoseError, naming the file and the patch, when it cannot be read.
        """
        try:
            with self._lock:  # zipfile guards its reads, but not the count of its open entries
                content = self._archive.read(sample.source.relative_to(self.path).as_posix())
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise PoseError(
                "a whole patch", f"{sample.source} ({error})", "Write the file again."
            ) from error
        return decode_image(content, sample.source, reduce)

    def _about(self):
        """What pack.json says."""
        try:
            about = json.loads(self._archive.read(INDEX))
            version = about["keras_pose_pack"]
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise self._refusal(error) from error
        if version != VERSION:
            raise PoseError(
                f"a .pack of version {VERSION}",
                f"{self.path} of version {version}",
                "Write it again with train/pack.py, or use the keras_pose that wrote it.",
            )
        return about

    def _arrays(self, folder):
        """The folder's arrays by name. Raises ValueError when their shapes contradict."""
        with np.load(io.BytesIO(self._archive.read(f"{folder}.npz")), allow_pickle=False) as stored:
            names = ("keypoints", "visible", "boxes", "names", "people", "crowd")
            arrays = {name: stored[name] for name in names}
            count, joints = len(arrays["names"]), self.skeleton.count
            arrays["heads"] = stored.get("heads", np.full(count, np.nan))
            arrays["others"] = stored.get("others", np.zeros((0, joints, 3), np.float32))
            arrays["beside"] = stored.get("beside", np.zeros(count, int))
            arrays["areas"] = stored.get("areas", np.full(count, np.nan))
        shapes = {
            "keypoints": (count, joints, 2), "visible": (count, joints),
            "boxes": (count, 4), "crowd": (count,), "people": (int(arrays["crowd"].sum()), 4),
            "heads": (count,), "beside": (count,), "areas": (count,),
            "others": (int(arrays["beside"].sum()), joints, 3),
        }  # fmt: skip
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} of shape {arrays[name].shape} in place of {shape}")
        return arrays

    def _fill(self, folder, keypoints, visible, boxes, names, people, crowd, heads, others, beside,
              areas):  # fmt: skip
        there = set(self._archive.namelist())
        around = np.split(people, np.cumsum(crowd)[:-1])
        others = np.split(others, np.cumsum(beside)[:-1])
        for i, name in enumerate(names.tolist()):
            patch = entry(folder, i)
            if patch not in there:
                self.skips.add(self.path / patch, "person whose patch is gone, skipped")
                continue
            self._add(
                keypoints[i], visible[i], name, self.path / patch, boxes[i], around[i],
                head=float(heads[i]), others=others[i], area=float(areas[i]),
            )  # fmt: skip

    def _refusal(self, error):
        return PoseError(
            "a whole .pack that train/pack.py wrote",
            f"{self.path} ({getattr(error, 'strerror', None) or error!r})",
            "Check the path, copy the file again, or write it again.",
        )
