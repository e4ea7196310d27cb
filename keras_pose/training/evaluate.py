"""Scores of a predictor on labelled pictures: PCK per joint and side, PCKh, and presence.

What a predictor is: keras_pose.training.looking. OKS of COCO data: keras_pose.training.coco.
"""

import dataclasses
import json
import os

import numpy as np

from keras_pose import geometry, metrics, presets
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.metadata import GROWN
from keras_pose.skeletons import Skeleton
from keras_pose.training import refining
from keras_pose.training.flip import flipping
from keras_pose.training.looking import Looked, Refining, look
from keras_pose.training.presence import measure_presence
from keras_pose.training.scales import frame, multiscale


def of_network(network, output=None, scales=(), decoder=""):
    """The predictor of a PoseNetwork (.keras), compiled once for all its batches.

    output: an intermediate prediction to look at instead of the one that inference reads; what it
    has behind the key points' maps, as CPM's stages the background's, is left out. scales: of the
    multi-scale test (training.scales), whose patches are those of its `frame`. decoder: how
    to read the maps (codecs.decoding), "" for the network's own way. A network that refines poses
    gives a looking.Refining. Raises PoseError for an output that the codec cannot decode, as maps
    of another size, for scales or a decoder with a network that has no maps, and for scales with
    one that refines poses.
    """
    codec = network.codec_of(output)
    codec = codec.with_decoder(decoder) if decoder else codec
    model = network.inference(output)
    shape, given = codec.head_shape(network.skeleton.count), model.output.shape[1:]
    if given[:-1] != shape[:-1] or given[-1] < shape[-1]:
        raise PoseError(
            f"an output of shape {shape}, which the codec decodes",
            f"{output!r} of shape {given}",
            f"Look at {network.prediction!r}.",
        )

    refines = bool(network.extra_inputs)
    if refines and scales:
        raise PoseError(
            "a network of a picture alone for the multi-scale test",
            f"a {network.builder}, which refines poses",
            "Leave the scales out.",
        )

    def heads(patches, *poses):
        image = patches.astype(np.float32)
        fed = {"image": image, "pose": poses[0]} if poses else image
        return np.asarray(model.predict_on_batch(fed))[..., : shape[-1]]

    def predict(patches, *poses):
        keypoints, scores = codec.decode(heads(patches, *poses))
        return geometry.denormalise(keypoints, network.input_size), scores

    if refines:
        return Refining(predict, network.notes.get("grown", GROWN))
    return multiscale(heads, codec, scales) if scales else predict


def of_estimator(estimator):
    """The predictor of a runtime.PoseEstimator or PoseRefiner (.tflite), one patch at a time."""

    def predict(*given):
        results = [estimator.predict_patch(*one) for one in zip(*given, strict=True)]
        return np.stack([r[0] for r in results]), np.stack([r[1] for r in results])

    refines = "pose" in estimator.reads
    return Refining(predict, estimator.metadata.grown) if refines else predict


def open_model(path, output="", scales=(), decoder=""):
    """Opens a .keras or a .tflite: (predictor, skeleton, size of its patches, crop margin).

    path: a file, or the name of a preset, whose int8 file is meant. output: an intermediate
    prediction of a .keras to look at, a preset's included; scales: of the multi-scale test of a
    .keras; decoder: another way to read its maps. Raises PoseError for names that the network does
    not have, and for any of the three with a .tflite.
    """
    asked = {"output": output, "scales": scales, "decoder": decoder}
    asked = ", ".join(f"{name} {value!r}" for name, value in asked.items() if value)
    path = presets.resolve(path, presets.KERAS if asked else presets.INT8)
    if str(path).endswith(".tflite"):
        if asked:
            raise PoseError(
                "a .keras to look at an intermediate prediction, several scales or with a decoder",
                f"{path} with {asked}",
                "A .tflite answers with its key points alone; give the best.keras it was made "
                "from.",
            )
        from keras_pose.runtime.refiner import opened

        estimator = opened(path, threads=os.cpu_count() or 1)
        about = estimator.metadata
        return of_estimator(estimator), about.skeleton, about.input_size, about.crop_margin
    from keras_pose.models import network

    model = network.load(path)
    margin = model.notes.get("crop_margin", 1.25)
    size, margin = frame(model.input_size, margin, scales)
    return of_network(model, output, scales, decoder), model.skeleton, size, margin


