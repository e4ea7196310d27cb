"""What the stages of a Convolutional Pose Machine are taught (Wei et al., 2016, section 3.3)."""

import keras
from keras import ops

SUPERVISED = ("all", "last")
_CUT = 0.01  # of a peak: where a Gaussian ends, as released


def stage_name(number) -> str:
    """The output of a stage, counted from 1: K maps and the background's."""
    return f"stage{number}"


class Beliefs(keras.Layer):
    """The criterion of networks of stages, each of which predicts K + 1 maps.

    A stage costs the sum over cells and maps of the squared error, over twice the batch (equation
    4, halved as released); the stages' costs are summed (equation 5). The maps of a stage are a
    Gaussian per key point, 0 where it is below a hundredth of its peak, and last the background's,
    1 minus the highest of the others. Stage 1 sees one person's neighbourhood at most, so it is
    taught the peaks of everybody in the crop, summed and at most 1; later stages those of the
    person in the middle alone (section 4.2).

    A key point that is not annotated costs nothing; the background always counts. In a crop
    without a person all maps count, and only the background's is not empty.

    codec: of the K maps. stages: how many there are. supervised: "all" of them or the "last" one
    (section 4.1, scheme iv). others: up to how many other persons of a crop the batches are to
    bring, see keras_pose.data.batches.Loader. Without them a batch is one of single persons.
    """

    def __init__(self, codec, stages, supervised="all", others=0):
        super().__init__(dtype="float32")
        self.codec, self.others = codec, others
        numbers = range(1, stages + 1) if supervised == "all" else [stages]
        self.supervised = [stage_name(n) for n in numbers]

    def call(self, predictions, y):
        return sum(self.costs(predictions, y).values())

    def costs(self, predictions, y):
        """Name of each supervised stage to its cost, a scalar.

        predictions: stage name to (B, h, w, K + 1); y: a batch's, see keras_pose.losses, and, where
        others are asked for, `others` (B, M, K, 2) and `others_visible` (B, M, K).
        """
        person = y["person"][:, None]
        weight = y["visible"] * person + (1.0 - person)
        weight = ops.concatenate([weight, ops.ones_like(person)], axis=-1)[:, None, None]
        everyone, own = self.targets(y)
        costs = {}
        for name in self.supervised:
            target = everyone if name == stage_name(1) else own
            error = ops.sum(weight * ops.square(predictions[name] - target), axis=(1, 2, 3))
            costs[name] = 0.5 * ops.mean(error)
        return costs

    def targets(self, y):
        """What stage 1 and what the later ones should predict, (B, h, w, K + 1) each."""
        seen = y["visible"] * y["person"][:, None]
        own = everyone = self._peaks(y["keypoints"], seen)
        if "others" in y and y["others"].shape[1]:
            (people, count), (h, w) = y["others"].shape[1:3], self.codec.map_size
            # one after the other on the key points' axis
            points = ops.reshape(y["others"], (-1, people * count, 2))
            there = ops.reshape(y["others_visible"], (-1, people * count))
            peaks = ops.reshape(self._peaks(points, there), (-1, h, w, people, count))
            everyone = ops.minimum(own + ops.sum(peaks, axis=3), 1.0)
        return _with_background(everyone), _with_background(own)

    def _peaks(self, points, visible):
        maps = self.codec.encode(points, visible)
        return ops.where(maps < _CUT, 0.0, maps)


def _with_background(maps):
    background = 1.0 - ops.max(maps, axis=-1, keepdims=True)
    return ops.concatenate([maps, background], axis=-1)
