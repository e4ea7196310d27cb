"""Diagnoses side by side: the means as text, everything as CSV, and stacked bars as a picture.

Functions here take lists of training.diagnosis.Diagnosis, of one model or results file each; of
several the first is what the others are compared with, as before and after a refinement.
"""

import contextlib
import csv

import numpy as np

from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import CLASSES

# one for each class: green and yellow for what is nearly right, apart for colour-blind eyes too
_COLORS = ("#2a9d6f", "#f2cf5b", "#7b5ea7", "#3f7fbf", "#c44536")


def compared(diagnoses) -> str:
    """Text: the mean frequencies of several, and what changed since the first, in points."""
    width = max(len(d.name) for d in diagnoses) + 2
    means = [np.array(list(d.frequencies()["mean"].values())) for d in diagnoses]
    lines = [f"{'mean':{width}}" + "".join(f"{c:>18}" for c in CLASSES)]
    for one, mean in zip(diagnoses, means, strict=True):
        cells = (f"{v:9.1f} ({v - f:+6.1f})" for v, f in zip(mean, means[0], strict=True))
        lines.append(f"{one.name:{width}}" + "".join(cells))
    return "\n".join(lines)


def write_csv(path, diagnoses):
    """One row per diagnosis and key point: name, key point, annotated, percent of each class.

    Raises PoseError for a file that cannot be written.
    """
    rows = []
    for one in diagnoses:
        counts = one.annotated()
        for keypoint, shares in one.frequencies().items():
            start = {"name": one.name, "keypoint": keypoint, "annotated": counts[keypoint]}
            told = {c: "" if np.isnan(v) else round(v, 3) for c, v in shares.items()}
            rows.append(start | told)
    with _writing(path), open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(path, diagnoses):
    """Draws stacked bars, one per key point and diagnosis, and the mean, into a picture file.

    Several diagnoses, as before and after a refinement (PoseFix figure 8), stand together at each
    key point, the first on top. Raises PoseError for different skeletons, and for a file that
    cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    same_skeleton(diagnoses)
    tables = [d.frequencies() for d in diagnoses]
    names, several = list(tables[0]), len(diagnoses) > 1
    height = 0.8 / len(diagnoses)
    figure = Figure(
        figsize=(8, 1.6 + len(names) * max(0.3, 0.17 * len(diagnoses))), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="% of annotated key points", xlim=(0, 100))
    for n, table in enumerate(tables):
        rows = np.arange(len(names)) + (n - (len(tables) - 1) / 2) * height
        left = np.zeros(len(names))
        for kind, color in zip(CLASSES, _COLORS, strict=True):
            width = np.array([table[name][kind] for name in names])
            axes.barh(rows, width, height * 0.9, left, color=color, label=None if n else kind)
            left += width
        if several:
            for row in rows[np.isfinite(left)]:
                axes.text(100.8, row, _letter(n), fontsize=6, va="center")
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the mean on top
    axes.axhline(0.5, color="black", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    titles = [f"{_letter(n)}: {d.name}" if several else d.name for n, d in enumerate(diagnoses)]
    figure.suptitle("\n".join(titles), fontsize=10, x=0.01, ha="left")
    figure.legend(loc="outside lower center", ncols=len(CLASSES), frameon=False)
    with _writing(path):
        figure.savefig(path, dpi=130)


def same_skeleton(diagnoses):
    """Raises PoseError when not all of the diagnoses are of the same key points."""
    first = diagnoses[0]
    for one in diagnoses[1:]:
        if one.skeleton.keypoints != first.skeleton.keypoints:
            raise PoseError(
                f"{one.name} with the key points of {first.name} ({first.skeleton.name})",
                one.skeleton.name,
                "Compare results of the same skeleton.",
            )


def _letter(number):
    return chr(ord("A") + number)


@contextlib.contextmanager
def _writing(path):
    """Turns what goes wrong while a file is written into a PoseError that names it."""
    try:
        yield
    except (OSError, ValueError) as error:  # of matplotlib: a suffix that is no picture's
        received = f"{path} ({getattr(error, 'strerror', None) or error})"
        raise PoseError("a file that can be written", received, "Choose another path.") from error
