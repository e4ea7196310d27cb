"""What a frame costs beside the network: decoding, tracking and drawing on a 1280x720 clip.

    python benchmarks/runtime_cost.py --model M.tflite [--model N.tflite] [--threads 1]

Follows a figure through a few seconds of the clip of benchmarks/clip.py, exactly as webcam.py does,
with a clock around each part, and writes medians in microseconds per frame to
benchmarks/results/runtime_cost.csv. Only frames count in which the person is followed with one
run of the network; models take turns, so that a busy machine slows all of them. `network` is the
interpreter's invoke. `cut` and `feed` (the crop, and its copy into the interpreter) are the
network's preprocessing and are not part of the overhead.
"""

import argparse
import tempfile
import time
from pathlib import Path

import clip
import numpy as np
import table

from keras_pose.errors import PoseError, command_line
from keras_pose.runtime import (
    PoseEstimator,
    PoseTracker,
    VideoSource,
    caption,
    draw,
    estimator,
    search,
)

RESULTS = Path(__file__).resolve().parent / "results" / "runtime_cost.csv"
PARTS = ("network", "cut", "feed", "decode", "track", "draw")
ROUNDS = 3  # times that every model sees the frames
LEAST = 30  # followed frames for a median


class Clock:
    """Adds up the time spent in parts of a frame, in seconds."""

    def __init__(self):
        self.spent, self.calls = dict.fromkeys((*PARTS, "predict", "look"), 0.0), 0

    def around(self, name, function):
        """The same function, with its time added to `name`."""

        def timed(*arguments, **named):
            begin = time.perf_counter()
            result = function(*arguments, **named)
            self.spent[name] += time.perf_counter() - begin
            self.calls += name == "look"
            return result

        return timed


class _Watched:
    """An interpreter whose methods are timed."""

    def __init__(self, interpreter, clock):
        self.set_tensor = clock.around("feed", interpreter.set_tensor)
        self.invoke = clock.around("network", interpreter.invoke)
        self.get_tensor = interpreter.get_tensor


class _Looker:
    """An estimator with the clock around its call and around its parts."""

    def __init__(self, inner, clock):
        self.metadata = inner.metadata
        inner._interpreter = _Watched(inner._interpreter, clock)
        inner._predict = clock.around("predict", inner._predict)
        self._look = clock.around("look", inner)
        self._cut = clock.around("cut", estimator.cut)

    def __call__(self, image, box=None):
        plain, estimator.cut = estimator.cut, self._cut
        try:
            return self._look(image, box)
        finally:
            estimator.cut = plain


def measure(path, frames, threads: int = 1, threshold: float | None = None):
    """Seconds of each part, (N, len(PARTS)), over the N followed frames with one network run.

    frames: [(seconds, RGB uint8 picture), ...]; they are not drawn upon.
    """
    clock = Clock()
    tracker = PoseTracker(_Looker(PoseEstimator(path, threads), clock), threshold)
    skeleton, rows = tracker.estimator.metadata.skeleton, []
    for seconds, frame in frames:
        frame = frame.copy()
        clock.spent, clock.calls = dict.fromkeys(clock.spent, 0.0), 0
        begin = time.perf_counter()
        pose = tracker.update(frame, seconds)
        updated = time.perf_counter()
        if pose is None:
            continue
        draw(frame, pose, skeleton, search.JOINT * tracker.threshold)
        caption(frame, f"{1 / (updated - begin):.0f} fps")
        end = time.perf_counter()
        if clock.calls == 1:
            spent = clock.spent
            spent["decode"] = spent["predict"] - spent["feed"] - spent["network"]
            # mapping the points back into the picture is tracking, whoever does it
            spent["track"] = updated - begin - spent["cut"] - spent["predict"]
            spent["draw"] = end - updated
            rows.append([spent[p] for p in PARTS])
    return np.array(rows).reshape(-1, len(PARTS))


def row(name, output, times) -> dict:
    """One line of the table: medians in microseconds, and the overhead over the network's time."""
    network, *rest = (np.median(times, axis=0) * 1e6).tolist()
    overhead = float(np.median(times[:, 3:].sum(axis=1)) * 1e6)
    values = dict(zip(PARTS[1:], rest, strict=True))
    return {
        "model": name,
        "output": output,
        "frames": len(times),
        "network us": round(network),
        **{f"{k} us": round(v, 1) for k, v in values.items()},
        "overhead us": round(overhead, 1),
        "overhead %": round(100 * overhead / network, 1),
    }


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, help="a .tflite; repeatable")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--threshold", type=float, help="least score (default: the model's own)")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        truth = clip.compose(path, clip.SHOT)["frames"]
        with VideoSource(path) as source:
            frames = [f for f, points in zip(source, truth, strict=True) if points is not None]
    times = {model: [] for model in args.model}
    for _ in range(ROUNDS):
        for model in args.model:
            times[model].append(measure(model, frames, args.threads, args.threshold))
    rows = []
    for model in args.model:
        together = np.concatenate(times[model])
        if len(together) < LEAST:
            raise PoseError(
                f"a model that follows the figure in at least {LEAST} frames",
                f"{model}, which did in {len(together)}",
                "Train it longer, or lower --threshold.",
            )
        output = PoseEstimator(model).metadata.output
        rows.append(row(Path(model).name, output, together))
        print("  ".join(f"{k}: {v}" for k, v in rows[-1].items()))
    table.write_with_command(RESULTS, rows, __file__)


if __name__ == "__main__":
    main()
