"""The One-Euro filter over all key points at once: still when the person is, quick when they move.

Casiez, Roussel and Vogel, "1 Euro Filter" (CHI 2012): a low pass whose cutoff grows with speed.
Speeds are measured in person sizes per second, so that one setting fits near and far persons.
"""

import math

import numpy as np

_LONGEST = 1.0  # seconds without a measurement after which the filter starts anew


class OneEuro:
    """Smooths (K, 2) key points over time.

    min_cutoff: Hz, the cutoff at rest; lower is steadier and later.
    beta: Hz per person size per second, how much speed opens the filter.
    speed_cutoff: Hz, the cutoff of the speed itself.
    confident: the score from which a key point is followed at the full rate; below it the filter
        trusts a measurement in proportion to its score, so that a guess cannot throw a limb about.
    """

    def __init__(
        self,
        min_cutoff: float = 1.5,
        beta: float = 12.0,
        speed_cutoff: float = 2.0,
        confident: float = 0.3,
    ):
        self.min_cutoff, self.beta, self.speed_cutoff = min_cutoff, beta, speed_cutoff
        self.confident = confident
        self.reset()

    def reset(self) -> None:
        """Forgets the past: the next key points pass unchanged."""
        self._seconds = None

    def __call__(
        self, keypoints: np.ndarray, scores: np.ndarray, seconds: float, size: float
    ) -> np.ndarray:
        """The smoothed key points, (K, 2) float32 px, not to be written to.

        keypoints: (K, 2) px; scores: (K,); seconds: the frame's time, any origin; size: the
        person's size in px (the longer side of their extent).
        """
        elapsed = None if self._seconds is None else seconds - self._seconds
        if elapsed is None or not 0.0 <= elapsed < _LONGEST:
            self._seconds = seconds
            self._points = np.array(keypoints, np.float32)
            self._speeds = np.zeros_like(self._points)
            return self._points
        if elapsed == 0.0:  # the same instant twice, as in files with broken time stamps
            return self._points
        self._seconds = seconds
        step = keypoints - self._points
        follow = 1.0 / (1.0 + 1.0 / (2.0 * math.pi * self.speed_cutoff * elapsed))
        self._speeds *= 1.0 - follow
        self._speeds += step * (follow / elapsed)
        speed = np.hypot(self._speeds[:, 0], self._speeds[:, 1])
        whole_turn = 2.0 * math.pi * elapsed
        turns = speed * (self.beta * whole_turn / max(size, 1e-6))
        turns += self.min_cutoff * whole_turn
        rate = turns / (turns + 1.0)
        rate *= np.minimum(scores * (1.0 / self.confident), 1.0)
        self._points = self._points + step * rate[:, None]
        return self._points
