"""What predictions are compared by. Symbols: B batch, K key points, h x w a map's size.

A criterion is a layer that compares all predictions of a network, a dict of tensors, with a batch's
`y`: `keypoints` (B, K, 2) normalised, `visible` (B, K), `person` (B,), 0 in a crop without anyone.
"""

import math

import keras
from keras import ops

from keras_pose.errors import PoseError
from keras_pose.layers.flow import RealNVP

_SMALLEST_SCALE = 1e-4  # of the crop's side
_LARGEST_ERROR = 100.0  # in scales, of those that a flow sees


def partial_mse(target, predicted, weight):
    """Partial mean squared error, RePose equation 3.

    target, predicted: (B, h, w, K) maps; weight: (B, K), 1 for the key points that count.
    The squared error is averaged over cells, then over a person's counting key points only, then
    over the batch; a person with none contributes 0. Returns a scalar.
    """
    return mean_over_annotated(ops.mean(ops.square(target - predicted), axis=(1, 2)), weight)


def softmax_cross_entropy(target, predicted, weight):
    """Cross-entropy between a target distribution over the cells and a softmax of the logits.

    target: (B, h, w, K), each map summing to 1; predicted: (B, h, w, K) logits; weight: (B, K).
    Averaged over key points and persons as in `partial_mse`. Returns a scalar.
    """
    log_total = ops.logsumexp(predicted, axis=(1, 2))
    return mean_over_annotated(log_total - ops.sum(target * predicted, axis=(1, 2)), weight)


def mean_over_annotated(error, weight):
    """(B, K) errors to a scalar: over the key points that count, then over the batch."""
    count = ops.maximum(ops.sum(weight, axis=1), 1.0)
    return ops.mean(ops.sum(error * weight, axis=1) / count)


BY_CODEC = {
    "gaussian": partial_mse, "softmax": softmax_cross_entropy, "integral": softmax_cross_entropy
}  # fmt: skip


class Maps(keras.Layer):
    """The criterion of networks whose outputs are maps: its codec's targets and loss (BY_CODEC).

    Every map, intermediate ones included, is resized to the codec's and adds its own loss (RePose
    section 3.3). In a crop without a person every key point counts and its target is the empty map.
    A key point beyond the crop, where no map reaches, does not count: coordinates may teach it.
    """

    def __init__(self, codec):
        super().__init__(dtype="float32")
        self.codec, self.loss = codec, BY_CODEC[codec.kind]

    def call(self, predictions, y):
        visible = on_maps(y)
        target = self.codec.encode(y["keypoints"], visible)
        weight = visible + (1.0 - y["person"][:, None])
        size = self.codec.map_size
        return sum(self.loss(target, _resized(m, size), weight) for m in predictions.values())


def on_maps(y):
    """(B, K): 1 for the known key points of a batch's `y` that lie inside the crop."""
    inside = ops.all(ops.logical_and(y["keypoints"] >= 0, y["keypoints"] <= 1), axis=-1)
    return y["visible"] * y["person"][:, None] * ops.cast(inside, "float32")


def _resized(maps, size):
    return maps if tuple(maps.shape[1:3]) == size else ops.image.resize(maps, size)


def laplace(error):
    """Negative logarithm of a Laplace density of scale 1. error: any shape, in scales."""
    return ops.abs(error) + math.log(2.0)


def released(error):
    """What Poseur's and RLE's released code counts instead: a normal density's constant, and the
    error of a Laplace density that is wider by the square root of 2.

    Against `laplace`, (1 - 1 / sqrt(2)) |error| less and log(sqrt(pi / 2)) = 0.226 more.
    """
    return ops.abs(error) / math.sqrt(2.0) + 0.5 * math.log(2.0 * math.pi)


RESIDUALS = {"laplace": laplace, "released": released}


