"""Convolutional Pose Machines (Wei et al., CVPR 2016): stages that read the beliefs of the one
before.

The layers are those of the released network of six stages, which the published counts are of. The
paper's figure 2 differs in its pools alone (`pooling`). Equation 3 lets stages from the second on
predict P + 2 maps; the figure and the release have P + 1, and so has this.
"""

import keras
from keras import layers

from keras_pose.errors import PoseError
from keras_pose.layers.center import CenterMap
from keras_pose.models.beliefs import STRIDE, checked, network, stage_name
from keras_pose.models.network import PoseNetwork

POOLING = {"released": 3, "paper": 2}  # side of a pool's window; its stride is 2
_LOCAL = 32  # features of each stage's own 5 x 5 convolution


def CPM(
    skeleton="lsp14",
    stages=6,
    input_size=(368, 368),
    pooling="released",
    supervised="all",
    sigma=7.0,
    center_sigma=21.0,
    channels=128,
    wide=512,
    kernels=(11, 11, 11),
    deviation=0.01,
    dropout=0.5,
    others=8,
    weights=None,
) -> PoseNetwork:
    """The network of the paper's figure 2; the defaults are the released one for LSP.

    Input: image (B, H, W, 3) float32 RGB 0..255, which the graph brings to value / 256 - 0.5 (the
    release does the same to BGR). Outputs, K = key points of the skeleton: `stage1`, `stage2`, ...
    (B, H / 8, W / 8, K + 1), the last map being the background's, and `heatmaps`
    (B, H / 8, W / 8, K), the last stage's without it.

    Stage 1 reads the picture. All later ones share one set of image features, and read them beside
    the beliefs of the stage before and a map that marks the middle of the crop.

    stages: from 1. pooling: "released" for windows of 3 x 3, "paper" for the 2 x 2 under which
    the receptive fields of figure 2 come out. supervised: "all" stages or the "last" alone.
    sigma: of the targets; center_sigma: of the map that marks the middle; in input pixels both.
    channels: of most convolutions; wide: of the last two of stage 1; kernels: sides of the
    convolutions with which later stages see far (figure 4). deviation: of the normal distribution
    that kernels begin with; narrower networks want more. dropout: in stage 1. others: how many
    other persons of a crop stage 1 is taught at most. weights: a `.keras` of a CPM built alike.

    Raises PoseError for arguments out of range, sides that 8 does not divide, and weights that do
    not fit.
    """
    arguments = dict(locals())
    skeleton, input_size = _checked(arguments)
    build = _Layers(arguments, skeleton.count + 1)

    image = keras.Input((*input_size, 3), name="image")
    x = layers.Rescaling(1 / 256, offset=-0.5, name="normalise")(image)
    beliefs = [build.first(x)]
    if stages > 1:
        features = build.trunk(x, "features")
        center = CenterMap(center_sigma, STRIDE, name="center")(features)
        for number in range(2, stages + 1):
            beliefs.append(build.later(features, beliefs[-1], center, stage_name(number)))
    return network("CPM", image, beliefs, skeleton, arguments)


class _Layers:
    """Builds stages of `maps` maps each."""

    def __init__(self, arguments, maps):
        self.arguments, self.maps = arguments, maps
        self.channels = arguments["channels"]

    def trunk(self, x, name):
        """Three convolutions of 9 x 9, a pool of stride 2 after each."""
        side = POOLING[self.arguments["pooling"]]
        for i in (1, 2, 3):
            x = self._convolution(x, self.channels, 9, name=f"{name}_conv{i}")
            x = layers.MaxPooling2D(side, 2, padding="same", name=f"{name}_pool{i}")(x)
        return x

    def first(self, x):
        """Stage 1: what one place of the picture says (section 3.2.1)."""
        wide, dropout = self.arguments["wide"], self.arguments["dropout"]
        x = self.trunk(x, "stage1")
        x = self._convolution(x, _LOCAL, 5, name="stage1_conv4")
        for i, kernel in ((5, 9), (6, 1)):
            x = self._convolution(x, wide, kernel, name=f"stage1_conv{i}")
            x = layers.Dropout(dropout, name=f"stage1_dropout{i}")(x)
        return self._beliefs(x, "stage1")

    def later(self, features, beliefs, center, name):
        """A stage from the second on: what the beliefs around a place say (section 3.2.2)."""
        x = self._convolution(features, _LOCAL, 5, name=f"{name}_local")
        x = layers.Concatenate(name=f"{name}_join")([x, beliefs, center])
        kernels = [*self.arguments["kernels"], 1]
        for i, kernel in enumerate(kernels, 1):
            x = self._convolution(x, self.channels, kernel, name=f"{name}_conv{i}")
        return self._beliefs(x, name)

    def _beliefs(self, x, name):
        """float32 whatever the dtype policy."""
        return self._convolution(x, self.maps, 1, None, "float32", name=f"{name}_beliefs")

    def _convolution(self, x, filters, kernel, activation="relu", dtype=None, *, name):
        normal = keras.initializers.RandomNormal(stddev=self.arguments["deviation"])
        return layers.Conv2D(
            filters, kernel, padding="same", activation=activation, kernel_initializer=normal,
            dtype=dtype, name=name,
        )(x)  # fmt: skip


def _checked(arguments):
    """Refuses what cannot be built. Returns the skeleton and the input size."""
    if arguments["pooling"] not in POOLING:
        raise PoseError(
            f"pooling among {tuple(POOLING)}", repr(arguments["pooling"]), "Choose one of them."
        )
    if not arguments["deviation"] > 0:
        raise PoseError("a positive deviation", repr(arguments["deviation"]), "Leave it out.")
    if not 0 <= arguments["dropout"] < 1:
        raise PoseError("dropout from 0 to below 1", repr(arguments["dropout"]), "Change it.")
    return checked(arguments, channels=1, wide=1)
