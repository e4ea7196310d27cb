"""How near the decoders of heatmaps come, and what they cost beside a network.

python benchmarks/decoding.py [--pictures 200] [--rounds 300]

Maps of 64 x 48 cells are rendered at sigma 2 cells from known points, anywhere in the picture and
so at its border too, clean and with Gaussian noise, whose standard deviation is a part of the
highest value; for the softmax codec their logarithms. Errors are in cells. `time_ratio` is what
numpy takes to decode one person's 17 maps in one thread, over the latency of the faster of the
zoo's int8 files of RePoseLite S: medians of runs that take turns. `fastest_ratio` is that of the
shortest runs, which other work on the machine disturbs least. Writes
benchmarks/results/decoding.csv.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import table

from keras_pose import presets
from keras_pose.codecs import GaussianHeatmap, SoftmaxHeatmap
from keras_pose.codecs.decoding import DECODERS
from keras_pose.errors import PoseError, command_line

RESULTS = Path(__file__).resolve().parent / "results" / "decoding.csv"
MODELS = ("repose_lite_s_figures", "repose_lite_s_lsp14")
CODECS = [kind((256, 192), (64, 48), 8.0) for kind in (GaussianHeatmap, SoftmaxHeatmap)]
JOINTS = 17
NOISE = (0.0, 0.02, 0.05, 0.1)
_TIMED = 0.05  # noise of the maps that are timed; it hardly matters
_LEAST = 1e-4  # of the highest value, in the softmax codec's maps


def rendered(codec, points, noise, seed=1):
    """Maps (B, h, w, K) of points (B, K, 2) normalised, in memory as a network's are."""
    maps = GaussianHeatmap.encode(codec, points, np.ones(points.shape[:2], np.float32))
    maps = np.ascontiguousarray(maps) + np.random.default_rng(seed).normal(
        0, noise, maps.shape
    ).astype(np.float32)
    return np.log(np.maximum(maps, _LEAST)) if codec.kind == "softmax" else maps


def errors(codec, points, noise):
    """Distances from the points in cells, (B, K)."""
    found, _ = codec.decode(rendered(codec, points, noise))
    return np.linalg.norm((found - points) * codec.map_size[::-1], axis=-1)


def time_ratios(codecs, points, rounds):
    """(name of the model, {codec: (ratio of the medians, ratio of the fastest)}) of `rounds`.

    As in runtime.benchmark, every timed run follows an untimed one of the same kind.
    """
    from keras_pose.runtime import benchmark

    models = benchmark.compare(MODELS, threads=1, rounds=rounds)
    fastest = min(models, key=lambda timing: timing.median).path
    runs = {fastest: benchmark._ready(presets.resolve(fastest), 1).invoke}
    for codec in codecs:
        maps = rendered(codec, points[:1], _TIMED)
        runs[codec] = lambda codec=codec, maps=maps: codec.decode(maps)
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    told = {name: np.array([np.median(each), min(each)]) for name, each in times.items()}
    return fastest, {codec: told[codec] / told[fastest] for codec in codecs}


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200, help=f"of {JOINTS} points each")
    parser.add_argument("--rounds", type=int, default=300, help="timed runs of each")
    given = parser.parse_args(arguments)
    if min(given.pictures, given.rounds) < 1:
        raise PoseError("at least one picture and one round", str(vars(given)), "Give more.")
    shape = (given.pictures, JOINTS, 2)
    points = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    codecs = [codec.with_decoder(name) for codec in CODECS for name in DECODERS]
    model, ratios = time_ratios(codecs, points, given.rounds)
    rows = []
    for codec in codecs:
        for noise in NOISE:
            apart = errors(codec, points, noise)
            rows.append(
                {
                    "codec": codec.kind,
                    "decoder": codec.decoder,
                    "noise": noise,
                    "points": apart.size,
                    "mean_cells": f"{apart.mean():.4f}",
                    "p95_cells": f"{np.percentile(apart, 95):.4f}",
                    "time_ratio": f"{ratios[codec][0]:.3f}",
                    "fastest_ratio": f"{ratios[codec][1]:.3f}",
                    "ratio_to": f"{model} int8",
                }
            )
            print("  ".join(map(str, rows[-1].values())))
    table.write_with_command(RESULTS, rows, __file__)


if __name__ == "__main__":
    # numpy's own threads; matrices of 3 x 13 are below what it would share out anyway
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
