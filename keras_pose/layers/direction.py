"""A dense layer that looks at its input's direction alone."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pose")
class DirectionDense(keras.layers.Dense):
    """W x / |x| + b: Poseur's coarse branch divides the input's length out of the product, so that
    the size of the features does not move the points."""

    def call(self, inputs):
        length = ops.sqrt(ops.sum(ops.square(inputs), axis=-1, keepdims=True) + 1e-12)
        return super().call(inputs / length)
