"""Does the score of a crop tell whether there is a person in it?"""

import numpy as np


def auc(present, absent):
    """Area under the ROC curve: the chance that a person's crop outscores one without, ties half.

    present, absent: scores of crops with and without a person, (N,) and (M,).
    Returns a float in 0..1, NaN when either is empty.
    """
    present, absent = np.asarray(present, np.float64), np.sort(np.asarray(absent, np.float64))
    if len(present) == 0 or len(absent) == 0:
        return float("nan")
    below = np.searchsorted(absent, present, side="left")
    not_above = np.searchsorted(absent, present, side="right")
    return float((below + not_above).mean() / (2 * len(absent)))


def threshold(present, absent, slack=0.02):
    """The score that best separates the two: it maximises true minus false positive rate.

    Of the scores that are as good, within `slack`, the highest: a tracker looks at several places
    of every frame, so a false alarm costs it more than a person seen a moment later.
    """
    present, absent = np.sort(present), np.sort(absent)
    candidates = np.unique(np.concatenate([present, absent]))
    true = 1 - np.searchsorted(present, candidates, side="left") / len(present)
    false = 1 - np.searchsorted(absent, candidates, side="left") / len(absent)
    gain = true - false
    best = int(np.flatnonzero(gain >= gain.max() - slack - 1e-12).max())
    # any score between this candidate and the one below does the same: stay clear of both
    return float(candidates[max(best - 1, 0) : best + 1].mean())
