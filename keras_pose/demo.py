"""The whole line in one run: train, score, export, check, draw. What `make demo` does."""

import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np

from keras_pose import presets
from keras_pose.data.open import open_reader
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.export.job import export
from keras_pose.models import network
from keras_pose.runtime import PoseEstimator, benchmark, contact_sheet, draw, find_person
from keras_pose.training import evaluate, recipe, run

PICTURES = 12
CLOSING = "repose_lite_m_lsp14"  # the preset of the closing picture, trained on photographs
_TITLE = "# keras_pose demo"
_HELD_OUT = 2_000_000  # series of figures that neither training nor validation draws from


def empty(out):
    """Makes the folder of a demo, emptying that of an earlier one, finished or not.

    Raises PoseError when `out` holds anything else.
    """
    out, report = Path(out), Path(out) / "report.md"
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not report.is_file() or not report.read_text().startswith(_TITLE):
            raise PoseError(
                "an earlier demo's folder or a new one", str(out), "Choose another --out."
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    report.write_text(f"{_TITLE}\n\nIt did not come to its end.\n")


def demo(data, out, name="repose_lite_figures", overrides=(), max_drop=1.0):
    """Trains a recipe on `data` and leaves in `out`: the networks, both .tflite files, the
    learning curve, overlays.png, closing.png (a preset's poses on the same pictures) and report.md.

    data: anything data.open_reader takes; out: see `empty`. Returns (path of the report, whether
    int8 lost at most `max_drop` points of PCK@0.2 against float32 on the validation persons).
    """
    chosen, out = recipe.load(name, overrides), Path(out)
    empty(out)
    began = time.monotonic()
    print(f"1/5 training {name} on {data}: {chosen.epochs} epochs")
    best = run.train(chosen, data, out)
    minutes = (time.monotonic() - began) / 60

    print("2/5 scoring it with Keras")
    model = network.load(best)
    validation = open_reader(data, "val")
    report = evaluate.evaluate(
        evaluate.of_network(model), validation, model.input_size, chosen.crop_margin
    )
    print(report.table())

    print("3/5 exporting fp32 and int8, and scoring both through LiteRT")
    files = {
        precision: export(
            best, out / f"demo_{precision}.tflite", precision, calibrate=data, check=data,
            max_drop=max_drop,
        )
        for precision in ("fp32", "int8")
    }  # fmt: skip
    for exported in files.values():
        print(exported.text())
    paths = [exported.path for exported in files.values()]
    timings = benchmark.compare(paths)

    print("4/5 running the int8 file on pictures that it has not seen")
    unseen = _unseen(data)
    _write(out / "overlays.png", overlays(files["int8"].path, unseen))
    closing = _closing(out, unseen)

    print("5/5 writing the report")
    rows = [("Keras float32", report.summary(), best.stat().st_size, None)]
    rows += [
        (f"LiteRT {precision}", exported.check.summary, exported.path.stat().st_size, timing)
        for (precision, exported), timing in zip(files.items(), timings, strict=True)
    ]
    passed = all(exported.passed for exported in files.values())
    text = _report(data, chosen, model, minutes, rows, files["int8"].check, passed, closing)
    (out / "report.md").write_text(text)
    summaries = {label: summary for label, summary, _, _ in rows}
    (out / "report.json").write_text(json.dumps(summaries, indent=1) + "\n")
    return out / "report.md", passed


def _unseen(data):
    """Pictures for the overlays: a series of figures of their own, or the validation pictures."""
    if str(data).partition(":")[0] == "figures":
        from keras_pose.data.figure_reader import FigureReader

        return FigureReader(PICTURES, _HELD_OUT)
    return Subset(open_reader(data, "val"), PICTURES)


def overlays(path, reader, columns=4):
    """A contact sheet of a .tflite's, or a preset's, poses on pictures. Returns RGB uint8.

    Nothing is told about where the person is: the runtime finds out as it does for any picture.
    """
    estimator = PoseEstimator(path)
    tiles = []
    for sample in reader.samples:
        try:
            image = np.ascontiguousarray(reader.image(sample))
        except PoseError as error:
            reader.skips.add(sample.name, str(error))
            continue
        pose = find_person(estimator, image)
        if pose is not None:
            # the person is there: show weak joints too
            threshold = estimator.metadata.threshold / 2
            image = draw(image, pose, estimator.skeleton, threshold, thickness=2)
        tiles.append(image)
    return contact_sheet(tiles, columns)


def _closing(out, reader):
    """Writes closing.png, a preset's poses on a reader's pictures. Returns the report's lines.

    It only draws: the preset's key points need not be those of the pictures' own truth.
    """
    try:
        sheet = overlays(presets.find(CLOSING), reader)
    except PoseError as error:  # the preset or its file is missing: no reason to lose the rest
        return [f"No closing picture. {error}", ""]
    _write(out / "closing.png", sheet)
    told = presets.description(CLOSING)
    return [
        f"The same pictures by a network that this demo has not trained, the preset `{CLOSING}`"
        + (f" ({told})" if told else "")
        + ". It learned from photographs of people at parkour, gymnastics and athletics: "
        "drawn figures were not among them.",
        "",
        f"![poses of the preset {CLOSING} on the same pictures](closing.png)",
        "",
    ]


def _write(path, sheet):
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _report(data, chosen, model, minutes, rows, check, passed, closing):
    lines = [
        _TITLE,
        "",
        f"`{chosen.name}` on `{data}`: {model.count_params():,} parameters, "
        f"{model.notes['steps']} steps of {chosen.batch_size} in {minutes:.1f} minutes "
        f"({model.notes['backend']}).",
        "",
        "| | PCK@0.2 | PCK@0.1 | PCKh@0.5 | presence AUC | size, KiB | latency, ms, one thread |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for label, summary, size, timing in rows:
        names = ("pck@0.2", "pck@0.1", "pckh@0.5", "presence_auc")
        values = [summary.get(name) for name in names]
        cells = ["" if v is None else f"{v:.3f}" if v < 1 else f"{v:.1f}" for v in values]
        latency = "" if timing is None else f"{timing.median:.2f}"
        lines.append(f"| {label} | {' | '.join(cells)} | {size // 1024} | {latency} |")
    lines += [
        "",
        check.text() + ("." if passed else ": **failed**."),
        "",
        "![poses of the int8 file on pictures that it has not seen](overlays.png)",
        "",
        *closing,
        "![learning curve](curve.png)",
        "",
    ]
    return "\n".join(lines)
