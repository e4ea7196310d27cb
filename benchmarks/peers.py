"""Scores other people's pose models on the same crops as ours, and times them side by side.

python benchmarks/peers.py DATA A.tflite B.tflite [--rounds 100]

MoveNet's single-pose files: input (1, H, W, 3) of any number type, RGB 0..255; output
(1, 1, 17, 3) of y, x and score of COCO's key points, y and x in 0..1 of the input. Of the data's
key points only those count that COCO17 has too. The latency is a ratio to the first file's, of
interleaved runs on one thread.
"""

import argparse
from pathlib import Path

import numpy as np
import table

from keras_pose import geometry, skeletons
from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet
from keras_pose.training.looking import answering

RESULTS = Path(__file__).resolve().parent / "results" / "peers.csv"
_SAYS = skeletons.COCO17  # the order of MoveNet's answers


class MoveNet:
    """A predictor (see keras_pose.training.looking) for another skeleton's key points.

    path: MoveNet single-pose `.tflite`; skeleton: of the K key points that it answers for. Those
    that COCO17 does not have are answered with NaN, which is never right.
    Raises PoseError for a file that is not like that.
    """

    def __init__(self, path, skeleton, threads=1):
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._run = Interpreter(model_path=str(path), num_threads=threads)
            self._run.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise PoseError(
                "a .tflite that LiteRT can run", f"{path} ({error})", "Check the file."
            ) from error
        self._input, self._output = (
            details[0]
            for details in (self._run.get_input_details(), self._run.get_output_details())
        )
        shape = tuple(self._output["shape"])
        if shape != (1, 1, _SAYS.count, 3):
            raise PoseError(
                f"a MoveNet single-pose file, with an output of (1, 1, {_SAYS.count}, 3)",
                f"{path} with {shape}",
                "Write an adapter for it like MoveNet in benchmarks/peers.py.",
            )
        self.input_size = tuple(int(side) for side in self._input["shape"][1:3])
        self._answer = answering(self._all, _SAYS, skeleton)

    def __call__(self, patches):
        return self._answer(patches)

    def _all(self, patches):
        answers = np.stack([self._look(patch) for patch in patches])
        return geometry.denormalise(answers[..., 1::-1], self.input_size), answers[..., 2]

    def _look(self, patch):
        self._run.set_tensor(self._input["index"], patch[None].astype(self._input["dtype"]))
        self._run.invoke()
        return self._run.get_tensor(self._output["index"])[0, 0]


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="its validation split is scored")
    parser.add_argument("files", nargs="+", metavar="FILE.tflite", help="MoveNet single pose")
    parser.add_argument("--rounds", type=int, default=100, help="timed runs of each")
    given = parser.parse_args()
    with quiet():
        from keras_pose.runtime import benchmark
        from keras_pose.training import evaluate

    reader = open_reader(given.data, "val")
    only = evaluate.shared(reader.skeleton, _SAYS)
    rows = []
    for path in given.files:
        peer = MoveNet(path, reader.skeleton)
        found = evaluate.find(peer, reader, peer.input_size, progress=True)
        report = found.score(only)
        rows.append(
            {
                "file": Path(path).name,
                "bytes": Path(path).stat().st_size,
                "input": "x".join(map(str, peer.input_size)),
                "data": Path(given.data).name,
                "persons": report.persons - report.left_out,
                "key_points": len(only),
                "pck@0.2": round(report.mean("pck@0.2"), 2),
                "pck@0.1": round(report.mean("pck@0.1"), 2),
            }
        )
    timings = benchmark.compare(given.files, threads=1, rounds=given.rounds)
    for row, timing in zip(rows, timings, strict=True):
        row["latency_ratio"] = round(timing.ratio, 3)
        print(row)
    table.write_with_command(RESULTS, rows, __file__)


if __name__ == "__main__":
    main()
