"""Latency of the networks for phones beside a peer's, interleaved in one run, as ratios.

python benchmarks/latency.py PEER.tflite [--rounds 100]

They are written anew, with random weights and calibrated on built-in figures: what a network
computes does not change how long it takes. benchmarks/check_zoo.py times the presets of the zoo.
"""

import argparse
import tempfile
from pathlib import Path

from table import command

from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "latency.csv"
# file name -> builder and its arguments
RANDOM = {
    "repose_lite_s": ("RePoseLite", {"size": "s"}),
    "repose_lite_m": ("RePoseLite", {"size": "m"}),
    "cpm_mobile_128x128": ("CPMMobile", {"input_size": (128, 128)}),
    "poseur_mobile_128x128": ("PoseurMobile", {"input_size": (128, 128)}),
    "poseur_mobile_192x192": ("PoseurMobile", {"input_size": (192, 192)}),
    "poseur_mobile_256x192": ("PoseurMobile", {"input_size": (256, 192), "skeleton": "coco17"}),
    # MobileNetV2 as the paper's ResNet, with a quarter of the filters; and posefix_mobile_lsp's
    "posefix_mobilenet_v2_256x192": ("PoseFix", {
        "skeleton": "lsp14", "backbone": "mobilenet_v2", "filters": 64, "pose_stride": 2
    }),
    "posefix_mobile_256x192": ("PoseFix", {
        "skeleton": "lsp14", "backbone": "movenet_slim", "level": 4, "deconvolutions": 0,
        "filters": 64, "pose_stride": 4, "blocks": 3,
    }),
}  # fmt: skip
PRECISIONS = ("int8", "fp32")
_PICTURES = 20


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", help=".tflite that the others are compared with")
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    from keras_pose.runtime import benchmark

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(given.peer)]
        paths += [p for name in RANDOM for p in written(Path(folder), name)]
        timings = benchmark.compare(paths, threads=1, rounds=given.rounds)
    print(benchmark.table(timings))
    benchmark.write_csv(RESULTS, timings, command(__file__), 1, given.rounds)


def written(folder, name):
    """The files of a network of RANDOM, one for each precision."""
    with quiet():
        from keras_pose import export, models
        from keras_pose.data import open_reader

        builder, arguments = RANDOM[name]
        network = getattr(models, builder)(**arguments)
        reader = open_reader(f"figures:{_PICTURES}")
        poses = bool(network.extra_inputs)
        pictures = list(export.patches(reader, network.input_size, poses=poses))
        for precision in PRECISIONS:
            path = folder / f"{name}_{precision}.tflite"
            path.write_bytes(export.to_tflite(network, precision, calibration=pictures))
            yield path


if __name__ == "__main__":
    main()