class RLE(keras.Layer):
    """Residual log-likelihood estimation (Li et al., 2021), Poseur equations 2 to 4.

    Predictions are (B, P, 4): locations and scales of P = K key points, or of several groups of K,
    each compared with the same truth. With error = (location - truth) / scale, a key point costs,
    summed over its two axes,

        log(scale) - log flow(error)  +  log(scale) + residual(error),

    the flow's density being the joint one of both axes, counted for each, as released. Averaged
    over batch and predicted points, summed over the predictions. "coarse" has a flow of its own,
    all others share one.

    Key points that are not visible cost nothing. In a crop without a person no location is taught;
    there every scale is to be 1, -log(scale) (an addition: without it, such a crop would
    get as good a score as any).

    count: K. residual: "laplace", which makes the second half the negative logarithm of equation
    7, or "released".

    What is bounded, since a scale is a sigmoid's output and reaches 0 in float32: scales grow by a
    ten-thousandth (a fiftieth of a pixel), which leaves a gradient everywhere, so that an
    overconfident scale can come back; and a flow sees errors up to a hundred scales, since its
    squares of larger ones would drown the other terms. Beyond, the residual alone pulls.
    """

    def __init__(self, count, residual="laplace"):
        super().__init__(dtype="float32")
        if residual not in RESIDUALS:
            raise PoseError(
                f"a residual among {sorted(RESIDUALS)}", repr(residual), "Choose one of them."
            )
        self.count, self.residual = count, RESIDUALS[residual]

    def build(self, predictions_shape):
        """predictions_shape: name to shape of what will be compared."""
        names = sorted({_flow_of(name) for name in predictions_shape})
        self.flows = {n: RealNVP(dtype="float32", name=f"{n}_flow") for n in names}
        for flow in self.flows.values():
            flow.build()

    def call(self, predictions, y):
        return sum(self._cost(self.flows[_flow_of(n)], p, y) for n, p in predictions.items())

    def _cost(self, flow, predicted, y):
        groups = predicted.shape[1] // self.count
        person = y["person"][:, None]
        weight = ops.tile(y["visible"] * person, (1, groups))
        truth = ops.tile(y["keypoints"], (1, groups, 1))
        # not a product: the coordinates of what is not visible may be anything
        apart = ops.where(weight[..., None] > 0, predicted[..., :2] - truth, 0.0)
        scale = predicted[..., 2:] + _SMALLEST_SCALE
        error = apart / scale
        seen = ops.reshape(ops.clip(error, -_LARGEST_ERROR, _LARGEST_ERROR), (-1, 2))
        density = ops.reshape(flow.log_prob(seen), ops.shape(weight))
        width = ops.sum(ops.log(scale), axis=-1)
        cost = 2.0 * (width - density) + ops.sum(self.residual(error), axis=-1)
        return ops.mean(weight * cost - (1.0 - person) * width)


class WithMaps(keras.Layer):
    """Another criterion, and a heatmap of every key point.

    The prediction called `MAPS`, logits (B, h, w, K), costs `weight` times what `Maps` says of it,
    and the other predictions what `criterion` says. With `FEATURES` (B, h, w, C) in its place, a
    1 x 1 convolution of this layer's own makes the maps, and nothing of it stays in the network. An
    addition to Poseur, which instead begins with a backbone that was trained on heatmaps (its
    section 4.1).

    codec: of the maps.
    """

    MAPS, FEATURES = "heatmaps", "features"

    def __init__(self, criterion, codec, count, weight):
        super().__init__(dtype="float32")
        self.criterion, self.weight = criterion, weight
        self.maps = Maps(codec)
        self.count, self.head = count, None

    def build(self, predictions_shape):
        shapes = dict(predictions_shape)
        if self.FEATURES in shapes:
            self.head = keras.layers.Conv2D(self.count, 1, dtype="float32", name="guiding_maps")
            self.head.build(shapes.pop(self.FEATURES))
        shapes.pop(self.MAPS, None)
        self.criterion.build(shapes)

    def call(self, predictions, y):
        others = dict(predictions)
        maps = self.head(others.pop(self.FEATURES)) if self.head else others.pop(self.MAPS)
        return self.criterion(others, y) + self.weight * self.maps({self.MAPS: maps}, y)


def _flow_of(name):
    return "coarse" if name == "coarse" else "decoder"
