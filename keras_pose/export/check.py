"""Does an exported file still find the key points that the network found?"""

import dataclasses
import os
import tempfile

import numpy as np

from keras_pose.errors import PoseError
from keras_pose.export.calibrate import checked
from keras_pose.export.convert import in_float32
from keras_pose.export.tflite import to_tflite
from keras_pose.runtime.refiner import opened
from keras_pose.training.evaluate import evaluate, of_estimator, of_network


def agreement(network, path, pictures) -> dict:
    """How far a file's key points are from Keras', in pixels of the network's input.

    pictures: uint8 patches (H, W, 3), or pairs of one and a pose, see calibrate.patches. Returns
    {"median", "p95", "max", "pictures"}.
    """
    fed = checked(pictures, network)
    given = [np.stack([one[name] for one in fed]) for name in fed[0]]
    expected, _ = of_network(in_float32(network))(*given)
    found, _ = of_estimator(opened(path))(*given)
    apart = np.linalg.norm(found - expected, axis=-1)
    return {
        "median": round(float(np.median(apart)), 4),
        "p95": round(float(np.quantile(apart, 0.95)), 4),
        "max": round(float(apart.max()), 4),
        "pictures": len(fed),
    }


@dataclasses.dataclass
class Check:
    """PCK of a file and of its float32 twin on the same persons, both through LiteRT.

    summary: the file's scores (training.evaluate.Report.summary). reference: the twin's PCK@0.2.
    """

    summary: dict
    reference: float
    max_drop: float

    @property
    def pck(self) -> float:
        return self.summary["pck@0.2"]

    @property
    def drop(self) -> float:
        """Points of PCK@0.2 lost against float32; below 0 where the file is better."""
        return round(self.reference - self.pck, 4)

    @property
    def passed(self) -> bool:
        return self.drop <= self.max_drop

    def text(self) -> str:
        verdict = "within" if self.passed else "MORE THAN"
        return (
            f"PCK@0.2 {self.pck:.1f}, float32 {self.reference:.1f}: "
            f"a loss of {self.drop:.2f}, {verdict} the {self.max_drop:g} allowed"
        )


def check(network, path, precision, reader, crop_margin, max_drop=1.0, limit=0, progress=False):
    """Scores a written file against the network's float32 `.tflite` on a reader's persons.

    limit: at most so many persons, evenly spread, 0 for all. Returns a Check.
    """

    def score(path, presence):
        predict = of_estimator(opened(path, threads=os.cpu_count() or 1))
        return evaluate(
            predict, reader, network.input_size, crop_margin, limit,
            presence=presence, progress=progress,
        )  # fmt: skip

    report = score(path, True)
    reference = report.mean("pck@0.2")
    if np.isnan(reference):
        raise PoseError(
            "persons with a reference length (torso, or two annotated points)",
            f"{report.persons} persons with none",
            "Check on other data.",
        )
    if precision != "fp32":
        with tempfile.TemporaryDirectory() as folder:
            twin = os.path.join(folder, "fp32.tflite")
            with open(twin, "wb") as file:
                file.write(to_tflite(network))
            reference = score(twin, False).mean("pck@0.2")
    return Check(report.summary(), float(reference), max_drop)
