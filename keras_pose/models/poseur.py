"""Poseur (Mao et al., 2022): key points as queries that look into feature maps and move.

A backbone gives maps at several strides. A coarse branch guesses every key point from the pooled
last one; a query made of that guess and of the key point's class goes through N decoder layers,
each of which lets the queries see each other, samples the maps around the current guess, and moves
it. Each guess is a distribution, location and scale, trained by residual log-likelihood estimation
(losses.RLE).
"""

import keras
from keras import layers

from keras_pose import backbones
from keras_pose.layers import DirectionDense, GridEncoding, table
from keras_pose.models import regression
from keras_pose.models.decoder import DecoderShape, QueryDecoder
from keras_pose.models.encoder import KeypointEncoder
from keras_pose.models.network import PoseNetwork
from keras_pose.models.regression import checked

# channels that GroupNormalization takes together, as 32 groups of the release's 256; of groups of
# one the pooled map would be 0 everywhere
_GROUP = 8


def Poseur(
    skeleton="coco17",
    input_size=(256, 192),
    backbone="resnet50",
    alpha=1.0,
    stride_in="3x3",
    frozen_norm=False,
    weights=None,
    levels=(4, 8, 16, 32),
    channels=256,
    decoder_layers=3,
    heads=8,
    points=4,
    feed_forward=1024,
    dropout=0.1,
    query="concatenated",
    self_attention=True,
    shared=False,
    initial="coarse",
    noise_groups=3,
    score="laplace",
    residual="laplace",
) -> PoseNetwork:
    """Poseur as published; the defaults are the base model of the paper's ablations.

    Input: image (B, H, W, 3) float32 RGB 0..255. Outputs, K = key points of the skeleton: `coarse`,
    `layer1` ... and, of the last layer, `coordinates`, each (B, K, 4): x, y normalised to the crop,
    which they may leave, and the scales of both.

    backbone, alpha, stride_in, frozen_norm: see keras_pose.backbones. weights: "imagenet", a file
    of keras.applications, a folded MobileNetV2 `.npz`, or a trained `.keras` of the same network.
    levels: strides of the maps that the decoder samples (Table 1d); heads, points: of EMSDA, points
    per level. query: "concatenated", as released: the position encodings of the guess and of the
    guess kept inside the crop, mixed, with the class embedding added in every layer; or "sum", as
    the paper writes it: position and class added once. self_attention, shared: the supplement's
    Tables 2 and 3. initial: reference points from the "coarse" branch or, as in Deformable DETR,
    from the "query" (Table 1a); "integral", an addition, has them from maps over the finest level.
    noise_groups: groups of K noisy queries in training, 0 for none (Table 1b). score: how a key
    point's confidence comes of its scale (Table 1c; see codecs.Coordinates). residual: constants
    of the loss (losses.RLE).

    Not given by the paper, and taken from the released code: GroupNormalization behind the 1 x 1
    projections, sine and level encodings on the maps, a coarse branch on the projected last level.
    What differs from it: sampling offsets and attention logits start from zero weights, which the
    release intends but overwrites, and so do the last layers of the predictions, so that training
    begins with the middle of the crop and wide scales; coarse points are kept within ten crops; the
    flow's prior has its mean at 0, as RLE's; scores are equation 8 as it stands (the release
    multiplies by 0.7); residual="released" gives its constants.

    Raises PoseError for a level that the backbone lacks, sides that its strides do not divide,
    weights of other key points, and choices that do not exist.
    """
    arguments = dict(locals())
    skeleton, input_size = checked(arguments)
    backbones.check(backbone, input_size, levels)
    arguments |= {
        "skeleton": skeleton.to_dict(), "input_size": list(input_size), "levels": list(levels)
    }  # fmt: skip

    image = keras.Input((*input_size, 3), name="image")
    features = backbones.build(
        backbone, image, alpha=alpha, stride_in=stride_in, frozen_norm=frozen_norm
    )
    deepest = max(features)
    projected = {s: _projected(features[s], channels, s) for s in sorted({*levels, deepest})}
    maps = [GridEncoding(dtype="float32", name=f"neck{s}_place")(projected[s]) for s in levels]
    decoder = QueryDecoder(
        DecoderShape(
            skeleton.count, tuple(m.shape[1:3] for m in maps), channels, decoder_layers, heads,
            points, feed_forward, dropout, shared, self_attention,
        )
    )  # fmt: skip
    return regression.network(
        "Poseur",
        image,
        layers.GlobalAveragePooling2D(dtype="float32", name="pool")(projected[deepest]),
        table(maps, decoder.parts, name="table"),
        KeypointEncoder(skeleton.count, channels, query),
        decoder,
        DirectionDense,
        skeleton,
        arguments,
        projected[min(levels)],
    )


def _projected(x, channels, stride):
    """1 x 1 convolution without bias and GroupNormalization, no activation."""
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"neck{stride}_conv")(x)
    name = f"neck{stride}_norm"
    return layers.GroupNormalization(channels // _GROUP, epsilon=1e-5, name=name)(x)
