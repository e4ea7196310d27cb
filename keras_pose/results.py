"""What a pose estimator returns: one `Pose` per person."""

import dataclasses

import numpy as np

from keras_pose.errors import PoseError


@dataclasses.dataclass
class Pose:
    """One person's key points in pixels of the original picture.

    Symbols: K key points.
    keypoints: (K, 2) float32, (x, y), a pixel's centre at its integer index.
    scores: (K,) float32 in 0..1.
    box: (4,) float64 (x, y, w, h), the crop that was looked at, or None.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    box: np.ndarray | None = None

    def __post_init__(self):
        self.keypoints = np.asarray(self.keypoints, np.float32)
        self.scores = np.asarray(self.scores, np.float32)
        if self.keypoints.shape != (len(self.scores), 2):
            raise PoseError(
                "key points of shape (K, 2) and scores of shape (K,)",
                f"shapes {self.keypoints.shape} and {self.scores.shape}",
                "Pass one person at a time.",
            )

    @property
    def score(self) -> float:
        """The person's score: the mean over key points, so that one lucky point is not a person."""
        return float(self.scores.mean())

    def to_dict(self, names=None) -> dict:
        """Plain types for JSON; `names` (K strings) labels the points."""
        points = [
            {"x": round(float(x), 2), "y": round(float(y), 2), "score": round(float(s), 4)}
            for (x, y), s in zip(self.keypoints, self.scores, strict=True)
        ]
        if names is not None:
            points = [{"name": n, **p} for n, p in zip(names, points, strict=True)]
        box = None if self.box is None else [round(float(v), 2) for v in self.box]
        return {"score": round(self.score, 4), "box": box, "keypoints": points}
