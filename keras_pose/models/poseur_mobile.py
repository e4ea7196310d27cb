"""PoseurMobile: Poseur in a network that a phone can run.

It is Poseur's method: a coarse guess, one query per key point, a decoder that samples multi-level
features around the guess and moves it, scales that make the scores, RLE, noisy groups in training.
Where it departs, and why:
- BatchNormalization in place of GroupNormalization and LayerNormalization: it folds into the
  layer before it. In the decoder it stands at the end of each branch, before the sum (after the sum
  it would not fold), and each layer has its own, since statistics differ from layer to layer even
  where weights are shared.
- the value projection W_v comes before the sampling and is the neck's own 1 x 1 convolution. By
  linearity the order changes nothing (that is the paper's point) but for samples beyond the maps,
  which are 0 in place of the projection's bias; with weights shared by all
  layers the projection is made once, each head reads its own C / heads channels, and a layer
  gathers a fourth of the numbers at 4 heads.
- 128 channels, 4 heads, levels 8, 16 and 32: level 4 has three quarters of all cells and gives
  0.3 points of 74.7 (Table 1d).
- query = position + class, as the paper writes it; the released code mixes two encodings and adds
  the class again in every layer. No place encoding on the maps.
- initial="heatmap" guesses the peaks of heatmaps over the finest level, initial="integral" their
  means (see encoder): pooled features have lost the place, and a coarse branch on them learns
  slowly. The default is the paper's.
- one hidden layer for reference, location and scale in place of three perceptrons of two.
- no dropout; the coarse branch is a plain dense layer; one noisy group, 256 hidden features.
In training, noisy queries are part of the decoder's batch statistics, which the noise therefore
moves a little; in inference there are none. With shared=False the projection before the sampling is
still one for all layers.
"""

import keras
from keras import layers

from keras_pose import backbones
from keras_pose.backbones import mobilenet_v2, movenet
from keras_pose.errors import PoseError
from keras_pose.layers import table
from keras_pose.layers.norm import batch_norm
from keras_pose.models import regression
from keras_pose.models.decoder import DecoderShape, LeanDecoder
from keras_pose.models.encoder import KeypointEncoder
from keras_pose.models.network import PoseNetwork
from keras_pose.models.regression import checked

BACKBONES = (mobilenet_v2.NAME, *movenet.ENDS)


def PoseurMobile(
    skeleton="lsp14",
    input_size=(256, 192),
    backbone="mobilenet_v2",
    alpha=1.0,
    frozen_norm=False,
    weights=None,
    levels=(8, 16, 32),
    channels=128,
    decoder_layers=3,
    heads=4,
    points=4,
    feed_forward=256,
    shared=True,
    self_attention=True,
    initial="coarse",
    noise_groups=1,
    score="laplace",
    residual="laplace",
    map_weight=0.0,
) -> PoseNetwork:
    """A regression network for phones; see the module for what departs from the paper.

    Input: image (B, H, W, 3) float32 RGB 0..255, sides divisible by 32. Outputs as Poseur's:
    `coarse`, `layer1` ... and `coordinates`, each (B, K, 4); with initial="heatmap" there are
    `heatmaps` (B, h, w, K) of the finest level in place of `coarse`.

    backbone: one of BACKBONES. alpha: width of MobileNetV2, 0.35 to 1.4. map_weight: above 0,
    training also teaches heatmaps over the finest level and counts their loss so often
    (losses.WithMaps): those that the guess is read from, if it is, without which "heatmap" is
    refused. The other arguments are Poseur's.

    Raises PoseError for a level that the backbone lacks, sides that its strides do not divide,
    weights of other key points, and choices that do not exist.
    """
    arguments = dict(locals())
    skeleton, input_size = checked(arguments)
    if backbone not in BACKBONES:
        raise PoseError(f"a backbone among {BACKBONES}", repr(backbone), "Choose one of these.")
    backbones.check(backbone, input_size, levels)
    arguments |= {
        "skeleton": skeleton.to_dict(), "input_size": list(input_size), "levels": list(levels)
    }  # fmt: skip

    image = keras.Input((*input_size, 3), name="image")
    features = backbones.build(backbone, image, alpha=alpha, frozen_norm=frozen_norm)
    deepest = max(features)
    projected = {s: _projected(features[s], channels, s) for s in sorted({*levels, deepest})}
    maps = [projected[s] for s in levels]
    decoder = LeanDecoder(
        DecoderShape(
            skeleton.count, tuple(m.shape[1:3] for m in maps), channels, decoder_layers, heads,
            points, feed_forward, 0.0, shared, self_attention,
        )
    )  # fmt: skip
    return regression.network(
        "PoseurMobile",
        image,
        layers.GlobalAveragePooling2D(name="pool")(projected[deepest]),
        table(maps, decoder.parts, name="table"),
        KeypointEncoder(skeleton.count, channels, "sum"),
        decoder,
        layers.Dense,
        skeleton,
        arguments,
        projected[min(levels)],
    )


def _projected(x, channels, stride):
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"neck{stride}_conv")(x)
    return batch_norm(f"neck{stride}_norm")(x)
