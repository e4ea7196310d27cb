"""Attention among key points."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pose")
class HeadAttention(keras.layers.Layer):
    """Scaled dot-product attention in several heads, between the key points of one group.

    Inputs: queries, keys and values, (B, G K, C) each, already projected. Queries come in G groups
    of K (one in inference); the groups do not see each other (papers-facts of Poseur: noisy groups
    are folded into the batch). Output: (B, G K, C), heads side by side.

    heads: they divide C. group: K. dropout: of the attention weights, in training.
    """

    def __init__(self, heads, group, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.group = heads, group
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None
        self.rate = dropout

    def call(self, inputs, training=False):
        queries, keys, values = inputs
        length, channels = queries.shape[1:]
        size = channels // self.heads
        queries = queries * size**-0.5  # here, where a converter folds it into the projection
        queries, keys, values = (
            ops.reshape(x, (-1, self.group, self.heads, size)) for x in (queries, keys, values)
        )
        scores = ops.matmul(ops.transpose(queries, (0, 2, 1, 3)), ops.transpose(keys, (0, 2, 3, 1)))
        weights = ops.softmax(scores, axis=-1)
        if self.dropout:
            weights = self.dropout(weights, training=training)
        mixed = ops.matmul(weights, ops.transpose(values, (0, 2, 1, 3)))
        return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, length, channels))

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def multiply_adds(self, inputs, outputs):
        _, length, channels = inputs[0].shape
        return 2 * length * self.group * channels

    def get_config(self):
        config = super().get_config()
        return {**config, "heads": self.heads, "group": self.group, "dropout": self.rate}
