"""Everything at once: trains, exports, checks and draws. This is `make demo`.

python train/demo.py [--data DIR|figures] [--out DIR] [--set a.b=c]
"""

import argparse
import sys
from pathlib import Path

from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="figures", help="labelled pictures, or figures")
    parser.add_argument("--out", default="runs/demo", help="an earlier demo there is removed")
    parser.add_argument("--recipe", default="repose_lite_figures")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    parser.add_argument("--max-drop", type=float, default=1.0, help="PCK@0.2 that int8 may lose")
    given = parser.parse_args()

    with quiet():  # TensorFlow greets from C++
        from keras_pose import demo
        from keras_pose.training import strategy

        strategy.choose()  # TensorFlow looks for GPUs, and complains where there is none

    out = Path(given.out)
    report, passed = demo.demo(given.data, out, given.recipe, given.overrides, given.max_drop)
    closing = out / "closing.png"
    closing = f"\n          {closing}    a preset's poses on the same" if closing.exists() else ""
    print(
        f"\nlook at   {out / 'overlays.png'}   poses of the int8 file"
        f"{closing}"
        f"\n          {report}      scores and sizes"
        f"\n          {out / 'curve.png'}      how it learned"
        f"\ntry next  .venv/bin/python apps/predict.py --model {out / 'demo_int8.tflite'} "
        "--source YOUR_PICTURES --out poses"
        f"\n          .venv/bin/python apps/webcam.py --model {out / 'demo_int8.tflite'} "
        "--headless --save pose.mp4"
    )
    if not passed:
        print("error: int8 lost more than allowed, see the report", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
