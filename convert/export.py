"""Turns a trained network into a checked, self-describing .tflite.

python convert/export.py MODEL.keras --format int8 --calibrate DIR --check DIR --out FILE.tflite
"""

import argparse
import sys

from keras_pose.errors import command_line
from keras_pose.export import formats
from keras_pose.export.quiet import quiet


@command_line
def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=formats.table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="best.keras of a training run, or a preset")
    parser.add_argument("--format", default="fp32", choices=formats.FORMATS, help="see below")
    parser.add_argument(
        "--io", default="float", choices=formats.INPUTS, help="type of the pixels, 0..255"
    )
    parser.add_argument(
        "--output",
        default="decoded",
        choices=formats.OUTPUTS,
        help="decoded: key points and scores; heads: what is decoded, for GPUs and NPUs",
    )
    parser.add_argument("--calibrate", metavar="DIR", help="data whose training split calibrates")
    parser.add_argument("--count", type=int, default=200, help="pictures to calibrate with")
    parser.add_argument("--check", metavar="DIR", help="data whose validation split judges")
    parser.add_argument(
        "--max-drop", type=float, default=1.0, help="points of PCK@0.2 that may be lost"
    )
    parser.add_argument("--limit", type=int, default=0, help="judge on at most so many persons")
    parser.add_argument("--out", metavar="FILE.tflite", help="default: beside the model")
    given = parser.parse_args()

    with quiet():  # TensorFlow greets from C++
        from keras_pose.export.job import export

    done = export(
        given.model, given.out, given.format, given.io, given.output, given.calibrate,
        given.count, given.check, given.max_drop, given.limit, progress=True,
    )  # fmt: skip
    print(done.text())
    print(f"report: {done.path.with_suffix('.json')}")
    if not done.passed:
        print(
            f"error: expected to lose at most --max-drop {given.max_drop:g}\n"
            f"       received a loss of {done.check.drop:g}; {done.path} was left in place\n"
            "       Calibrate with more and more typical pictures, or take --format fp16.",
            file=sys.stderr,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
