"""Scores a finished run, float and int8, and adds it to the table of trainings.

python benchmarks/record.py runs/NAME --data DIR --device "two CPU cores, TensorFlow"
"""

import argparse
import csv
import datetime
import shlex
import sys
from pathlib import Path

from keras_pose.data.open import open_reader
from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet

RESULTS = Path(__file__).parent / "results" / "training.csv"


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--data", required=True, help="its validation split is scored")
    parser.add_argument("--device", required=True, help='such as "two CPU cores, TensorFlow"')
    given = parser.parse_args()
    with quiet():
        from keras_pose.export.job import export
        from keras_pose.models import network
        from keras_pose.training import evaluate

    run = Path(given.run)
    model = network.load(run / "best.keras")
    reader = open_reader(given.data, "val")
    evaluate.check_skeleton(model.skeleton, reader.skeleton, run)
    scores = [
        evaluate.evaluate(
            evaluate.of_network(model), reader, model.input_size, model.notes["crop_margin"],
            flip=flip, presence=not flip,
        )
        for flip in (False, True)
    ]  # fmt: skip
    int8 = export(
        run / "best.keras", run / "best_int8.tflite", "int8", calibrate=given.data, check=given.data
    )
    log = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    row = {
        "date": datetime.date.today().isoformat(),
        "recipe": model.notes["recipe"],
        "network": f"{model.builder} {model.arguments.get('size', '')}".strip(),
        "parameters": model.count_params(),
        "steps": model.notes["steps"],
        "batch_size": model.notes["batch_size"],
        "minutes": round(float(log[-1]["seconds"]) / 60, 1),
        "device": given.device,
        "commit": model.notes["commit"],
        "data": "/".join(Path(given.data).parts[-1:]),
        **{k: round(v, 2) for k, v in _means(scores[0]).items()},
        **{f"{k}_flip": round(v, 2) for k, v in _means(scores[1]).items()},
        "presence_auc": round(scores[0].presence, 4),
        "int8_pck@0.2": round(int8.check.pck, 2),
        "int8_drop": int8.check.drop,
        "int8_presence_auc": int8.check.summary["presence_auc"],
        "int8_kib": int8.path.stat().st_size // 1024,
        "command": shlex.join(["python", "benchmarks/record.py", *sys.argv[1:]]),
    }
    rows = list(csv.DictReader(RESULTS.read_text().splitlines())) if RESULTS.exists() else []
    with open(RESULTS, "w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([*rows, row])
    print(row)


def _means(report):
    return {name: report.mean(name) for name in report.tables}


if __name__ == "__main__":
    main()