def check_skeleton(model, data, path):
    """Refuses a model whose key points are not the data's."""
    if model.keypoints != data.keypoints:
        raise PoseError(
            f"a model of the data's {data.count} key points ({data.name})",
            f"{path} with {model.count} ({model.name})",
            "Use data with the skeleton that the model was trained on.",
        )


@dataclasses.dataclass
class Report(Looked):
    """Scores in percent, and how they came about (Looked).

    tables: {"pck@0.2": {"mean": .., "left": .., "<key point>": ..}, ..}; persons: how many were
    scored; left_out: those without the joints that give a reference length; presence: AUC in 0..1,
    NaN when not measured; threshold: the person score that best tells persons from background;
    rows: MPII's usual table of pckh@0.5, of data with head boxes; headless: persons among them
    without one, who do not count there.
    """

    tables: dict
    persons: int
    left_out: int
    presence: float = float("nan")
    threshold: float = float("nan")
    rows: dict = dataclasses.field(default_factory=dict)
    headless: int = 0

    def mean(self, name="pck@0.2") -> float:
        return self.tables[name]["mean"]

    def summary(self) -> dict:
        """The headline figures as plain numbers, None for what was not measured."""
        values = {name: table["mean"] for name, table in self.tables.items()}
        values |= {"presence_auc": self.presence, "threshold": self.threshold}
        return {k: None if np.isnan(v) else round(v, 4) for k, v in values.items()}

    def to_json(self) -> str:
        tables = {
            name: {k: None if np.isnan(v) else round(v, 2) for k, v in table.items()}
            for name, table in self.tables.items()
        }
        counts = {"persons": self.persons, "left_out": self.left_out}
        if self.rows:
            counts["headless"] = self.headless
            tables["pckh@0.5, MPII's rows"] = {
                k: None if np.isnan(v) else round(v, 2) for k, v in self.rows.items()
            }
        return json.dumps({**self.about(), **counts, **self.summary(), "tables": tables}, indent=1)

    def table(self) -> str:
        """Text: what was scored, then one row per joint, one column per metric."""
        names = list(self.tables)
        lines = [self.line()]
        width = max(12, *(len(name) + 2 for name in names))
        lines.append(f"{'':16}" + "".join(f"{n:>{width}}" for n in names))
        for row in self.tables[names[0]]:
            cells = "".join(f"{self.tables[n].get(row, np.nan):{width}.1f}" for n in names)
            lines.append(f"{row:16}{cells}")
        if self.rows:
            lines.append("pckh@0.5: " + ", ".join(f"{k} {v:.1f}" for k, v in self.rows.items()))
            if self.headless:
                lines.append(f"{self.headless} persons without a head box are not in pckh@0.5")
        lines.append(f"{self.persons} persons, {self.left_out} left out (no reference length)")
        if not np.isnan(self.presence):
            lines.append(
                f"presence AUC {self.presence:.3f}, best threshold of the person score "
                f"{self.threshold:.2f}"
            )
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Found:
    """What a predictor said of N persons beside the truth, in pixels of their pictures.

    predicted, truth: (N, K, 2); visible: (N, K); skeleton: of the K key points; flip: as in Report;
    samples: the N persons as the reader has them, () where they are not known. given: the poses
    that were refined, None where the pictures alone were looked at.
    """

    predicted: np.ndarray
    truth: np.ndarray
    visible: np.ndarray
    skeleton: Skeleton
    flip: str = ""
    samples: tuple = ()
    given: refining.Given | None = None

    def score(self, only=()) -> Report:
        """PCK@0.2, @0.1 and PCKh@0.5 of the key points in `only`, of all where it is empty.

        Reference lengths are those of the whole person, whatever counts. Where the data have head
        lengths, PCKh is MPII's: without pelvis and thorax, and without persons that have none.
        Of refined poses there is each score of the input too, as "input pck@0.2".
        """
        truth, visible, skeleton = self.truth, self.visible, self.skeleton
        reference = metrics.torso(truth, visible, skeleton)
        lengths = {"pck@0.2": reference, "pck@0.1": reference}
        heads = np.array([sample.head for sample in self.samples])
        boxed = np.isfinite(heads).any()
        if not boxed:
            heads = metrics.head(truth, visible, skeleton)
        if heads is not None:
            lengths["pckh@0.5"] = heads
        tables, before = {}, {}
        for name, length in lengths.items():
            names = metrics.mpii_names(skeleton, only) if boxed and name == "pckh@0.5" else only
            share = float(name.split("@")[1])
            about = truth, visible, length, share, skeleton, names
            tables[name] = metrics.pck(self.predicted, *about)
            if self.given:
                before[f"input {name}"] = metrics.pck(self.given.of(self.samples), *about)
        tables |= before
        report = Report(tables, len(truth), int(np.isnan(reference).sum()), flip=self.flip)
        report.only = tuple(only)
        if self.given:
            report.refined, report.unposed = self.given.name, self.given.unposed
        if boxed:
            report.rows = metrics.mpii_rows(tables["pckh@0.5"])
            report.headless = int(np.isnan(heads).sum())
        return report


