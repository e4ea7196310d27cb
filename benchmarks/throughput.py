"""How much of a network's training speed is left when it is fed from JPEG files.

python benchmarks/throughput.py --data DIR --out benchmarks/results/throughput.csv

Two trainings of the same network, batch size and optimizer take turns, round by round: `fit` of
PoseTask on batches read from files, augmented, warped and encoded; and `fit` of the bare network on
ready pictures and targets. Images per second are medians over the rounds.
"""

import argparse
import sys
import time

import numpy as np
import table

from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet

_READY = 40  # different batches that the bare network turns over


def measure(size, data, batch_size, steps, rounds):
    """(images/s of PoseTask.fit from files, images/s of the bare network), medians."""
    import keras
    import tensorflow as tf
    from keras import ops

    from keras_pose import losses
    from keras_pose.data import tfdata
    from keras_pose.data.batches import Loader
    from keras_pose.data.open import open_reader
    from keras_pose.task import PoseTask
    from keras_pose.training import optimizers, recipe

    chosen = recipe.load("repose_lite_lsp", [f"network.size={size}"])
    reader = open_reader(data, "train")
    loader = Loader(reader, chosen.input_size, batch_size, augment=chosen.augment, seed=0)

    if loader.steps < steps:
        raise PoseError(
            f"at least {steps} batches of {batch_size}",
            f"{loader.steps} in {data}",
            "Lower --steps.",
        )

    class Bare(keras.Model):
        def __init__(self, network):
            super().__init__()
            self.network, self.built = network, True

        def call(self, x, training=False):
            return self.network(x, training=training)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            weight = ops.ones((batch_size, reader.skeleton.count))
            loss = losses.BY_CODEC[self.network.codec.kind]
            size = self.network.codec.map_size
            maps = [
                m if m.shape[1:3] == size else ops.image.resize(m, size) for m in y_pred.values()
            ]
            return sum(loss(y, m, weight) for m in maps)

    def compiled(task):
        task.compile(optimizer=optimizers.build(chosen.optimizer, 10_000), jit_compile=False)
        return task

    fed = compiled(PoseTask(chosen.build(reader.skeleton)))
    bare = compiled(Bare(chosen.build(reader.skeleton)))
    # many batches: on one alone a network soon overfits, and its tiny numbers make the CPU slow
    pairs = [loader.batch(0, step) for step in range(min(steps, _READY))]
    images = np.stack([np.asarray(fed.images(x)) for x, _ in pairs])
    codec = fed.network.codec
    targets = np.stack([np.asarray(codec.encode(y["keypoints"], y["visible"])) for _, y in pairs])
    ready = tf.data.Dataset.from_tensor_slices((images, targets)).repeat().take(steps)
    files = [tfdata.epoch(loader, e).take(steps) for e in range(rounds + 1)]
    speeds = []
    for data_of_round in files:
        pair = []
        for task, batches in ((fed, data_of_round), (bare, ready)):
            began = time.perf_counter()
            task.fit(batches, verbose=0, shuffle=False)
            pair.append(steps * batch_size / (time.perf_counter() - began))
        speeds.append(pair)
    return np.median(speeds[1:], axis=0)  # the first round compiles


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="an LSP or COCO folder")
    parser.add_argument("--out", default="benchmarks/results/throughput.csv")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60, help="of each training in a round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows = []
    for size, target in (("m", 0.80), ("s", 0.65)):
        with quiet():
            fed, bare = measure(size, given.data, given.batch_size, given.steps, given.rounds)
        rows.append(
            {
                "network": f"RePoseLite {size}",
                "batch_size": given.batch_size,
                "from_files_images_per_s": round(float(fed), 1),
                "bare_images_per_s": round(float(bare), 1),
                "ratio": round(float(fed / bare), 3),
                "target": target,
            }
        )
        print(rows[-1])
    table.write_with_command(given.out, rows, __file__)
    if any(row["ratio"] < row["target"] for row in rows):
        sys.exit("error: a ratio is below its target")


if __name__ == "__main__":
    main()
