"""Scores a finished run, float and int8, and adds it to the table of trainings.

python benchmarks/record.py runs/NAME --data DIR --device "two CPU cores, TensorFlow" [--zoo NAME]

--zoo also copies the network and its fp32 and int8 files to zoo/NAME, with a model card; what is
larger than 4 MiB stays in the run.
"""

import argparse
import csv
import datetime
import json
import os
import shutil
from pathlib import Path

import table

from keras_pose.data.open import open_reader
from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training.csv"
_CARD = """\
# A model card. Every number was written by the command below.
name: {name}
description: >-
  {network}, {skeleton} skeleton, input {input}, trained from {start} on {data}
  with recipe {recipe}.
licence: Apache-2.0 (code and weights)
limits: >-
  One person per crop. {limits}
{numbers}"""
_LARGEST = 4 << 20  # bytes of a file that belongs into a repository
_LIMITS = {
    "figures": "Trained on rendered figures alone: expect little on photographs.",
    "lspet": "Trained on 8,989 sports photographs, which are for research use and are not part of "
    "the project; a first result of {minutes} minutes, not a finished product.",
}


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--data", required=True, help="its validation split is scored")
    parser.add_argument("--device", required=True, help='such as "two CPU cores, TensorFlow"')
    parser.add_argument("--zoo", metavar="NAME", help="also publish it to zoo/NAME")
    given = parser.parse_args()
    with quiet():
        from keras_pose.export.job import export
        from keras_pose.models import network
        from keras_pose.training import evaluate

    run = Path(given.run)
    model = network.load(run / "best.keras")
    reader = open_reader(given.data, "val")
    evaluate.check_skeleton(model.skeleton, reader.skeleton, run)

    def score(predict, **how):
        margin = model.notes["crop_margin"]
        return evaluate.evaluate(predict, reader, model.input_size, margin, **how)

    predict = evaluate.of_network(model)
    plain = score(predict, presence=True)
    means = _means(plain) | _means(score(predict, flip="agreeing"), "_flip")
    if model.codec.head == "coordinates":
        means |= _means(score(predict, flip="weighted"), "_flip_weighted")
    if "coarse" in model.output:  # what the decoder behind it is worth
        means |= _means(score(evaluate.of_network(model, "coarse")), "_coarse")
    files = {
        precision: export(
            run / "best.keras", run / f"best_{precision}.tflite", precision,
            calibrate=given.data, check=given.data,
        )
        for precision in ("fp32", "int8")
    }  # fmt: skip
    int8 = files["int8"]
    log = csv.DictReader((run / "log.csv").read_text().splitlines())
    seconds = next(float(x["seconds"]) for x in log if int(x["step"]) == model.notes["steps"])
    row = {
        "date": datetime.date.today().isoformat(),
        "recipe": model.notes["recipe"],
        "network": f"{model.builder} {model.arguments.get('size', '')}".strip(),
        "parameters": model.count_params(),
        "steps": model.notes["steps"],
        "batch_size": model.notes["batch_size"],
        "minutes": round(seconds / 60, 1),  # of fitting up to the best epoch, without validation
        "device": given.device,
        "commit": model.notes["commit"],
        "data": "/".join(Path(given.data).parts[-1:]),
        "start": model.notes.get("start", "random weights"),
        **means,
        "presence_auc": round(plain.presence, 4),
        "int8_pck@0.2": round(int8.check.pck, 2),
        "int8_drop": int8.check.drop,
        "int8_presence_auc": int8.check.summary["presence_auc"],
        "int8_kib": int8.path.stat().st_size // 1024,
        "command": table.command(__file__),
    }
    _append(row)
    print(row)
    if given.zoo:
        _publish(HERE.parent / "zoo" / given.zoo, run, model, files, row)


def _append(row):
    """Adds a row to RESULTS; columns that only some rows have are empty in the others."""
    rows = list(csv.DictReader(RESULTS.read_text().splitlines())) if RESULTS.exists() else []
    rows.append(row)
    part = RESULTS.with_suffix(".part")
    with open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(k for r in rows for k in r)), restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, RESULTS)


def _publish(folder, run, model, files, row):
    folder.mkdir(parents=True, exist_ok=True)
    published = {f"{folder.name}.keras": run / "best.keras"}
    published |= {f"{folder.name}_{p}.tflite": made.path for p, made in files.items()}
    for name, path in published.items():
        if path.stat().st_size <= _LARGEST:
            shutil.copy(path, folder / name)
    card = _CARD.format(
        name=folder.name,
        skeleton=model.skeleton.name,
        input="x".join(map(str, model.input_size)),
        limits=next((v for k, v in _LIMITS.items() if row["data"].startswith(k)), "").format(**row),
        numbers="".join(f"{k}: {json.dumps(v)}\n" for k, v in row.items()),
        **{k: row[k] for k in ("network", "data", "recipe", "start")},
    )
    (folder / "card.yaml").write_text(card)


def _means(report, suffix=""):
    return {f"{name}{suffix}": round(report.mean(name), 2) for name in report.tables}


if __name__ == "__main__":
    main()
