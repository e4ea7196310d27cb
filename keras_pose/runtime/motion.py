"""What has changed in the view of a camera that stands still.

A coat on a hook can look like a person to a small network, but it does not come and go. So the
tracker looks first where something has changed, and asks more of a place where nothing has. With
a moving camera everything changes, and the question answers itself with yes everywhere.
"""

import cv2
import numpy as np

_CELLS = 160  # of the grid of samples, along the longer side
_LEVELS = 18  # grey levels that count as a change, above a camera's noise
_FORGET = 4.0  # seconds in which the scene is learned anew
_CUT = 0.5  # share of changed samples that means another scene, or another light
_RESTLESS = 1.0  # seconds between two of these that mean a moving camera
_SPREAD = 0.6  # of the picture: a change this large does not say where to look
_REACH = np.ones((5, 5), np.uint8)  # joins the parts of one moving thing


class Motion:
    """Compares pictures with a slowly learned scene on a grid of samples.

    learn() it on frames in which nobody is followed, so that a person who stands still does not
    become part of the scene; compare() it on others.
    """

    def __init__(self):
        self._scene = self._changed = None
        self._seconds = self._cut = -np.inf

    def learn(self, image: np.ndarray, seconds: float) -> None:
        """Compares a picture (H, W, 3) uint8 of a time, and makes it part of the scene."""
        grid = self.compare(image)
        if self._changed.mean() > _CUT:
            restless = seconds - self._cut < _RESTLESS
            self._changed[:] = restless
            self._scene, self._cut = grid, seconds
        else:
            rate = min(max(seconds - self._seconds, 0.0) / _FORGET, 1.0)
            self._scene = self._scene + (grid - self._scene) * np.float32(rate)
        self._seconds = seconds

    def compare(self, image: np.ndarray) -> np.ndarray:
        """Compares a picture with the scene without learning it. Returns its samples."""
        self._step = step = max(1, max(image.shape[:2]) // _CELLS)
        grid = image[step // 2 :: step, step // 2 :: step, 1].astype(np.float32)
        if self._scene is None or self._scene.shape != grid.shape:
            self._scene = grid
        changed = (cv2.absdiff(grid, self._scene) > _LEVELS).astype(np.uint8)
        self._changed = cv2.medianBlur(changed, 3)  # without single noisy samples
        return grid

    def share(self, box) -> float:
        """How much of a box (x, y, w, h) has changed at the last comparison, 0..1."""
        x, y, w, h = (v / self._step for v in box)
        part = self._changed[max(int(y), 0) : int(y + h) + 1, max(int(x), 0) : int(x + w) + 1]
        return float(part.mean()) if part.size else 0.0

    def place(self) -> tuple[float, float, float, float] | None:
        """The box (x, y, w, h) px of the largest change, None without one of a telling size."""
        count, _, found, _ = cv2.connectedComponentsWithStats(cv2.dilate(self._changed, _REACH))
        if count < 2:
            return None
        x, y, w, h, _ = found[1 + found[1:, cv2.CC_STAT_AREA].argmax()].tolist()
        if w * h > _SPREAD * self._changed.size:
            return None
        return tuple(float(v * self._step) for v in (x, y, w, h))
