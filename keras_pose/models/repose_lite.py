"""RePoseLite: RePose's kinematic updates in a network that fits a phone.

What it keeps of RePose (Isack et al., 2020): a set of features per key point at a coarse
resolution, updated outward along the skeleton and back with separate weights, each from its own
and its neighbours' features; a trainable residual weight; heatmaps supervised before and after the
updates; refinement at a finer resolution.

Where it departs, and why:
- convolution, normalisation, ReLU6 in this order: normalisation folds into the convolution, and
  the range is known to int8. The residual weight is the last normalisation's scale: it folds too.
- separable convolutions, a stride-2 stem, and no layer at all on full resolution: that is where
  RePose spends most of its time. The last heatmaps have a quarter of the input's side; the codec's
  sub-cell decoding makes up for it.
- key points equally far from the first are updated together: 2 x 4 steps for LSP14 instead of
  28. Masked kernels (LinkedConv2D) let each read its neighbours only, as before.
- few channels per key point, and the trunk's features stay beside theirs (an addition): the
  updates need not carry all that the decoder wants to know.
- a context branch at half the coarse resolution, where a view of the whole person is cheap.

With `backbone` a trunk that was trained before takes the place of the small one of its own: its
levels, each through a 1 x 1 convolution, are what the updates and the refinement read.
"""

import functools

import keras
import numpy as np
from keras import layers

from keras_pose import backbones, skeletons
from keras_pose.errors import PoseError
from keras_pose.layers import LinkedConv2D, lean
from keras_pose.models.branch import copied
from keras_pose.models.heatmaps import CODECS
from keras_pose.models.network import PoseNetwork, sides
from keras_pose.models.start import check, start

SIZES = {
    "s": {"stem": 16, "channels": (24, 48, 96), "blocks": (0, 1, 2), "keypoint_channels": 4},
    "m": {"stem": 24, "channels": (48, 96, 192), "blocks": (1, 2, 4), "keypoint_channels": 8},
}
# behind a backbone: no stem and no blocks. Stride 32 is not read: in MobileNetV2 it is three
# quarters of all weights
BEHIND = {
    "s": {"channels": (32, 64, 96), "keypoint_channels": 4},
    "m": {"channels": (48, 96, 160), "keypoint_channels": 8},
}
_LAMBDA = 0.3  # start of the residual weight: small, but every update has a gradient at once


