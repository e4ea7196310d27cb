"""One person through a video: a crop that follows the pose, and a search when there is none.

While a person is followed, every frame costs one network run, on the crop around the last pose
(two in every eighth frame while key points are missing).
Otherwise each frame spends a small budget of runs where something has changed
(keras_pose.runtime.motion) and on the search plan (keras_pose.runtime.search). Whoever is found is
looked at again in a crop around the first pose, and shown only when this second pass is confident
and agrees with the first; where nothing has changed it must be very confident.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from keras_pose import geometry
from keras_pose.metadata import Metadata
from keras_pose.results import Pose
from keras_pose.runtime import search
from keras_pose.runtime.motion import Motion
from keras_pose.runtime.smoothing import OneEuro

_WIDER_EVERY = 8  # frames between two wider looks for missing key points
_ALIVE = 0.08  # share of a person's extent that has changed against the empty scene
_ALIVE_EVERY = 0.5  # seconds between two such questions about a followed person
_PASSES = 3  # looks at one suspect before the search goes on
_SMALLEST = 48.0  # px of a crop around something that moves
_SHRINK, _GROW = 0.9, 1.5  # most that the crop's size may change from one frame to the next


class Estimator(Protocol):
    """What a tracker needs of an estimator: keras_pose.runtime.estimator.PoseEstimator has it."""

    metadata: Metadata

    def __call__(self, image: np.ndarray, box=None) -> Pose: ...


class PoseTracker:
    """Follows one person from frame to frame.

    estimator: called with (picture, box); its metadata gives input size, margin and threshold.
    threshold: the person score (mean over key points) that tells a person from none; None takes
        the metadata's. A new person needs `start` times as much, `still` times in a place where
        nothing has changed, one who is followed `keep` times, a first glance `glance` times.
    margin: the crop around a followed person, of the extent, above the metadata's margin because
        people move between frames. budget: network runs per frame while searching, at least 2.
    patience: frames that a followed person may fail before the search begins; the first of them
    show the last pose again, as long as the confidence, halved by each, is enough to keep it.
    smoothing: called with (keypoints, scores, seconds, size); None takes OneEuro, False nothing.
    """

    def __init__(
        self,
        estimator: Estimator,
        threshold: float | None = None,
        start: float = 1.2,
        still: float = 1.8,
        keep: float = 0.8,
        glance: float = search.GLANCE,
        margin: float = 1.1,
        budget: int = 4,
        patience: int = 3,
        smoothing: Callable | bool | None = None,
    ):
        described = estimator.metadata
        self.estimator, self.input_size = estimator, described.input_size
        self.threshold = described.threshold if threshold is None else threshold
        self.start, self.still = (min(v * self.threshold, 0.95) for v in (start, still))
        self.keep, self.glance = keep * self.threshold, glance * self.threshold
        self.margin = margin * described.crop_margin
        self.budget, self.patience = max(int(budget), 2), patience
        if smoothing is None:
            smoothing = OneEuro(confident=max(self.threshold, 1e-3))
        self.smoothing = smoothing or None
        self.reset()

    def reset(self) -> None:
        """Forgets the person and begins the search anew, as for another video."""
        self._box = self._last = None  # the crop and the pose of the followed person
        self._suspect, self._looks = None, 0
        self._place, self._misses = None, 0
        self._plan, self._next, self._size = [], 0, None
        self._motion, self._asked = Motion(), 0.0
        if self.smoothing:
            self.smoothing.reset()

    @property
    def following(self) -> bool:
        """Whether a person was seen in the last frames."""
        return self._box is not None

    def update(self, image: np.ndarray, seconds: float) -> Pose | None:
        """The person's pose in this frame, or None where nobody is seen.

        image: (H, W, 3) RGB uint8; seconds: the frame's time, growing.
        """
        if self._size != image.shape[:2]:
            self.reset()
            self._size = image.shape[:2]
            self._plan = search.plan(self._size, self.input_size)
            self._highest = float(self._plan[0][3])
        step = self._search if self._box is None else self._follow
        look = step(image, seconds)
        if look is None:
            return self._held()
        self._box = self._crop(look.loose)
        self._last = pose = look.pose
        if self.smoothing:
            size = max(look.loose[2:])
            pose.keypoints = self.smoothing(pose.keypoints, pose.scores, seconds, size)
        return pose

    def _held(self):
        """The last pose again while there is still confidence, with what is left of its score."""
        if self._box is None or self._confidence < self.keep:
            return None
        left = min(self._confidence / max(self._last.score, 1e-6), 1.0)
        return Pose(self._last.keypoints, self._last.scores * left, self._box)

    def _follow(self, image, seconds):
        look = search.Look(self.estimator(image, self._box), self.keep)
        # half of it is the last frames', so that one blurred frame does not end it
        self._confidence += 0.5 * (look.score - self._confidence)
        if seconds - self._asked >= _ALIVE_EVERY:
            self._asked = seconds
            self._motion.compare(image)
            if not self._alive(look):
                self._lose()
                return None
        if self._confidence >= self.keep and look.plausible(centred=True):
            self._misses = 0
            if self._followed % _WIDER_EVERY == 0:
                look = search.complete(self.estimator, image, look, self.keep)
            self._followed += 1
            return look
        self._misses += 1
        if self._misses > self.patience or self._confidence < self.glance:
            place = self._box
            self._lose()
            self._place = place
        return None

    def _lose(self):
        """Gives the person up; the search begins with the whole frame."""
        self._box = self._last = self._suspect = self._place = None
        self._misses, self._looks, self._next = 0, 0, 0
        if self.smoothing:
            self.smoothing.reset()

    def _alive(self, look):
        """Whether a pose is confident enough for its place."""
        if look.score >= self.still or look.loose is None:
            return True
        return self._motion.share(look.loose) >= _ALIVE

    def _search(self, image, seconds):
        self._motion.learn(image, seconds)
        boxes = [] if self._place is None else [self._place]  # where the last one was lost
        self._place = None
        if (moved := self._motion.place()) is not None:
            boxes.append(geometry.crop_box(moved, self.input_size, smallest=_SMALLEST))
        for _ in range(self.budget):
            if self._suspect is None:
                self._glance(image, boxes)
            elif (look := self._look_again(image)) is not None:
                self._confidence, self._followed, self._asked = look.score, 0, seconds
                self._suspect, self._misses = None, 0
                return look
        return None

    def _glance(self, image, boxes):
        """The first of the boxes or the next of the plan; a likely person is the suspect."""
        if boxes:
            box = boxes.pop(0)
        else:
            box = self._plan[self._next % len(self._plan)]
            self._next += 1
        look = search.Look(self.estimator(image, box), self.glance)
        if look.score >= self.glance and look.plausible():
            self._suspect, self._looks = look, 1

    def _look_again(self, image):
        """The suspect in a crop of its own; returned when confident and the same person."""
        first = self._suspect
        self._looks += 1
        pose = self.estimator(image, self._crop(first.loose))
        second = search.Look(pose, self.glance)
        likely = second.score >= self.glance and second.plausible(centred=True)
        self._suspect = second if likely and self._looks < _PASSES else None
        if second.score < self.start or not search.agree(first, second, self.glance):
            return None
        look = search.Look(pose, self.keep)
        return look if look.plausible(centred=True) and self._alive(look) else None

    def _crop(self, extent):
        """The crop around a person's extent, no larger than the one around the whole picture.

        A followed person's changes in size only slowly.
        """
        box = geometry.crop_box(extent, self.input_size, self.margin)
        x, y, w, h = box.tolist()
        high, most = h, self._highest
        if self._box is not None:
            before = float(self._box[3])
            high = min(max(high, before * _SHRINK), before * _GROW)
        scale = min(high, most) / h
        if scale == 1.0:
            return box
        shift = (1.0 - scale) / 2
        return np.array([x + w * shift, y + h * shift, w * scale, h * scale])
