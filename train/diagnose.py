"""What goes wrong at each key point: good, jitter, inversion, swap or miss, in percent.

python train/diagnose.py RESULTS.json --data DIR --out errors.png --csv errors.csv
python train/diagnose.py MODEL(.keras|.tflite|preset) --data DIR [--limit 500]
python train/diagnose.py before.json after.json --data DIR --out change.png
"""

import argparse
from pathlib import Path

from keras_pose.data.open import open_reader
from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet
from keras_pose.training.flip import FUSIONS, chosen


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="COCO results .json, .keras, .tflite or preset"
    )
    parser.add_argument("--data", required=True, help="folder of labelled pictures, or figures")
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--out", metavar="PICTURE.png", help="draw stacked bars, one per key point")
    parser.add_argument("--csv", metavar="FILE", help="write the percentages as CSV")
    parser.add_argument("--limit", type=int, default=0, help="of models: at most so many persons")
    parser.add_argument("--flip", action="store_true", help="of models: look at mirror images too")
    parser.add_argument(
        "--fusion", choices=sorted(FUSIONS), help="how --flip fuses the two answers (agreeing)"
    )
    parser.add_argument(
        "--least", type=float, default=0.1, help="of results: OKS below which nobody is meant"
    )
    options = parser.parse_args(arguments)

    with quiet():  # TensorFlow greets from C++
        from keras_pose.training import diagnosis, diagnosis_report

    fusion = chosen(options.flip, options.fusion)
    files = [Path(given).suffix.lower() == ".json" for given in options.inputs]
    # no pixel is needed for results; beside a model they are about the persons that it can see
    reader = open_reader(options.data, options.split, pictures=not all(files))
    diagnoses = []
    for given, of_file in zip(options.inputs, files, strict=True):
        if of_file:
            diagnoses.append(diagnosis.of_results(given, reader, options.least))
        else:
            diagnoses.append(
                diagnosis.of_model(given, reader, options.limit, fusion, progress=True)
            )
        print(diagnoses[-1].table(), end="\n\n")
    if len(diagnoses) > 1:
        print(diagnosis_report.compared(diagnoses))
    if reader.skips.count:
        print(f"skipped: {reader.skips.summary()}")
    if options.csv:
        diagnosis_report.write_csv(options.csv, diagnoses)
    if options.out:
        diagnosis_report.draw(options.out, diagnoses)


if __name__ == "__main__":
    main()