def RePoseLite(
    size="s",
    skeleton="lsp14",
    input_size=(128, 128),
    loss="softmax",
    sigma=6.0,
    ordering="hips-out",
    stem=None,
    channels=None,
    blocks=None,
    keypoint_channels=None,
    backbone=None,
    alpha=1.0,
    frozen_norm=False,
    weights=None,
) -> PoseNetwork:
    """A network for phones; see the module for what it shares with RePose.

    Input: image (B, H, W, 3) float32 RGB 0..255. Outputs, K = key points of the skeleton: `pre`
    and `post` (B, H / 8, W / 8, K), before and after the updates, and `heatmaps`
    (B, H / 4, W / 4, K). An int8 file computes `heatmaps` alone.

    size: "s" or "m", the four widths below, each of which may be given instead.
    skeleton: name, dict or Skeleton; its edges and order are those of the updates.
    loss: "softmax" (maps are logits over the cells) or "mse" (the paper's Gaussians); it chooses
    the codec. sigma: in input pixels. ordering: as in RePose.
    stem: channels at stride 2; channels, blocks: width and number of residual blocks at strides
    4, 8, 16 (and on, for large inputs); keypoint_channels: features of each key point.
    backbone: name of one of keras_pose.backbones in place of stem and blocks; channels are then
    the widths that its levels are brought to. alpha, frozen_norm: of the backbone, see
    `backbones.build`. weights: what to begin with, see `start`.

    Raises PoseError for an unknown size, loss or backbone, for sides that no such strides divide,
    for stem or blocks beside a backbone and its arguments without one, and for weights that do not
    fit.
    """
    arguments = dict(locals())
    skeleton = skeletons.get(skeleton)
    input_size = sides(input_size)
    check(arguments)
    arguments["skeleton"], arguments["input_size"] = skeleton.to_dict(), list(input_size)
    widths = _widths(arguments)
    arguments |= widths  # a saved network stays what it is should the sizes ever change
    channels, width = widths["channels"], widths["keypoint_channels"]

    image = keras.Input((*input_size, 3), name="image")
    if backbone is None:
        skips = lean.trunk(image, *(widths[k] for k in ("stem", "channels", "blocks")))
    else:
        levels = backbones.build(backbone, image, alpha=alpha, frozen_norm=frozen_norm)
        skips = [
            lean.convolution(levels[s], c, name=f"stride{s}_lateral")
            for s, c in zip(backbones.STRIDES, channels, strict=False)
        ]
    x = skips[-1]
    for i in range(len(channels) - 2, 0, -1):
        x = lean.joined(x, skips[i], name=f"stride{4 * 2**i}_context")

    waves = update_waves(skeleton, ordering)
    sets = [lean.convolution(x, len(w) * width, name=f"keypoints{i}") for i, w in enumerate(waves)]
    own = _links([k for wave in waves for k in wave], range(skeleton.count), width, 1)
    head = functools.partial(LinkedConv2D, own, dtype="float32")  # each map from its own features
    outputs = {"pre": head(name="pre_heatmaps")(_join(sets, "pre"))}
    for name, sequence in (("forth", range(len(waves))), ("back", range(len(waves))[::-1])):
        for i in sequence:
            sets[i] = _update(sets, i, waves, skeleton, width, f"{name}{i}")
    features = _join(sets, "post")
    outputs["post"] = head(name="post_heatmaps")(features)

    merged = lean.convolution(features, channels[1], active=False, name="merge")
    x = lean.add(x, merged, name="merge")
    x = lean.residual(lean.joined(x, skips[0], name="refine"), kernel=3, name="refined")
    outputs["heatmaps"] = layers.Conv2D(skeleton.count, 1, dtype="float32", name="last_heatmaps")(x)
    made = PoseNetwork(
        image,
        outputs,
        skeleton=skeleton,
        codec=CODECS[loss](input_size, [side // 4 for side in input_size], sigma),
        builder="RePoseLite",
        arguments={**arguments, "weights": None},
        # int8 costs a backbone's linear bottlenecks more than the trunk of RePoseLite; logits in
        # float give some of it back
        floats=() if backbone is None else ("last_heatmaps",),
        branch=functools.partial(copied, image, x, ("refine",)),
    )
    if weights is not None:
        start(made, backbone, weights)
    return made


def update_waves(skeleton, ordering="hips-out") -> list[list[int]]:
    """Key points that are updated together: the first of the order with its mirror partner, then
    those one edge from them, two edges, and so on; points that no edge leads to come last."""
    order = skeleton.update_order(ordering)
    start = {order[0], skeleton.mirror[order[0]]}
    waves = [[k for k in order if k in start]]
    left = [k for k in order if k not in start]
    while left:
        reached = {j for k in waves[-1] for j in skeleton.neighbours(k)}
        waves.append([k for k in left if k in reached] or left)
        left = [k for k in left if k not in waves[-1]]
    return waves


def _update(sets, i, waves, skeleton, width, name):
    """Equations 1 and 2 for the key points of one wave: h reads them and their neighbours (which
    are in this wave and the two beside it), g is separable, its scale is lambda."""
    near = [j for j in (i - 1, i, i + 1) if 0 <= j < len(waves)]
    sources = [k for j in near for k in waves[j]]
    joined = _join([sets[j] for j in near], name)
    links = _links(sources, waves[i], width, width, skeleton)
    x = LinkedConv2D(links, use_bias=False, name=f"{name}_read")(joined)
    x = lean.normalised(x, name=f"{name}_read")
    x = layers.DepthwiseConv2D(5, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    links = _links(waves[i], waves[i], width, width)
    x = LinkedConv2D(links, use_bias=False, name=f"{name}_mix")(x)
    x = lean.normalised(x, active=False, scale=_LAMBDA, name=f"{name}_mix")
    return layers.Add(name=f"{name}_add")([sets[i], x])


def _links(sources, targets, fan_in, fan_out, skeleton=None):
    """(len(sources) fan_in, len(targets) fan_out): 1 from a key point's channels to its own, and,
    with a skeleton, to those of its neighbours."""

    def linked(source, target):
        return source == target or (skeleton and source in skeleton.neighbours(target))

    table = np.array([[bool(linked(s, t)) for t in targets] for s in sources], "float32")
    return np.kron(table, np.ones((fan_in, fan_out), "float32"))


def _join(tensors, name):
    return layers.Concatenate(name=f"{name}_join")(tensors) if len(tensors) > 1 else tensors[0]


def _widths(arguments):
    """The widths, those of the size where not given. Refuses what cannot be built."""
    size, loss, backbone = (arguments[k] for k in ("size", "loss", "backbone"))
    if size not in SIZES or loss not in CODECS:
        raise PoseError(
            f"a size among {sorted(SIZES)} and a loss among {sorted(CODECS)}",
            f"size={size!r}, loss={loss!r}",
            "Choose from these; other widths can be given one by one.",
        )
    known = SIZES[size] if backbone is None else BEHIND[size]
    given = {k: arguments[k] for k in SIZES[size] if arguments[k] is not None}
    if given.keys() - known.keys():
        raise PoseError(
            f"no stem and no blocks beside backbone={backbone!r}, which has its own",
            ", ".join(f"{k}={given[k]!r}" for k in sorted(given.keys() - known.keys())),
            "Leave them out, or leave the backbone out.",
        )
    alone = [
        k for k, default in (("alpha", 1.0), ("frozen_norm", False)) if arguments[k] != default
    ]
    if backbone is None and alone:
        raise PoseError(
            f"a backbone beside {' and '.join(alone)}, which say how it is built",
            f"backbone=None, {', '.join(f'{k}={arguments[k]!r}' for k in alone)}",
            "Name a backbone, or leave them out.",
        )
    widths = {**known, **given}
    levels, blocks = len(widths["channels"]), widths.get("blocks", ())
    if levels < 2 or (backbone is None and len(blocks) != levels):
        raise PoseError(
            "channels and blocks for the same two or more strides",
            f"channels={widths['channels']}, blocks={blocks}",
            "Give one number of each for stride 4, 8, 16.",
        )
    counts = [widths.get("stem", 1), widths["keypoint_channels"], *widths["channels"]]
    if not all(isinstance(n, int) for n in [*counts, *blocks]) or min(counts) < 1:
        raise PoseError(
            "whole numbers from 1 for stem, channels and keypoint_channels, from 0 for blocks",
            str(widths),
            "Leave out what the size should decide.",
        )
    _check_sides(arguments, levels)
    return widths


def _check_sides(arguments, levels):
    """The deepest stride divides the sides; a backbone has its own."""
    if arguments["backbone"] is not None:
        strides = backbones.STRIDES
        if levels > len(strides):
            raise PoseError(
                f"channels for at most {len(strides)} strides of a backbone",
                f"channels={arguments['channels']}",
                "Leave out what the size should decide.",
            )
        backbones.check(arguments["backbone"], arguments["input_size"], strides[:levels])
        return
    stride = 4 * 2 ** (levels - 1)
    if any(side % stride or side < stride for side in arguments["input_size"]):
        raise PoseError(
            f"an input whose sides are multiples of {stride}",
            f"input_size={tuple(arguments['input_size'])}",
            "Take the next larger multiple, or fewer channels and blocks.",
        )
