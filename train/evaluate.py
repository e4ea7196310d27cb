"""Scores a trained network or a .tflite on labelled pictures: OKS of COCO's, PCK of others.

python train/evaluate.py MODEL(.keras|.tflite|preset) --data DIR [--flip] [--json FILE]
python train/evaluate.py MODEL.keras --data DIR --output coarse
python train/evaluate.py MODEL.keras --data DIR --scales 0.7,0.8,0.9,1,1.1,1.2,1.3
python train/evaluate.py MODEL --data DIR --shared coco17        as other people's models are scored
python train/evaluate.py MODEL --data COCO [--detections BOXES.json] [--results OUT.json]
python train/evaluate.py REFINER --data COCO [--poses IN.json]    before and after; drawn poses
"""

import argparse
from pathlib import Path

from keras_pose import json_file, skeletons
from keras_pose.codecs.decoding import DECODERS
from keras_pose.data.open import open_reader
from keras_pose.data.results_file import write_results
from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet
from keras_pose.training.flip import FUSIONS, chosen


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help=".keras, .tflite or the name of a preset")
    parser.add_argument("--data", required=True, help="folder of labelled pictures, or figures")
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--limit", type=int, default=0, help="at most so many persons")
    parser.add_argument("--flip", action="store_true", help="look at mirror images too")
    parser.add_argument(
        "--fusion", choices=sorted(FUSIONS), help="how --flip fuses the two answers (agreeing)"
    )
    parser.add_argument(
        "--output", default="", metavar="NAME", help="an intermediate prediction of a .keras"
    )
    parser.add_argument(
        "--scales", default="", metavar="S,S,...", help="of the multi-scale test of a .keras"
    )
    parser.add_argument(
        "--decoder", default="", metavar="NAME", choices=sorted(DECODERS),
        help="how to read the maps of a .keras: %(choices)s",
    )  # fmt: skip
    parser.add_argument(
        "--shared",
        choices=sorted(skeletons.SKELETONS),
        help="only the key points whose names that skeleton has too",
    )
    parser.add_argument("--metric", choices=("oks", "pck"), help="oks needs COCO's annotations")
    parser.add_argument(
        "--detections", metavar="FILE", help="look at a detector's boxes, not the annotations'"
    )
    parser.add_argument(
        "--poses", metavar="FILE", help="key point results for a model that refines poses, in "
        "COCO's format; by default errors are drawn",
    )  # fmt: skip
    parser.add_argument("--results", metavar="FILE", help="write the poses in COCO's format")
    parser.add_argument("--json", metavar="FILE", help="also write the report as JSON")
    arguments = parser.parse_args()

    with quiet():  # TensorFlow greets from C++
        from keras_pose.training import coco, diagnosis, evaluate, refining, scales

    looks = scales.read(arguments.scales)
    predict, skeleton, size, margin = evaluate.open_model(
        arguments.model, arguments.output, looks, arguments.decoder
    )
    reader = open_reader(arguments.data, arguments.split)
    evaluate.check_skeleton(skeleton, reader.skeleton, arguments.model)
    fusion = chosen(arguments.flip, arguments.fusion)
    only = ()
    if arguments.shared:
        only = evaluate.shared(reader.skeleton, skeletons.get(arguments.shared))
    given = (predict, reader, size, margin)
    shown = {"limit": arguments.limit, "flip": fusion, "only": only, "progress": True}
    refining.refuse(predict, arguments.poses)
    if coco.metric(reader, arguments.metric, arguments.detections, arguments.results) == "oks":
        told = {"detections": arguments.detections, "poses": arguments.poses}
        report = coco.evaluate(*given, **told, **shown)
    else:
        poses = diagnosis.of_everybody(arguments.poses, reader) if arguments.poses else None
        report = evaluate.evaluate(*given, presence=True, poses=poses, **shown)
        report.refined = Path(arguments.poses).name if arguments.poses else report.refined
    report.output, report.scales, report.decoder = arguments.output, looks, arguments.decoder
    print(report.table())
    if reader.skips.count:
        print(f"skipped: {reader.skips.summary()}")
    if arguments.results:
        write_results(arguments.results, report.results)
    if arguments.json:
        json_file.write(arguments.json, report.to_json())


if __name__ == "__main__":
    main()
