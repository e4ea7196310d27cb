"""Scores of a predictor on labelled pictures: PCK per joint and side, PCKh, and presence.

A predictor is a function from patches (B, H, W, 3) uint8 RGB, the persons' crops at the network's
input size, to key points (B, K, 2) in pixels of the patch and scores (B, K).
"""

import dataclasses
import json
import os

import numpy as np
from tqdm import tqdm

from keras_pose import geometry, metrics, presets
from keras_pose.data.augment import Augment
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.runtime import crop
from keras_pose.skeletons import Skeleton
from keras_pose.training.flip import flipping
from keras_pose.training.scales import frame, multiscale

BATCH = 32
_SMALLEST = 0.4  # of the crop, in the measure of presence
_CLOSE = (0.8, 1.0)  # zoom of the crops that choose the threshold


def of_network(network, output=None, scales=()):
    """The predictor of a PoseNetwork (.keras), compiled once for all its batches.

    output: an intermediate prediction to look at instead of the one that inference reads. scales:
    of the multi-scale test (training.scales), whose patches are those of its `frame`. Raises
    PoseError for an output that the codec cannot decode, as maps of another size, and for scales
    with a network that has no maps.
    """
    model = network.inference(output)
    shape = network.codec.head_shape(network.skeleton.count)
    if model.output.shape[1:] != shape:
        raise PoseError(
            f"an output of shape {shape}, which the codec decodes",
            f"{output!r} of shape {model.output.shape[1:]}",
            f"Look at {network.prediction!r}.",
        )

    def heads(patches):
        return np.asarray(model.predict_on_batch(patches.astype(np.float32)))

    def predict(patches):
        keypoints, scores = network.codec.decode(heads(patches))
        return geometry.denormalise(keypoints, network.input_size), scores

    return multiscale(heads, network.codec, scales) if scales else predict


def of_estimator(estimator):
    """The predictor of a runtime.PoseEstimator (.tflite), one patch at a time."""

    def predict(patches):
        results = [estimator.predict_patch(patch) for patch in patches]
        return np.stack([r[0] for r in results]), np.stack([r[1] for r in results])

    return predict


def open_model(path, output="", scales=()):
    """Opens a .keras or a .tflite: (predictor, skeleton, size of its patches, crop margin).

    path: a file, or the name of a preset, whose int8 file is meant. output: an intermediate
    prediction of a .keras to look at, a preset's included; scales: of the multi-scale test of a
    .keras. Raises PoseError for a name that the network does not have, and for either with a
    .tflite.
    """
    path = presets.resolve(path, presets.KERAS if output or scales else presets.INT8)
    if str(path).endswith(".tflite"):
        if output or scales:
            asked = f"output {output!r}" if output else f"scales {scales}"
            raise PoseError(
                "a .keras to score an intermediate prediction of, or at several scales",
                f"{path} with {asked}",
                "A .tflite answers with its key points alone; give the best.keras it was made "
                "from.",
            )
        from keras_pose.runtime import PoseEstimator

        estimator = PoseEstimator(path, threads=os.cpu_count() or 1)
        about = estimator.metadata
        return of_estimator(estimator), about.skeleton, about.input_size, about.crop_margin
    from keras_pose.models import network

    model = network.load(path)
    margin = model.notes.get("crop_margin", 1.25)
    size, margin = frame(model.input_size, margin, scales)
    return of_network(model, output, scales), model.skeleton, size, margin


def check_skeleton(model, data, path):
    """Refuses a model whose key points are not the data's."""
    if model.keypoints != data.keypoints:
        raise PoseError(
            f"a model of the data's {data.count} key points ({data.name})",
            f"{path} with {model.count} ({model.name})",
            "Use data with the skeleton that the model was trained on.",
        )


