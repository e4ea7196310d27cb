"""Follows a person in front of a camera, or through a video file, and draws the pose.

python apps/webcam.py --model NAME|FILE.tflite [--source 0|video] [--save out.mp4] [--headless]
"""

import argparse
import contextlib
import os

from keras_pose import presets
from keras_pose.errors import PoseError, command_line
from keras_pose.runtime import PoseEstimator, PoseTracker, VideoSink, VideoSource
from keras_pose.runtime.report import ResultsFile
from keras_pose.runtime.stream import Window, run


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a preset or a .tflite file")
    parser.add_argument("--source", default="0", help="camera number or video file (default 0)")
    parser.add_argument("--save", help="write the drawn video to this .mp4")
    parser.add_argument("--json", help="write the poses of all frames to this file")
    parser.add_argument("--headless", action="store_true", help="open no window")
    parser.add_argument("--threshold", type=float, help="least score (default: the model's own)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args(arguments)
    if args.headless and not (args.save or args.json):
        raise PoseError(
            "something to write when no window is open",
            "--headless alone",
            "Add --save out.mp4, --json out.json or both.",
        )
    read = {os.path.realpath(presets.resolve(args.model)), os.path.realpath(args.source)}
    for path in filter(None, (args.save, args.json)):
        if os.path.realpath(path) in read:
            raise PoseError(
                "--save and --json files other than the source and the model",
                path,
                "Choose another name: it would be overwritten.",
            )
    with contextlib.ExitStack() as stack:
        estimator = PoseEstimator(args.model, args.threads)
        window = None if args.headless else stack.enter_context(Window())
        camera = int(args.source) if args.source.isdecimal() else args.source
        source = stack.enter_context(VideoSource(camera))
        sink = args.save and stack.enter_context(VideoSink(args.save, source.fps))
        results = args.json and stack.enter_context(
            ResultsFile(args.json, estimator, source=source.name, size=list(source.size))
        )
        tracker = PoseTracker(estimator, args.threshold)
        summary = run(
            source,
            tracker,
            sink=sink or None,
            window=window,
            results=results or None,
            mirror=source.live,
        )
    print(summary)


if __name__ == "__main__":
    main()