def shared(own, other):
    """Names of the key points of one skeleton that another has too.

    own, other: Skeleton. Raises PoseError when there are none.
    """
    names = tuple(name for name in own.keypoints if name in other.keypoints)
    if not names:
        raise PoseError(
            f"key points that {own.name} shares by name with {other.name}",
            "none",
            "Compare with another skeleton.",
        )
    return names


def evaluate(predict, reader, input_size, crop_margin=1.25, limit=0, flip="", presence=False,
             progress=False, only=(), poses=None):  # fmt: skip
    """Runs a predictor over a reader's persons and scores it.

    reader: keras_pose.data reader; input_size: (H, W); limit: at most so many persons, evenly
    spread, 0 for all; flip: name of a fusion of the flip test (training.flip), "" for none;
    presence: also score crops with a person (down to 0.4 of the crop) against background crops of
    the same pictures; only: names of the key points that count, all where it is empty. poses: what
    a looking.Refining refines, see `find`.
    Raises PoseError when nothing can be scored, and for an unknown fusion.
    """
    found = find(predict, reader, input_size, crop_margin, limit, flip, progress, poses)
    report = found.score(only)
    if presence:
        if flip:
            predict = flipping(predict, reader.skeleton, flip)
        report.presence, report.threshold = measure_presence(
            predict, reader, input_size, crop_margin, limit
        )
    return report


def find(predict, reader, input_size, crop_margin=1.25, limit=0, flip="", progress=False,
         poses=None):  # fmt: skip
    """Runs a predictor over a reader's persons: a Found, which can be scored in several ways.

    poses: for a looking.Refining alone, what it refines: (N, K, 3) of all of the reader's persons,
    see refining.answers; by default errors are drawn, the same at every call. Other arguments and
    errors are those of `evaluate`.
    """
    if flip:
        predict = flipping(predict, reader.skeleton, flip)
    some = Subset(reader, limit)
    chosen, given = some.samples, None
    refining.refuse(predict, poses)
    if isinstance(predict, Refining):
        if poses is None:
            given = refining.drawn(chosen, reader.skeleton, input_size, crop_margin)
        else:
            poses = refining.every(poses, reader)[some.places]
            given = refining.answers(poses, chosen, grown=predict.grown)
    places, shown = (given.places, given.poses) if given else (chosen, None)
    person = dict(zip(map(id, places), chosen, strict=True))
    looked, predicted = [], []
    for place, points, _ in look(predict, reader, places, input_size, crop_margin, progress, shown):
        looked.append(person[id(place)])
        predicted.append(points)
    if not looked:
        raise PoseError(
            "at least one readable person", reader.skips.summary(), "Check the data folder."
        )
    truth = np.stack([s.keypoints for s in looked])
    visible = np.stack([s.visible for s in looked])
    return Found(np.stack(predicted), truth, visible, reader.skeleton, flip, tuple(looked), given)
