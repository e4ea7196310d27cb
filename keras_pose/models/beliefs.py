"""What CPM and CPMMobile share: stages of belief maps as a network, and what they are taught.

Convolutional Pose Machines (Wei et al., 2016), section 3.3. Symbols: B batch, K key points, h x w a
map's size.
"""

import functools

import keras
from keras import layers, ops

from keras_pose import skeletons
from keras_pose.codecs import GaussianHeatmap
from keras_pose.errors import PoseError
from keras_pose.layers.center import FirstChannels
from keras_pose.models.network import PoseNetwork, sides
from keras_pose.models.start import check, start

STRIDE = 8  # of the maps
SUPERVISED = ("all", "last")
_CUT = 0.01  # of a peak: where a Gaussian ends, as released


def stage_name(number) -> str:
    """The output of a stage, counted from 1: K maps and the background's."""
    return f"stage{number}"


def network(builder, image, beliefs, skeleton, arguments, backbone=None, floats=()) -> PoseNetwork:
    """A PoseNetwork of stages.

    beliefs: each stage's maps (B, h, w, K + 1), the background's last. arguments: what the builder
    was called with, `checked`. backbone: whose weights it may begin with. floats: as PoseNetwork's.
    Outputs: `stage1`, `stage2`, ... and `heatmaps`, the last stage's without the background.
    """
    # next to what the stages read of each other, so that inference can leave the others out
    outputs = {
        stage_name(n): layers.Identity(dtype="float32", name=stage_name(n))(maps)
        for n, maps in enumerate(beliefs, 1)
    }
    codec = GaussianHeatmap(
        arguments["input_size"], beliefs[-1].shape[1:3], sigma=arguments["sigma"]
    )
    parts = FirstChannels(skeleton.count, dtype="float32", name=codec.head)
    taught = (codec, len(beliefs), arguments["supervised"], arguments["others"])
    made = PoseNetwork(
        image,
        {**outputs, codec.head: parts(beliefs[-1])},
        skeleton=skeleton,
        codec=codec,
        builder=builder,
        arguments={**arguments, "weights": None},
        criterion=functools.partial(Beliefs, *taught),
        floats=floats,
    )
    if arguments["weights"] is not None:
        start(made, backbone, arguments["weights"])
    return made


def checked(arguments, **least):
    """(skeleton, input size) of a builder's arguments, which become plain types.

    least: names of whole numbers, and the smallest that each may be.
    Raises PoseError for what cannot be built.
    """
    check({"frozen_norm": False, **arguments})
    whole_numbers(arguments, stages=1, others=0, **least)
    if arguments["supervised"] not in SUPERVISED:
        raise PoseError(
            f"supervised among {SUPERVISED}", repr(arguments["supervised"]), "Choose one of them."
        )
    kernels = list(arguments["kernels"])
    if not kernels or any(type(k) is not int or k < 1 or k % 2 == 0 for k in kernels):
        raise PoseError("kernels of odd sides", repr(kernels), "Write (11, 11, 11).")
    if not arguments["center_sigma"] > 0:
        raise PoseError("a positive center_sigma", repr(arguments["center_sigma"]), "Leave it out.")
    skeleton, size = skeletons.get(arguments["skeleton"]), sides(arguments["input_size"])
    if any(side % STRIDE for side in size) or min(size) < 3 * STRIDE:
        raise PoseError(
            f"an input whose sides are multiples of {STRIDE}, {3 * STRIDE} at least",
            f"input_size={size}",
            "Take the next larger multiple.",
        )
    arguments |= {"skeleton": skeleton.to_dict(), "input_size": list(size), "kernels": kernels}
    return skeleton, size


def whole_numbers(arguments, **least):
    """Raises PoseError for an argument that is no whole number, or below its least."""
    for name, value in least.items():
        if type(arguments[name]) is not int or arguments[name] < value:
            raise PoseError(
                f"{name} as a whole number from {value}", repr(arguments[name]), "Change it."
            )


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
