"""Refines anybody's poses: a results file in COCO's format in, a better one out.

python apps/refine.py --images DIR --results in.json --model M --out out.json
python apps/refine.py ... --annotations person_keypoints_val2017.json --skeleton coco17
"""

import argparse
import sys
import time

from keras_pose.errors import command_line
from keras_pose.runtime import PictureFiles, PoseRefiner, refine_results


class _Terminal:
    """What is strange, and below it how much is done and how long the rest takes. A pipe gets the
    former alone."""

    def __init__(self, file=None):
        self._file = file or sys.stderr
        self._shown, self._begun, self._last = "", time.monotonic(), -1.0

    def complain(self, line):
        self._write(line + "\n")

    def seen(self, share):
        if not self._file.isatty():
            return
        now = time.monotonic() - self._begun
        if now - self._last > 0.5:
            left = int(now * (1 - share) / share)
            self._last, clock = now, f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
            self._write(f"{share:4.0%}, {clock} left")

    def done(self):
        self._write("")

    def _write(self, text):
        over = "\r" + " " * len(self._shown) + "\r" if self._shown else ""
        self._shown = "" if text.endswith("\n") else text
        print(over + text, end="", file=self._file, flush=True)


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, help="folder of the pictures")
    parser.add_argument("--results", required=True, help="JSON list in COCO's format, of any size")
    parser.add_argument("--model", required=True, help="a .tflite that refines poses, or a preset")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--annotations", help="COCO JSON that says which file an image_id is")
    parser.add_argument(
        "--skeleton", help="of the results: coco17, .., or names with commas (default: the model's)"
    )
    parser.add_argument("--orient", action="store_true", help="turn pictures as EXIF says")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args(arguments)
    refiner = PoseRefiner(args.model, args.threads)
    pictures = PictureFiles(args.images, args.annotations, args.orient)
    shown = _Terminal()
    try:
        done = refine_results(
            refiner, args.results, args.out, pictures, args.skeleton, shown.complain, shown.seen
        )
    finally:
        shown.done()
    print(done)
    print(f"written to {args.out}")
    if done.entries and not done.refined:
        shown.complain("Nothing was refined: the results may need --annotations or --skeleton.")
    if not done.good:
        sys.exit(1)


if __name__ == "__main__":
    main()
