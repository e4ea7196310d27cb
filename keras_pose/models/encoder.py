"""The keypoint encoder of Poseur (section 3.1): a coarse guess of every key point, and the query
that is made of it.

The network and its training graph call the same layers, on K and on (1 + G) K points.
Symbols: B batch, K key points, Q = K or (1 + G) K queries, C channels.
"""

import keras
from keras import layers, ops

from keras_pose.layers import HeatmapPeaks, SineEncoding, SoftArgmax, lean

QUERIES = ("concatenated", "sum")
INITIAL = ("coarse", "integral", "query")
TAUGHT = "heatmap"  # an initial guess whose maps only a loss of their own can teach
_FURTHEST = 10.0


def coarse(pooled, count, dense, name="coarse"):
    """The coarse branch: pooled features (B, C) to (B, K, 4), locations and their scales.

    Returns this prediction and the locations (B, K, 2) alone, which is all that inference reads.
    dense: the locations' kind of layer, keras.layers.Dense or DirectionDense. The first guesses lie
    around the middle of the crop, with scales of half of it.
    """
    middle = keras.initializers.Constant(0.5)
    location = dense(2 * count, bias_initializer=middle, dtype="float32", name=f"{name}_location")
    return _with_scales(_pairs(location, pooled), pooled, name)


def guess(initial, features, pooled, count, dense, heatmap):
    """The first locations: what of them is compared with the truth, themselves, their maps.

    initial: "query" has none (`KeypointEncoder.references` has). features (B, h, w, C) are those
    of the finest level, of which "integral" and "heatmap" make maps; pooled: features (B, C);
    dense: see `coarse`. heatmap: the codec that the maps of "heatmap" are taught by.
    Returns a dict of outputs, (B, K, 2) or None, and logits (B, h, w, K) or None.
    """
    if initial == "query":
        return {}, None, None
    if initial == "coarse":
        prediction, location = coarse(pooled, count, dense)
        return {"coarse": prediction}, location, None
    maps = mapped(features, count, initial)
    if initial == "integral":
        prediction, location = integral(maps, pooled)
        return {"coarse": prediction}, location, maps
    return {heatmap.head: maps}, peaks(maps, heatmap), maps


def mapped(features, count, name):
    """Maps of where each key point may be: logits (B, h, w, K) of features (B, h, w, C).

    name: goes before the names of the layers that look around.
    """
    x = lean.separable(features, features.shape[-1], 5, name=name)
    return layers.Conv2D(
        count, 1, kernel_initializer="zeros", dtype="float32", name="coarse_maps"
    )(x)  # fmt: skip


def integral(maps, pooled, name="coarse"):
    """A coarse branch that looks where the features are: locations are the means of softmax maps.

    An addition to the paper. maps: logits (B, h, w, K). Returns what `coarse` does. The first
    guesses are the middle of the crop.
    """
    location = SoftArgmax(dtype="float32", name=f"{name}_locations")(maps)
    return _with_scales(location, pooled, name)


def peaks(maps, codec):
    """A guess that is where maps (B, h, w, K) are highest, (B, K, 2). Another addition: the maps
    are taught as heatmaps of `codec`, and no gradient comes through."""
    return HeatmapPeaks(codec, dtype="float32", name="coarse_peaks")(maps)


def _with_scales(location, pooled, name):
    scale = layers.Dense(
        location.shape[1] * 2, "sigmoid", kernel_initializer="zeros", dtype="float32",
        name=f"{name}_scale",
    )  # fmt: skip
    parts = [location, _pairs(scale, pooled)]
    return layers.Concatenate(dtype="float32", name=name)(parts), location


def _pairs(dense, pooled):
    shape = (dense.units // 2, 2)
    return layers.Reshape(shape, dtype="float32", name=f"{dense.name}s")(dense(pooled))


class KeypointEncoder:
    """Makes queries of reference points; called with points (B, Q, 2).

    Returns queries (B, Q, C), and the function that tells them apart in each decoder layer: it adds
    the class embedding, or nothing where the query holds that from the start.

    query: "concatenated" (the released code) or "sum" (the paper).
    """

    def __init__(self, count, channels, query):
        self.query, self._channels = query, channels
        self.classes = ClassEmbedding(count, dtype="float32", name="encoder_classes")
        self._sine = SineEncoding(channels, dtype="float32", name="encoder_sine")
        if query == "concatenated":
            self._inside = Inside(dtype="float32", name="encoder_inside")
            self._join = layers.Concatenate(dtype="float32", name="encoder_join")
            self._mix = layers.Dense(channels, dtype="float32", name="encoder_mix")
            self._norm = layers.LayerNormalization(
                epsilon=1e-5, dtype="float32", name="encoder_norm"
            )

    def __call__(self, points):
        if self.query == "sum":
            return self.classes(self._sine(points)), lambda queries: queries
        both = [self._sine(points), self._sine(self._inside(points))]
        return self._norm(self._mix(self._join(both))), self.classes

    def references(self, values):
        """Points (B, K, 2) that a linear layer reads from the class embeddings alone, as in
        Deformable DETR (Table 1a): the same in every picture. values: any tensor of the batch."""
        shape = (self.classes.count, self._channels)
        blank = Blank(shape, dtype="float32", name="encoder_blank")(values)
        project = layers.Dense(2, "sigmoid", dtype="float32", name="encoder_reference_points")
        return project(self.classes(blank))


@keras.saving.register_keras_serializable(package="keras_pose")
class ClassEmbedding(layers.Layer):
    """Adds to the queries (B, G K, C) of every group the K learned vectors of their classes."""

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def build(self, input_shape):
        start = keras.initializers.RandomNormal(stddev=1.0)
        shape = (self.count, input_shape[-1])
        self.classes = self.add_weight(name="classes", shape=shape, initializer=start)

    def call(self, queries):
        return queries + ops.tile(self.classes, (queries.shape[1] // self.count, 1))

    def compute_output_shape(self, input_shape):
        return input_shape

    def multiply_adds(self, inputs, outputs):
        return 0

    def get_config(self):
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable(package="keras_pose")
class Blank(layers.Layer):
    """Zeros of a shape, for every picture of the batch that its input has."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def call(self, inputs):
        return ops.zeros((ops.shape(inputs)[0], *self.shape), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.shape)

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


@keras.saving.register_keras_serializable(package="keras_pose")
class Guess(layers.Layer):
    """Locations (B, K, 2) without gradient: the decoder does not teach the coarse branch. Kept
    within ten crops, since the sine of a phone's library is not a number far from 0, and attention
    would give it to every key point."""

    def call(self, points):
        return ops.stop_gradient(ops.clip(points, -_FURTHEST, _FURTHEST))

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="keras_pose")
class Inside(layers.Layer):
    """Points kept inside the crop."""

    def call(self, points):
        return ops.clip(points, 0.0, 1.0)

    def compute_output_shape(self, input_shape):
        return input_shape
