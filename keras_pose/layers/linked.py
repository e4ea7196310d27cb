"""A pointwise convolution that keeps the key points' features apart."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pose")
class LinkedConv2D(keras.layers.Conv2D):
    """A 1 x 1 convolution whose output channels read only the input channels linked to them.

    links: (inputs, outputs) of 0 and 1. The kernel is multiplied by it, so weights of missing links
    stay without effect and without gradient; in an exported model they are zeros of an ordinary
    convolution. Grouped convolutions would be smaller, but they need equal groups, and train
    a hundred times slower on a CPU.
    """

    def __init__(self, links, **kwargs):
        links = np.asarray(links, "float32")
        super().__init__(filters=links.shape[1], kernel_size=1, **kwargs)
        self.links = links

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel * ops.cast(self.links, kernel.dtype))

    def get_config(self):
        config = super().get_config()
        del config["filters"], config["kernel_size"]
        return {**config, "links": self.links.tolist()}
