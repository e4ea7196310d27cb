"""The whole export, as convert/export.py runs it: load, calibrate, convert, inspect, check."""

import dataclasses
import itertools
import json
import os
from pathlib import Path

from keras_pose import metadata, presets
from keras_pose.data import open_reader
from keras_pose.errors import PoseError
from keras_pose.export import calibrate as calibration
from keras_pose.export import check as checking
from keras_pose.export import formats, report
from keras_pose.export.tflite import to_tflite
from keras_pose.models import network as networks
from keras_pose.training.evaluate import check_skeleton

_AGREE = 32  # pictures on which key points are compared one by one


@dataclasses.dataclass
class Exported:
    """What came of an export. `values` is what the .json beside the file holds."""

    path: Path
    contents: report.Contents
    agreement: dict | None
    check: checking.Check | None
    values: dict

    @property
    def passed(self) -> bool:
        """False when the check found a larger drop than allowed."""
        return self.check is None or self.check.passed

    def text(self) -> str:
        lines = [f"{self.path}: {self.contents.text()}"]
        if self.agreement:
            lines.append(
                "key points against Keras: {median:.3f} px apart in the median, {p95:.3f} at 95 %, "
                "{max:.3f} at most ({pictures} pictures)".format(**self.agreement)
            )
        if self.check:
            lines.append(self.check.text())
        return "\n".join(lines)


def export(
    model,
    out=None,
    precision="fp32",
    io="float",
    output="decoded",
    calibrate=None,
    count=200,
    check=None,
    max_drop=1.0,
    limit=0,
    progress=False,
) -> Exported:
    """Writes a `.tflite` and, beside it, a .json with what it contains and how it scored.

    model: a .keras file, a preset's name or a PoseNetwork. out: the file to write; by default the
    model's name with the format's suffix, but never among the presets. calibrate, check: data
    folders (see keras_pose.data.open_reader); the former's training split gives `count` patches,
    the latter's validation split the scores, of `limit` persons, 0 for all. max_drop: points of
    PCK@0.2 that may be lost against float32; more makes `passed` False, with the file left in
    place.
    Raises PoseError before anything is written when something given cannot be used.
    """
    chosen = formats.get(precision)
    if chosen.calibrated and calibrate is None:
        raise PoseError(f"pictures to calibrate {precision}", "none", calibration.ADVICE)
    network = model
    if not isinstance(model, networks.PoseNetwork):
        network = networks.load(model)
    if out is None and network is model:
        raise PoseError("a file to write", "none", "Give out=, since the network has no file.")
    path = Path(out) if out else Path(model).with_name(Path(model).stem + chosen.suffix)
    if path.suffix != ".tflite":
        raise PoseError("a file name that ends in .tflite", str(path), "Change --out.")
    if not out and path.resolve().is_relative_to(presets.folder().resolve()):
        raise PoseError(
            "a file to write that is not of a preset",
            f"none, which would be {path}",
            "Give --out, so that the preset stays what its card says.",
        )
    margin = network.notes.get("crop_margin", 1.25)

    def open_for(data, split):
        reader = open_reader(data, split)
        check_skeleton(network.skeleton, reader.skeleton, model if network is not model else path)
        return reader

    def crops(reader, count):
        return calibration.patches(
            reader, network.input_size, count, crop_margin=margin, poses=bool(network.extra_inputs)
        )

    pictures, judge = [], open_for(check, "val") if check else None
    if chosen.calibrated:
        pictures = list(crops(open_for(calibrate, "train"), count))
    written = to_tflite(network, precision, io, output, pictures)
    _write(path, written)

    if judge:
        pictures = crops(judge, _AGREE)
    pictures = list(itertools.islice(pictures, _AGREE))
    agreement = checking.agreement(network, path, pictures) if pictures else None
    found = None
    if judge:
        found = checking.check(network, path, precision, judge, margin, max_drop, limit, progress)
        _write(path, _with_scores(written, path, found, str(check)))
    contents = report.contents(written, precision)
    values = {
        "file": path.name,
        **{"precision": precision, "io": io, "output": output},
        **dataclasses.asdict(contents),
        "verdicts": contents.verdicts(),
        "agreement_px": agreement,
    }
    if found:
        values |= {
            "scores": found.summary,
            "pck@0.2_fp32": round(found.reference, 4),
            "drop": found.drop,
            "max_drop": max_drop,
            "passed": found.passed,
        }
    _write(path.with_suffix(".json"), (json.dumps(values, indent=1) + "\n").encode())
    return Exported(path, contents, agreement, found, values)


def _with_scores(written, path, found, data):
    """The file with its own scores and its own threshold for a person's presence inside."""
    about = metadata.read(path)
    about.metrics = {**found.summary, "pck@0.2_fp32": round(found.reference, 4), "data": data}
    if found.summary["threshold"] is not None:
        about.threshold = found.summary["threshold"]
    return metadata.attach(written, about)


def _write(path, content):
    """Writes a file in one go, so that a failure leaves what was there."""
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise PoseError(
            "a place to write the export to", f"{path} ({error.strerror})", "Choose another --out."
        ) from error
