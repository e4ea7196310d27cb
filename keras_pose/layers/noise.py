"""Noisy reference points, Poseur's query augmentation in training (section 3.1)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pose")
class NoisyReferences(keras.layers.Layer):
    """Appends groups of the same K points, of which a few are moved at random.

    Input: reference points (B, K, 2), normalised. Output: (B, (1 + groups) K, 2), the given points
    first. Of the added ones `noisy` per group, at random places that are the same in the whole
    batch, get noise of variance 0.2 per axis, cut to -1..1, and are then cut to -0.7..1.7. Outside
    training nothing is moved. Devices that share a batch draw the same noise for their own
    pictures: Keras gives each of them a copy of the generator.
    """

    def __init__(self, groups, noisy=4, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.groups, self.noisy = groups, noisy
        self.seed = keras.random.SeedGenerator(seed)

    def call(self, points, training=False):
        added = ops.tile(points, (1, self.groups, 1))
        if training:
            count = self.groups * points.shape[1]
            lot = keras.random.uniform((count,), seed=self.seed)
            chosen = min(self.groups * self.noisy, count)
            moved = ops.expand_dims(lot >= ops.top_k(lot, chosen)[0][-1], -1)
            noise = keras.random.normal(ops.shape(added), stddev=0.2**0.5, seed=self.seed)
            noise = ops.clip(ops.cast(noise, added.dtype), -1.0, 1.0)
            added = ops.where(moved, ops.clip(added + noise, -0.7, 1.7), added)
        return ops.concatenate([points, added], axis=1)

    def compute_output_shape(self, input_shape):
        batch, count, axes = input_shape
        return (batch, (1 + self.groups) * count, axes)

    def get_config(self):
        return {**super().get_config(), "groups": self.groups, "noisy": self.noisy}
