"""The query decoder of Poseur (section 3.1), as layers that a graph may run through twice.

The network runs it on K queries. Its training graph runs the same layers on (1 + G) K, the noisy
groups behind the others. Symbols: B batch, Q queries, C channels, K key points.
"""

import dataclasses

import keras
from keras import layers

from keras_pose.layers import HeadAttention, HeadProjection, Sampling
from keras_pose.layers.deformable import ring
from keras_pose.layers.norm import batch_norm

_EDGE = 1e-5  # reference points are kept so far inside 0..1 before their logit is taken


@dataclasses.dataclass(frozen=True)
class DecoderShape:
    """What a decoder is made of.

    keypoints: K. sizes: (height, width) of each level sampled. layers: N. shared: one set of
    weights for all layers (the supplement's section 3). self_attention: without it key points do
    not see each other (the supplement's section 2).
    """

    keypoints: int
    sizes: tuple
    channels: int
    layers: int
    heads: int
    points: int
    feed_forward: int
    dropout: float
    shared: bool
    self_attention: bool


class QueryDecoder:
    """N layers of self-attention, EMSDA and feed-forward network, normalised after each sum.

    Called with queries (B, Q, C), `place`, which adds to them what tells them apart in every layer,
    reference points (B, Q, 2) and a table of features (layers.deformable.table with `self.parts`).
    Returns one prediction (B, Q, 4) per layer: x, y, and the scales of both.
    """

    parts = 1  # every head sees all channels, and projects what it sampled: EMSDA

    def __init__(self, shape: DecoderShape):
        self.shape = shape
        self._made = {}

    def __call__(self, queries, place, reference, values):
        x = queries
        logit = self._layer("reference_logit", Logit)(reference)
        predictions = []
        for i in range(1, self.shape.layers + 1):
            if self.shape.self_attention:
                x = self._residual(x, self._attend(x, place(x), i), i, "attended")
            x = self._residual(x, self._sample(place(x), reference, values, i), i, "sampled")
            x = self._residual(x, self._feed(x, i), i, "fed")
            logit, reference, prediction = self._predict(x, logit, i)
            predictions.append(prediction)
        return predictions

    def _attend(self, x, placed, i):
        shape = self.shape
        inputs = [
            self._dense(shape.channels, i, f"attention_{name}")(of)
            for name, of in (("queries", placed), ("keys", placed), ("values", x))
        ]
        heads = self._layer(
            self._own(i, "attention"), HeadAttention, shape.heads, shape.keypoints, shape.dropout
        )
        return self._dense(shape.channels, i, "attention_out")(heads(inputs))

    def _sample(self, x, reference, values, i):
        shape = self.shape
        levels = len(shape.sizes)
        start = keras.initializers.Constant(ring(levels, shape.heads, shape.points))
        count = levels * shape.heads * shape.points
        # both start from zero weights (Deformable DETR): every query looks around itself alike
        offsets = self._dense(
            2 * count, i, "sampling_offsets", kernel_initializer="zeros", bias_initializer=start
        )(x)
        logits = self._dense(count, i, "sampling_weights", kernel_initializer="zeros")(x)
        sampling = self._layer(
            self._own(i, "sampling"), Sampling, shape.sizes, shape.heads, shape.points, self.parts
        )
        return self._sampled(sampling([offsets, logits, reference, values]), i)

    def _sampled(self, x, i):
        x = self._layer(self._own(i, "sampling_values"), HeadProjection)(x)
        return self._dense(self.shape.channels, i, "sampling_out")(x)

    def _feed(self, x, i):
        hidden = self._dense(self.shape.feed_forward, i, "feed_hidden", activation="relu")(x)
        hidden = self._dropped(hidden, i, "feed_hidden")
        return self._dense(self.shape.channels, i, "feed_out")(hidden)

    def _residual(self, x, branch, i, name):
        branch = self._dropped(branch, i, name)
        x = self._layer(self._own(i, f"{name}_add"), layers.Add)([x, branch])
        norm = self._own(i, f"{name}_norm")
        return self._layer(norm, layers.LayerNormalization, epsilon=1e-5)(x)

    def _predict(self, x, logit, i):
        """Moves the reference points and predicts from the query: a point may leave the crop,
        its reference does not. Three multilayer perceptrons, the last without activations."""
        delta = self._perceptron(x, i, "reference", "relu")
        beyond = self._perceptron(x, i, "location", "relu")
        scale = self._perceptron(x, i, "scale", None)
        return self._moved(logit, delta, beyond, scale, i)

    def _perceptron(self, x, i, name, activation):
        for j in (1, 2):
            x = self._dense(self.shape.channels, i, f"{name}_{j}", activation=activation)(x)
        return self._last(x, i, name)

    def _last(self, x, i, name):
        # the first predictions are the points that came in, their scales half the crop: the flow's
        # Gaussian punishes a wrong point of small scale by the square of their ratio
        return self._dense(2, i, f"{name}_out", kernel_initializer="zeros")(x)

    def _moved(self, logit, delta, beyond, scale, i):
        logit = self._layer(f"layer{i}_logit", layers.Add)([logit, delta])
        reference = self._layer(f"layer{i}_reference", layers.Activation, "sigmoid")(logit)
        location = self._layer(f"layer{i}_location", layers.Add)([reference, beyond])
        scale = self._layer(f"layer{i}_scale", layers.Activation, "sigmoid")(scale)
        prediction = self._layer(f"layer{i}_prediction", layers.Concatenate)([location, scale])
        return logit, reference, prediction

    def _dropped(self, x, i, name):
        if not self.shape.dropout:
            return x
        return self._layer(self._own(i, f"{name}_dropout"), layers.Dropout, self.shape.dropout)(x)

    def _dense(self, units, i, name, **options):
        return self._layer(self._own(i, name), layers.Dense, units, **options)

    def _own(self, i, name):
        """The name of a layer that has weights: one for all or one for each decoder layer."""
        return f"layers_{name}" if self.shape.shared else f"layer{i}_{name}"

    def _layer(self, name, kind, *arguments, **options):
        """The layer of that name, made when first asked for; float32 whatever the policy, since
        half precision would round the points."""
        if name not in self._made:
            self._made[name] = kind(*arguments, dtype="float32", name=name, **options)
        return self._made[name]


