"""Guided points, Graph-PCNN section 3.1: where they are drawn, and what maps hold there.

Points are in cells of the map, (x, y), a cell's centre at its integer index, and always among the
cells' centres: 0..w - 1, 0..h - 1. Symbols: B batch, N points per key point, K key points, C
channels, h x w the map's size.
"""

import keras


def default_count(map_size) -> int:
    """N where nobody says it: a sixteenth of the cells, which are the paper's 48, 192 and 432 at
    the maps of 128x96, 256x192 and 384x288."""
    raise NotImplementedError


@keras.saving.register_keras_serializable(package="keras_pose")
class StagePeak(keras.layers.Layer):
    """Stage 1's answer as points to refine: maps (B, h, w, K) to points (B, 1, K, 2), in cells,
    and heat (B, 1, K), 0..1.

    codec: the maps'; it decodes with a quarter offset (section 3.4).
    """

    def __init__(self, codec, **kwargs):
        super().__init__(**kwargs)
        self.codec = codec


@keras.saving.register_keras_serializable(package="keras_pose")
class AtPoints(keras.layers.Layer):
    """Bilinear samples: points (B, N, K, 2) and a table (layers.deformable.table) of maps (B, h, w,
    C) to (B, N, K, C); of K maps with one for each key point (own=True) to (B, N, K)."""

    def __init__(self, map_size, own=False, **kwargs):
        super().__init__(**kwargs)
        self.map_size, self.own = tuple(map_size), own


class GuidedPoints(keras.layers.Layer):
    """Draws the points that stage 2 is trained on: truth (B, K, 2) in cells, known (B, K), 0 or 1,
    and heat (B, h, w, K) to points (B, N, K, 2)."""

    def __init__(self, codec, count, proportion=(1, 1, 1), shuffle=True, seed=None, **kwargs):
        super().__init__(**kwargs)
