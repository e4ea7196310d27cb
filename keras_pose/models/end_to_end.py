"""E2E-refine: an estimator and a PoseFix behind it, trained as one network.

What PoseFix is compared with in its Table 1: the refining part learns from one estimator's poses,
which it may overfit to, and not from drawn errors. Nobody deploys it.
"""

import functools

import keras
from keras import layers, ops

from keras_pose.codecs import SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.layers import SoftArgmax
from keras_pose.models import parts
from keras_pose.models.network import PoseNetwork
from keras_pose.models.posefix import PoseFix
from keras_pose.models.simple_baseline import SimpleBaseline

ESTIMATED = "estimated"  # the prediction that holds the estimator's maps


def EndToEnd(
    skeleton="coco17",
    input_size=(256, 192),
    estimator=None,
    refiner=None,
    weights=None,
    refiner_weights=None,
) -> PoseNetwork:
    """SimpleBaseline, and PoseFix on the same picture and SimpleBaseline's own answer.

    Input: image (B, H, W, 3) float32 RGB 0..255. Outputs, K = key points of the skeleton:
    `estimated` and `heatmaps` (B, h, w, K), logits of the estimator and of what refines it. The
    pose between them is the soft-argmax of the first, complete; the loss of the second goes through
    it. Each part is taught by its own loss, and these are added up.

    estimator, refiner: dicts of the arguments of SimpleBaseline, whose loss is "softmax", and of
    PoseFix, but for the skeleton, the input size and the weights. weights, refiner_weights: what
    each begins with, see keras_pose.models.start; in the paper a trained estimator, and a backbone.

    Raises PoseError for what either refuses, for arguments that it does not have and those that are
    set here.
    """
    estimator = parts.checked("estimator", estimator, SimpleBaseline)
    refiner = parts.checked("refiner", refiner, PoseFix)
    shared = {"skeleton": skeleton, "input_size": input_size}
    first = SimpleBaseline(**{"loss": "softmax", **estimator}, **shared, weights=weights)
    if not isinstance(first.codec, SoftmaxHeatmap):
        raise PoseError(
            "an estimator whose maps have a mean, taught by loss='softmax'",
            f"a {first.codec.kind} one",
            "Train SimpleBaseline with --set network.loss=softmax.",
        )
    second = PoseFix(**refiner, **shared, weights=refiner_weights)

    image, maps = first.inputs[0], first.output[first.prediction]
    points = SoftArgmax(dtype="float32", name="estimated_points")(maps)
    pose = layers.Concatenate(dtype="float32", name="estimated_pose")(
        [points, ops.ones_like(points[..., :1])]
    )
    refined = second.inference()({"image": image, "pose": pose})
    arguments = {
        "skeleton": first.skeleton.to_dict(), "input_size": list(first.input_size),
        "estimator": parts.own(first), "refiner": parts.own(second),
    }  # fmt: skip
    return PoseNetwork(
        image,
        {ESTIMATED: maps, second.prediction: refined},
        skeleton=first.skeleton,
        codec=second.codec,
        builder="EndToEnd",
        arguments=arguments,
        criterion=functools.partial(BothLosses, first, second),
        codecs={ESTIMATED: first.codec},
    )


class BothLosses(keras.layers.Layer):
    """The estimator's loss of its own maps, and the refining part's of its own."""

    def __init__(self, first, second):
        super().__init__(dtype="float32")
        self.first, self.second = first.criterion(), second.criterion()
        self.heads = first.prediction, second.prediction

    def build(self, predictions_shape):
        """Both are built already; predictions_shape: name to shape of what will be compared."""

    def call(self, predictions, y):
        before, after = self.heads
        estimated = self.first({before: predictions[ESTIMATED]}, y)
        return estimated + self.second({after: predictions[after]}, y)