class LeanDecoder(QueryDecoder):
    """The decoder of PoseurMobile: the same steps in fewer operations, see there."""

    def __init__(self, shape: DecoderShape):
        super().__init__(shape)
        self.parts = shape.heads  # each head sees its own channels, which the neck projected

    def _sampled(self, x, i):
        x = self._layer("sampled_heads", layers.Reshape, (-1, self.shape.channels))(x)
        return self._dense(self.shape.channels, i, "sampling_out")(x)

    def _residual(self, x, branch, i, name):
        # statistics differ from layer to layer even where weights are shared
        norm = self._layer(f"layer{i}_{name}_norm", batch_norm)
        branch = self._dropped(norm(branch), i, name)
        return self._layer(f"layer{i}_{name}_add", layers.Add)([x, branch])

    def _predict(self, x, logit, i):
        hidden = self._dense(self.shape.channels, i, "prediction_hidden", activation="relu")(x)
        heads = [self._last(hidden, i, name) for name in ("reference", "location", "scale")]
        return self._moved(logit, *heads, i)


@keras.saving.register_keras_serializable(package="keras_pose")
class Logit(layers.Layer):
    """log(p / (1 - p)) of points kept inside 0..1."""

    def call(self, points):
        points = keras.ops.clip(points, _EDGE, 1.0 - _EDGE)
        return keras.ops.log(points / (1.0 - points))

    def compute_output_shape(self, input_shape):
        return input_shape
