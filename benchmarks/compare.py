"""Scores pose models of different skeletons side by side, on the same crops.

python benchmarks/compare.py MODEL ... --coco DIR --lsp DIR [--limit N] [--table FILE.csv]

A MODEL is a .keras, a .tflite or a preset of this project, or one of MoveNet's single-pose .tflite.
Only the 12 key points count that LSP14 and COCO17 share by name, whatever else a model knows. On
COCO the ground truth is reduced to them, persons without any of them are ignored, and AP and AR are
of their OKS, in crops of the annotated boxes. On LSP it is PCK of the torso, in crops of the
annotated joints. Validation splits are scored. AP over 12 key points, and maybe of a part of COCO's
pictures, is comparable within the table, not with published ones.
"""

import argparse
from pathlib import Path

import table
import trainings

from keras_pose import presets, skeletons
from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet

RESULTS = Path(__file__).resolve().parent / "results" / "comparison.csv"


def opened(model):
    """(predictor, its Skeleton, input size, crop margin, whose it is) of a file or preset.

    Raises PoseError for what is neither this project's nor MoveNet's.
    """
    import peers

    from keras_pose import metadata
    from keras_pose.training import evaluate

    path = presets.resolve(model)
    if path.suffix == ".tflite":
        try:
            metadata.read(path)
        except PoseError:
            peer = peers.MoveNet(path, skeletons.COCO17)
            return peer, skeletons.COCO17, peer.input_size, 1.25, "MoveNet"
    return *evaluate.open_model(path), "keras_pose"


def score(model, coco_reader, lsp_reader, limit=0):
    """One row of the table."""
    from keras_pose.training import coco, evaluate
    from keras_pose.training.looking import answering

    known = evaluate.shared(skeletons.LSP14, skeletons.COCO17)
    predict, skeleton, size, margin, maker = opened(model)
    missing = sorted(set(known) - set(skeleton.keypoints))
    if missing:
        raise PoseError(
            f"a model that knows {', '.join(known)}",
            f"{model} ({skeleton.name}) without {', '.join(missing)}",
            "Compare it with others by train/evaluate.py --shared.",
        )
    path = presets.resolve(model)
    row = {
        "model": table.name_of(model),
        "maker": maker,
        "skeleton": skeleton.name,
        "input": "x".join(map(str, size)),
        "bytes": path.stat().st_size,
        "key_points": len(known),
    }
    said = answering(predict, skeleton, coco_reader.skeleton)
    report = coco.evaluate(said, coco_reader, size, margin, limit=limit, only=known, progress=True)
    row |= {"coco_persons": report.persons, "coco_pictures": report.pictures}
    row |= {name: report.summary()[name] for name in ("AP", "AP50", "AP75", "APM", "APL", "AR")}
    said = answering(predict, skeleton, lsp_reader.skeleton)
    found = evaluate.find(said, lsp_reader, size, margin, limit, progress=True).score(known)
    row["lsp_persons"] = found.persons - found.left_out
    return row | trainings.pck(found)


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".keras, .tflite or a preset")
    parser.add_argument("--coco", required=True, help="folder of COCO data")
    parser.add_argument("--lsp", required=True, help="folder of LSP data")
    parser.add_argument("--limit", type=int, default=0, help="at most so many persons of each")
    parser.add_argument("--table", default=RESULTS, metavar="FILE", help="where to write it")
    given = parser.parse_args()
    with quiet():  # TensorFlow greets from C++
        from keras_pose.training import coco
    readers = [open_reader(where, "val") for where in (given.coco, given.lsp)]
    coco.metric(readers[0], "oks")  # refused before the long work
    rows = []
    for model in given.models:
        rows.append(score(model, *readers, given.limit))
        print(rows[-1])
    for reader in readers:
        if reader.skips.count:
            print(f"skipped: {reader.skips.summary()}")
    table.write_with_command(given.table, rows, __file__)


if __name__ == "__main__":
    main()
