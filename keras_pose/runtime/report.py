"""The results file of the apps: one JSON object, written entry by entry."""

import json
import os

from keras_pose.errors import PoseError
from keras_pose.runtime.estimator import PoseEstimator


class ResultsFile:
    """A JSON file {header..., "results": [entries...], footer...}, open in a `with` block.

    Entries are written as they come, each on its own line, so that a run of hours needs no memory,
    and a run that was killed leaves every line before.
    path: the file, its folder is made; estimator: names the key points in the header.
    Raises PoseError when the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, estimator: PoseEstimator, **header):
        skeleton = estimator.skeleton
        self._names = skeleton.keypoints
        header = {
            "keras_pose": 1,
            "model": estimator.metadata.model,
            "skeleton": skeleton.name,
            "keypoints": list(skeleton.keypoints),
            "edges": [list(e) for e in skeleton.edges],
            **header,
        }
        try:
            os.makedirs(os.path.dirname(os.fspath(path)) or ".", exist_ok=True)
            self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115, closed in __exit__
        except OSError as error:
            raise PoseError(
                "a path where a JSON file can be written",
                f"{path} ({error.strerror})",
                "Choose a folder that you may write to.",
            ) from error
        self._file.write(json.dumps(header)[:-1] + ',\n"results": [')
        self._separator = "\n"
        self.footer = {}

    def add(self, pose, **entry) -> None:
        """Writes an entry: what identifies it, and its pose (a Pose, or None for nobody)."""
        entry["pose"] = None if pose is None else pose.to_dict(self._names)
        self._file.write(self._separator + json.dumps(entry))
        self._separator = ",\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.write("\n]")
        for name, value in self.footer.items():
            self._file.write(f",\n{json.dumps(name)}: {json.dumps(value)}")
        self._file.write("}\n")
        self._file.close()
