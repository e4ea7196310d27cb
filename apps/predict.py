"""Finds a person in pictures, a folder of them, or a video, and writes drawn copies.

python apps/predict.py --model NAME|FILE.tflite --source picture|folder|video --out DIR [--json]
python apps/predict.py --list
"""

import argparse

from keras_pose import presets
from keras_pose.errors import PoseError, command_line
from keras_pose.runtime import PoseEstimator
from keras_pose.runtime.pictures import RESULTS, predict


def parse_box(text):
    """x,y,w,h in pixels."""
    try:
        box = tuple(float(v) for v in text.split(","))
    except ValueError:
        box = ()
    if len(box) != 4 or min(box[2:]) <= 0:
        raise PoseError("--box x,y,w,h in pixels", repr(text), "For example --box 40,25,120,300.")
    return box


class _List(argparse.Action):
    """Prints the presets and ends, whatever else is asked for: as --help does."""

    def __call__(self, parser, *_):
        print(presets.table())
        parser.exit()


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a preset or a .tflite file")
    parser.add_argument("--source", required=True, help="a picture, a folder of pictures, a video")
    parser.add_argument("--out", required=True, help="folder for the drawn copies")
    parser.add_argument("--json", action="store_true", help=f"also write {RESULTS} there")
    parser.add_argument("--box", help="x,y,w,h: where the person is, for a single picture")
    parser.add_argument("--threshold", type=float, help="least score (default: the model's own)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--list", action=_List, nargs=0, help="show the presets and end")
    args = parser.parse_args(arguments)
    box = None if args.box is None else parse_box(args.box)
    estimator = PoseEstimator(args.model, args.threads)
    summary = predict(
        estimator, args.source, args.out, json=args.json, box=box, threshold=args.threshold
    )
    print(summary)
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
