"""Trains two dense layers whose weights all begin at 2, in a process of its own.

optimizer_worker.py '[{settings of recipe.Optimizer}, devices, precision]' makes one step and prints
the mean of every variable. The loss is the sum of the outputs, so all gradients have one sign and
Adam's first step is the learning rate.
"""

import json
import sys

import keras
import numpy as np

from keras_pose.training import optimizers, strategy
from keras_pose.training.recipe import Optimizer


def main(settings, devices, precision):
    if devices > 1:
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * devices,
        )
    keras.config.set_dtype_policy(precision)
    scope, replicas = strategy.choose()
    assert replicas == devices
    with scope:
        image = keras.Input((3,))
        two = {"kernel_initializer": "ones", "bias_initializer": "ones"}
        names = ("layer1_sampling_offsets", "attention")
        outputs = [keras.layers.Dense(4, name=n, **two)(image) for n in names]
        model = keras.Model(image, keras.layers.Concatenate(dtype="float32")(outputs))
        model.set_weights([2 * w for w in model.get_weights()])
        optimizer = optimizers.build(Optimizer(rate=0.1, warmup=0, **settings), 10)
        if precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model.compile(optimizer, loss=lambda _, outputs: keras.ops.sum(outputs, axis=-1))
    model.fit(np.ones((4, 3), "float32"), np.ones((4, 8), "float32"), verbose=0)
    means = {v.path: float(np.mean(keras.ops.convert_to_numpy(v))) for v in model.variables}
    print(json.dumps(means))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