@dataclasses.dataclass
class Report:
    """Scores in percent. tables: {"pck@0.2": {"mean": .., "left": .., "<key point>": ..}, ..}.

    persons: how many were scored; left_out: those without the joints that give a reference
    length; presence: AUC in 0..1, NaN when not measured; threshold: the person score that best
    tells persons from background; flip: how the answers for mirror images were fused, "" where
    there were none; output: the intermediate prediction that was scored, "" for the last;
    only: names of the key points that counted, () for all.
    """

    tables: dict
    persons: int
    left_out: int
    presence: float = float("nan")
    threshold: float = float("nan")
    flip: str = ""
    output: str = ""
    only: tuple = ()

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
        about = {"flip": self.flip, "output": self.output, "only": list(self.only)}
        counts = {"persons": self.persons, "left_out": self.left_out}
        return json.dumps({**about, **counts, **self.summary(), "tables": tables}, indent=1)

    def table(self) -> str:
        """Text: what was scored, then one row per joint, one column per metric."""
        names = list(self.tables)
        lines = [f"output: {self.output or 'the last'}, flip test: {self.flip or 'none'}"]
        if self.only:
            lines[0] += f", {len(self.only)} of the key points"
        lines.append(f"{'':16}" + "".join(f"{n:>12}" for n in names))
        for row in self.tables[names[0]]:
            cells = "".join(f"{self.tables[n][row]:12.1f}" for n in names)
            lines.append(f"{row:16}{cells}")
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

    predicted, truth: (N, K, 2); visible: (N, K); skeleton: of the K key points; flip: as in Report.
    """

    predicted: np.ndarray
    truth: np.ndarray
    visible: np.ndarray
    skeleton: Skeleton
    flip: str = ""

    def score(self, only=()) -> Report:
        """PCK@0.2, @0.1 and PCKh@0.5 of the key points in `only`, of all where it is empty.

        Reference lengths are those of the whole person, whatever counts.
        """
        truth, visible, skeleton = self.truth, self.visible, self.skeleton
        reference = metrics.torso(truth, visible, skeleton)
        lengths = {"pck@0.2": reference, "pck@0.1": reference}
        heads = metrics.head(truth, visible, skeleton)
        if heads is not None:
            lengths["pckh@0.5"] = heads
        tables = {
            name: metrics.pck(
                self.predicted, truth, visible, length, float(name.split("@")[1]), skeleton, only
            )
            for name, length in lengths.items()
        }
        left_out = int(np.isnan(reference).sum())
        return Report(tables, len(truth), left_out, flip=self.flip, only=tuple(only))


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
             progress=False, only=()):  # fmt: skip
    """Runs a predictor over a reader's persons and scores it.

    reader: keras_pose.data reader; input_size: (H, W); limit: at most so many persons, evenly
    spread, 0 for all; flip: name of a fusion of the flip test (training.flip), "" for none;
    presence: also score crops with a person (down to 0.4 of the crop) against background crops of
    the same pictures; only: names of the key points that count, all where it is empty.
    Raises PoseError when nothing can be scored, and for an unknown fusion.
    """
    found = find(predict, reader, input_size, crop_margin, limit, flip, progress)
    report = found.score(only)
    if presence:
        if flip:
            predict = flipping(predict, reader.skeleton, flip)
        report.presence, report.threshold = measure_presence(
            predict, reader, input_size, crop_margin, limit
        )
    return report


def find(predict, reader, input_size, crop_margin=1.25, limit=0, flip="", progress=False):
    """Runs a predictor over a reader's persons: a Found, which can be scored in several ways.

    Arguments and errors are those of `evaluate`.
    """
    if flip:
        predict = flipping(predict, reader.skeleton, flip)
    chosen = Subset(reader, limit).samples
    predicted, truth, visible = [], [], []
    starts = range(0, len(chosen), BATCH)
    for start in tqdm(starts, "scoring", disable=not progress):
        patches, maps, kept = [], [], []
        for sample in chosen[start : start + BATCH]:
            box = geometry.crop_box(sample.box, input_size, crop_margin)
            try:
                image = reader.image(sample)
            except PoseError as error:
                reader.skips.add(sample.name, str(error))
                continue
            patch, matrix = crop.cut(image, box, input_size)
            patches.append(patch)
            maps.append(geometry.invert(matrix))
            kept.append(sample)
        if not kept:
            continue
        points, _ = predict(np.stack(patches))
        predicted += [geometry.apply(m, p) for m, p in zip(maps, points, strict=True)]
        truth += [s.keypoints for s in kept]
        visible += [s.visible for s in kept]
    if not truth:
        raise PoseError(
            "at least one readable person", reader.skips.summary(), "Check the data folder."
        )
    arrays = [np.stack(values) for values in (predicted, truth, visible)]
    return Found(*arrays, reader.skeleton, flip)


def measure_presence(predict, reader, input_size, crop_margin=1.25, limit=0, seed=0):
    """(AUC, best threshold) of the person score, see metrics.presence.

    The AUC is of crops with a person, who takes from 0.4 of the crop to what `crop_margin` leaves,
    against crops of the same pictures without anyone. The threshold is that of crops closely
    around the person, which is what a tracker decides on. Both are NaN where no picture has room
    for a crop without anyone. limit: at most so many persons, evenly spread, 0 for all.
    """
    reader = Subset(reader, limit)

    def scores(scale, shift, background):
        augment = Augment(
            scale, rotate=0.0, shift=shift, flip=0.0, color=0.0, background=background
        )
        return _person_scores(predict, reader, input_size, crop_margin, augment, seed)

    zoomed_out = (_SMALLEST * crop_margin, 1.0)
    present = scores(zoomed_out, 0.1, 0.0)
    absent = scores(zoomed_out, 0.1, 1.0)
    if not absent:
        return float("nan"), float("nan")
    close = scores(_CLOSE, 0.0, 0.0)
    return metrics.auc(present, absent), metrics.threshold(close, absent)


def _person_scores(predict, reader, input_size, crop_margin, augment, seed):
    """Scores of one crop per person, or of those without anyone where `augment` asks for them."""
    from keras_pose.data import sheet
    from keras_pose.data.batches import Loader

    loader = Loader(
        reader, input_size, _divisor(len(reader)), augment=augment, seed=seed, shuffle=False,
        crop_margin=crop_margin,
    )  # fmt: skip
    scores = []
    for step in range(loader.steps):
        x, y = loader.batch(0, step)
        # a picture without free background gives a person's crop instead
        wanted = y["person"] == (augment.background == 0)
        if wanted.any():
            scores += predict(sheet.inputs(x, input_size)[wanted])[1].mean(axis=1).tolist()
    return scores


def _divisor(count):
    """The largest batch size up to BATCH that leaves no person over."""
    return max(size for size in range(1, BATCH + 1) if count % size == 0)
