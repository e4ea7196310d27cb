"""What predictions are compared by. Symbols: B batch, K key points, h x w a map's size.

A criterion is a layer that compares all predictions of a network, a dict of tensors, with a batch's
`y`: `keypoints` (B, K, 2) normalised, `visible` (B, K), `person` (B,), 0 in a crop without anyone.
"""

import keras
from keras import ops


def partial_mse(target, predicted, weight):
    """Partial mean squared error, RePose equation 3.

    target, predicted: (B, h, w, K) maps; weight: (B, K), 1 for the key points that count.
    The squared error is averaged over cells, then over a person's counting key points only, then
    over the batch; a person with none contributes 0. Returns a scalar.
    """
    return _mean_over_annotated(ops.mean(ops.square(target - predicted), axis=(1, 2)), weight)


def softmax_cross_entropy(target, predicted, weight):
    """Cross-entropy between a target distribution over the cells and a softmax of the logits.

    target: (B, h, w, K), each map summing to 1; predicted: (B, h, w, K) logits; weight: (B, K).
    Averaged over key points and persons as in `partial_mse`. Returns a scalar.
    """
    log_total = ops.logsumexp(predicted, axis=(1, 2))
    return _mean_over_annotated(log_total - ops.sum(target * predicted, axis=(1, 2)), weight)


def _mean_over_annotated(error, weight):
    """(B, K) errors to a scalar."""
    count = ops.maximum(ops.sum(weight, axis=1), 1.0)
    return ops.mean(ops.sum(error * weight, axis=1) / count)


BY_CODEC = {"gaussian": partial_mse, "softmax": softmax_cross_entropy}


class Maps(keras.Layer):
    """The criterion of networks whose outputs are maps: its codec's targets and loss (BY_CODEC).

    Every map, intermediate ones included, is resized to the codec's and adds its own loss (RePose
    section 3.3). In a crop without a person every key point counts and its target is the empty map.
    """

    def __init__(self, codec):
        super().__init__(dtype="float32")
        self.codec, self.loss = codec, BY_CODEC[codec.kind]

    def call(self, predictions, y):
        person = y["person"][:, None]
        target = self.codec.encode(y["keypoints"], y["visible"] * person)
        weight = y["visible"] * person + (1.0 - person)
        size = self.codec.map_size
        return sum(self.loss(target, _resized(m, size), weight) for m in predictions.values())


def _resized(maps, size):
    return maps if tuple(maps.shape[1:3]) == size else ops.image.resize(maps, size)
