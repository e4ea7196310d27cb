"""Latency of `.tflite` files side by side: interleaved, so that all meet the same machine."""

import csv
import dataclasses
import os
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_pose import metadata, presets
from keras_pose.errors import PoseError


@dataclasses.dataclass(frozen=True)
class Timing:
    """One file. median, fastest: milliseconds. ratio: the median over the first file's.

    path: as it was given. inputs: types and shapes. about: format and output from its metadata, ""
    for a foreign file.
    """

    path: str
    size: int
    inputs: str
    about: str
    median: float
    fastest: float
    ratio: float


def compare(paths, threads=1, rounds=25) -> list[Timing]:
    """Runs files of any origin in turn, `rounds` times, on random pixels.

    paths: of `.tflite` files, or names of presets.
    Every timed run follows an untimed one of the same file, whose weights are then in the cache
    as they are on video. Raises PoseError for a file that LiteRT cannot run.
    """
    if rounds < 1 or threads < 1 or not paths:
        raise PoseError(
            "at least one file, one round and one thread",
            f"{len(paths)} files, {rounds} rounds, {threads} threads",
            "Give .tflite files and positive numbers.",
        )
    files = [presets.resolve(path) for path in paths]
    runs = [_ready(file, threads) for file in files]
    times = [[] for _ in paths]
    for _ in range(rounds):
        for run, measured in zip(runs, times, strict=True):
            run.invoke()
            start = time.perf_counter()
            run.invoke()
            measured.append(1000 * (time.perf_counter() - start))
    medians = [float(np.median(t)) for t in times]
    return [
        Timing(
            path=str(path),
            size=os.path.getsize(file),
            inputs=_inputs(run),
            about=_about(file),
            median=median,
            fastest=min(measured),
            ratio=median / medians[0],
        )
        for path, file, run, measured, median in zip(
            paths, files, runs, times, medians, strict=True
        )
    ]


def _ready(path, threads):
    """An interpreter with random pixels in its inputs."""
    try:
        with open(path, "rb"):
            pass
        run = Interpreter(model_path=os.fspath(path), num_threads=threads)
        run.allocate_tensors()
        rng = np.random.default_rng(0)
        for tensor in run.get_input_details():
            run.set_tensor(tensor["index"], _pixels(rng, tensor))
        run.invoke()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise PoseError(
            "a .tflite that LiteRT can run", f"{path} ({reason})", "Check the file."
        ) from error
    return run


def _pixels(rng, tensor):
    shape, dtype = tensor["shape"], tensor["dtype"]
    if np.issubdtype(dtype, np.floating):
        return rng.random(shape).astype(dtype)
    low = -128 if dtype == np.int8 else 0
    return rng.integers(low, low + 256, shape).astype(dtype)


def _inputs(run):
    return " ".join(
        f"{np.dtype(t['dtype']).name} {'x'.join(map(str, t['shape']))}"
        for t in run.get_input_details()
    )


def _about(path):
    try:
        values = metadata.read(path)
    except PoseError:
        return ""
    return f"{values.model} {values.precision} {values.output}"


def table(timings) -> str:
    """The timings as lines of text."""
    width = max(len(t.path) for t in timings)
    lines = [f"{'file':{width}}  {'KiB':>6}  {'median ms':>9}  {'fastest':>8}  {'ratio':>6}"]
    lines += [
        f"{t.path:{width}}  {t.size / 1024:6.0f}  {t.median:9.3f}  {t.fastest:8.3f}  {t.ratio:6.3f}"
        for t in timings
    ]
    return "\n".join(lines)


def write_csv(path, timings, command, threads, rounds):
    """The ratios as a CSV file, after a line with the command that measured them.

    Milliseconds are left out: they say more of the machine than of the files.
    Raises PoseError when the file cannot be written.
    """
    try:
        with open(path, "w", newline="") as file:
            file.write(f"# {command}\n")
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(
                ["file", "bytes", "input", "model", "threads", "rounds", "ratio_to_first"]
            )
            for t in timings:
                name = os.path.basename(t.path)
                rows.writerow([name, t.size, t.inputs, t.about, threads, rounds, f"{t.ratio:.3f}"])
    except OSError as error:
        raise PoseError(
            "a writable --csv file", f"{path} ({error.strerror})", "Choose another path."
        ) from error
