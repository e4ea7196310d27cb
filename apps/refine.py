"""Refines anybody's poses: a results file in COCO's format in, a better one out.

python apps/refine.py --images DIR --results in.json --model M --out out.json
python apps/refine.py ... --annotations person_keypoints_val2017.json --skeleton coco17
"""

import argparse
import sys

from keras_pose.errors import command_line
from keras_pose.runtime import PictureFiles, PoseRefiner, refine_results


def _complain(line):
    print(line, file=sys.stderr)


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
    done = refine_results(refiner, args.results, args.out, pictures, args.skeleton, _complain)
    print(done)
    print(f"written to {args.out}")
    if done.entries and not done.refined:
        _complain("Nothing was refined: the results may need --annotations or --skeleton.")
    if not done.good:
        sys.exit(1)


if __name__ == "__main__":
    main()
