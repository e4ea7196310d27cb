"""Scores a finished run, float and int8, and adds it to the table of trainings.

python benchmarks/record.py runs/NAME --data DIR --device "two CPU cores, TensorFlow"
    [--note "what was tried"] [--before MINUTES]
    [--zoo PRESET --peer MOVENET.tflite [--without-fp16]]

--zoo also publishes it to zoo/PRESET: the weights in half precision, the int8 file, the fp16 file
where it is small and not left out, and a model card. What is scored is then what is published. A
run that is recorded again replaces its line.
"""

import argparse
import csv
import datetime
import importlib
import os
import shutil
import tempfile
from pathlib import Path

import card
import lineage
import table

from keras_pose import presets, skeletons
from keras_pose.data.open import name_of, open_reader
from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training.csv"
_LARGEST = 4 << 20  # bytes of an fp16 file that is worth its place
_SAME = ("recipe", "network", "steps", "minutes", "commit", "data")  # of one run
# the table's first columns
_FIRST = (
    "date", "recipe", "settings", "note", "network", "parameters", "input", "steps", "batch_size",
    "minutes", "minutes_before", "device", "commit", "data", "persons", "start",
)  # fmt: skip


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--data", required=True, help="its validation split is scored")
    parser.add_argument("--device", required=True, help='such as "two CPU cores, TensorFlow"')
    parser.add_argument("--note", default="", help="what was tried, in a few words")
    parser.add_argument(
        "--before", type=float, metavar="MINUTES",
        help="training behind the weights it began with (default: from that run or preset)",
    )  # fmt: skip
    parser.add_argument("--zoo", metavar="PRESET", help="also publish it to zoo/PRESET")
    parser.add_argument("--peer", metavar="FILE.tflite", help="compare latencies with it")
    parser.add_argument(
        "--without-fp16", action="store_true", help="the zoo has room for some of these files only"
    )
    given = parser.parse_args()
    if bool(given.zoo) != bool(given.peer):
        raise PoseError(
            "--zoo and --peer together", "one of them", f"A card needs both; take {card.PEER}."
        )
    if given.zoo:
        card.folder(given.zoo)  # before the long work
    with quiet():  # TensorFlow greets from C++
        importlib.import_module("keras_pose.export.job")
        if given.peer:
            importlib.import_module("keras_pose.runtime.benchmark").compare([given.peer], rounds=1)
    run = Path(given.run)
    noted = lineage.notes(run / "best.keras")
    start = noted.get("start", lineage.RANDOM)
    data = noted.get("data", name_of(given.data))  # older runs do not say what they were trained on
    if card.about(data) is not card.about(name_of(given.data)):
        raise PoseError(
            f"--data like {data}, which the run was trained on",
            given.data,
            "The card is of both; score on other data with train/evaluate.py.",
        )
    lines = {
        "date": datetime.date.today().isoformat(),
        "minutes": lineage.minutes(run),  # of fitting up to the best epoch, without validation
        "minutes_before": (
            lineage.before(start, run.parent) if given.before is None else given.before
        ),
        "settings": lineage.settings(run, noted["commit"]),
        "note": given.note,
        "device": given.device,
        "data": data,
        "persons": noted.get("persons", ""),
        "start": start,
        "command": table.command(__file__),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = _exported(run, given.data, Path(folder), bool(given.zoo), given.without_fp16)
        row, scores = _scored(files, given.data)
        row = {name: (row | lines).get(name, "") for name in [*_FIRST, *row, "command"]}
        row = {k: "" if v != v else v for k, v in row.items()}  # a refiner says nobody's presence
        _append(row)  # the scores stay, whether or not the rest works out
        print("\n".join(f"{k}: {v}" for k, v in row.items() if v not in ("", None)))
        if given.zoo:
            ratios = card.latency(files[1:], given.peer, lines["command"])
            row["origin"] = card.origin(lineage.origin(start, run.parent))
            card.publish(given.zoo, files, _card(given.zoo, row, scores, ratios))


def _exported(run, data, folder, publish, without_fp16=False):
    """The files to score, in `folder`; to publish, the weights are in half precision from here on.

    Returns paths: the .keras, the int8 .tflite, and the fp16 one where it is to be published.
    """
    from keras_pose.export.job import export
    from keras_pose.models import half

    source, int8, fp16 = (folder / name for name in (presets.KERAS, presets.INT8, presets.FP16))
    if publish:
        half.write(run / "best.keras", source)
    else:
        shutil.copyfile(run / "best.keras", source)
    export(source, int8, "int8", calibrate=data, check=data)
    if not publish or without_fp16:
        return [source, int8]
    export(source, fp16, "fp16", check=data)
    return [source, int8, fp16][: 3 if fp16.stat().st_size <= _LARGEST else 2]


def _scored(files, data):
    """(what the table says of a network and its scores, the part of the card with the scores)."""
    from keras_pose import metadata
    from keras_pose.models import network
    from keras_pose.training import evaluate

    path, int8 = files[:2]
    model, reader = network.load(path), open_reader(data, "val")
    evaluate.check_skeleton(model.skeleton, reader.skeleton, path)
    margin, notes = model.notes["crop_margin"], model.notes
    known = evaluate.shared(model.skeleton, skeletons.COCO17)

    def score(predict, flip=""):
        """(Report of all key points, of those that other people's models know)"""
        found = evaluate.find(predict, reader, model.input_size, margin, flip=flip)
        return found.score(), found.score(known)

    predict = evaluate.of_network(model)
    whole, flipped = score(predict), score(predict, "agreeing")
    quantized = score(evaluate.open_model(int8)[0])
    presence, _ = evaluate.measure_presence(predict, reader, model.input_size, margin)
    checked = metadata.read(int8).metrics
    means = _means(whole[0]) | _shared(whole[1]) | _means(flipped[0], "_flip")
    if model.codec.head == "coordinates":
        means |= _means(score(predict, "weighted")[0], "_flip_weighted")
        if "coarse" in model.output:  # what the decoder behind it is worth
            means |= _means(score(evaluate.of_network(model, "coarse"))[0], "_coarse")
    row = {
        "recipe": notes["recipe"],
        "network": f"{model.builder} {model.arguments.get('size', '')}".strip(),
        "parameters": model.count_params(),
        "input": "x".join(map(str, model.input_size)),
        "steps": notes["steps"],
        "batch_size": notes["batch_size"],
        "commit": notes["commit"],
        **means,
        "presence_auc": round(presence, 4),
        "int8_pck@0.2": round(quantized[0].mean(), 2),
        **{f"int8_{name}": value for name, value in _shared(quantized[1]).items()},
        "int8_drop": round(checked["pck@0.2_fp32"] - checked["pck@0.2"], 4),
        "int8_presence_auc": checked["presence_auc"],
        "int8_kib": int8.stat().st_size // 1024,
    }
    told = {
        "skeleton": model.skeleton.name,
        "key_points": list(model.skeleton.keypoints),
        "shared": len(known),
        "on": name_of(data),
        "persons": whole[0].persons - whole[0].left_out,
        "float": card.scores(*whole),
        "flip": {name: card.means(*flipped, name) for name in card.METRICS},
        "int8": card.scores(*quantized),
    }
    return row, told


def _means(report, suffix=""):
    names = [name for name in report.tables if not (suffix and name.startswith("input"))]
    return {f"{name}{suffix}": round(report.mean(name), 2) for name in names}


def _shared(report):
    """PCK over the shared key points, as pck12@0.2."""
    named = {name: name.replace("pck", f"pck{len(report.only)}") for name in card.METRICS}
    return {column: round(report.mean(name), 2) for name, column in named.items()}


def _card(name, row, scores, ratios):
    """What zoo/<name>/card.yaml says, but for the files, which `card.publish` adds."""
    words, licence, limits = card.about(row["data"])
    count = len(scores["key_points"])
    size = row["input"]
    return {
        "name": name,
        "description": f"{row['network']}, {count} key points, {size}, trained on {words}",
        **{k: row[k] for k in ("network", "parameters")},
        "skeleton": scores["skeleton"],
        "key_points": scores["key_points"],
        "input": size,
        "licence": "Apache-2.0 (code and weights)",
        "limits": limits,
        "data": {"name": row["data"], "licence": licence},
        "training": {
            k: row[k]
            for k in (
                "date", "recipe", "settings", "commit", "start", "origin", "persons", "steps",
                "batch_size", "minutes", "minutes_before", "device", "note",
            )
        },
        "scored_on": f"{scores['on']}, {scores['persons']} validation persons in crops around them",
        "shared": f"mean_shared is over the {scores['shared']} key points that coco17 has too",
        "scores": {
            "float": scores["float"] | {"presence_auc": row["presence_auc"]},
            "int8": scores["int8"] | {"presence_auc": row["int8_presence_auc"]},
            "float_flip_test": scores["flip"],
        },
        "latency": ratios,
        "command": row["command"],
    }  # fmt: skip


def _append(row):
    """Adds a row to RESULTS in place of an earlier one of the same run.

    Columns that only some rows have are empty in the others.
    """
    rows = list(csv.DictReader(RESULTS.read_text().splitlines())) if RESULTS.exists() else []
    rows = [r for r in rows if any(r.get(name) != str(row[name]) for name in _SAME)] + [row]
    names = dict.fromkeys([*_FIRST, *(name for r in rows for name in r if name != "command")])
    part = RESULTS.with_suffix(".part")
    with open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, [*names, "command"], restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, RESULTS)


if __name__ == "__main__":
    main()
