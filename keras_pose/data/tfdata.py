"""Batches as a tf.data.Dataset: the only file of this room that imports TensorFlow."""

import tensorflow as tf

from keras_pose.data.batches import Loader


def epoch(loader: Loader, epoch: int, start: int = 0, workers: int = 2) -> tf.data.Dataset:
    """Steps start.. of one epoch as a tf.data.Dataset of (x, y), see Loader.batch.

    workers: batches prepared at once. Shapes are static, except for the batch's in a loader whose
    last batch is smaller. The order is deterministic. Under a tf.distribute strategy each worker
    reads its own Loader's shard, so automatic sharding is off.
    """
    batch = loader.batch_size if loader.full else None
    side, joints = loader.patch_size, loader.reader.skeleton.count
    x = {"patch": (side, side, 3), "matrix": (2, 3), "color": (2, 3)}
    if loader.poses:
        x["pose"] = (joints, 3)
    y = {"keypoints": (joints, 2), "visible": (joints,), "person": ()}
    if loader.others:
        y |= {"others": (loader.others, joints, 2), "others_visible": (loader.others, joints)}
    kinds = [tf.uint8] + [tf.float32] * (len(x) - 1 + len(y))

    def read(step):
        inputs, targets = loader.batch(epoch, int(step))
        return [*(inputs[k] for k in x), *(targets[k] for k in y)]

    def shaped(step):
        arrays = tf.numpy_function(read, [step], kinds, stateful=False)
        for array, shape in zip(arrays, [*x.values(), *y.values()], strict=True):
            array.set_shape((batch, *shape))
        return dict(zip(x, arrays[: len(x)], strict=True)), dict(
            zip(y, arrays[len(x) :], strict=True)
        )

    data = tf.data.Dataset.range(start, loader.steps)
    data = data.map(shaped, num_parallel_calls=workers, deterministic=True).prefetch(workers)
    options = tf.data.Options()
    # there is nothing to tune, and at an epoch's end its thread may sleep out a minute before the
    # iterator can go (seen in 4 of 10 epochs)
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return data.with_options(options)
