"""Losses over maps. Symbols: B batch, K key points, h x w the map's size."""

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
