"""Backbones: a picture in, feature maps at four strides out, under one interface.

A backbone is built inline, in its caller's functional graph (there is no model within the model),
so export, counting and quantization see plain layers. Its layers are called as those of
keras.applications: `keras_pose.backbones.weights` fills them by name.
"""

from keras_pose.backbones import beside, hrnet, mobilenet_v2, movenet, resnet
from keras_pose.errors import PoseError

NAMES = (mobilenet_v2.NAME, *movenet.ENDS, *resnet.BLOCKS, *hrnet.WIDTHS)
STRIDES = (4, 8, 16, 32)


def build(name, image, *, alpha=1.0, stride_in="3x3", frozen_norm=False, maps=None) -> dict:
    """Feature maps by stride: {4: (B, H/4, W/4, C4), 8: ..., 16: ..., 32: ...}.

    name: one of NAMES. image: KerasTensor (B, H, W, 3), float RGB 0..255; the backbone's own
    normalisation is inside. alpha: width of MobileNetV2, 0.35 to 1.4. stride_in: which convolution
    of a ResNet's bottleneck halves the resolution, "3x3" (torch's and the papers') or "1x1"
    (Keras'). frozen_norm: batch normalisation with its moving statistics also in training, its
    weights fixed. maps: KerasTensor of what is read beside the picture, (B, H, W, C) or (B, H/2,
    W/2, C), see `backbones.beside`.

    Raises PoseError for an unknown name, an alpha or a stride_in that the backbone does not have,
    and for maps of another size.
    """
    _known(name)
    beside.check(image, maps)
    if name != mobilenet_v2.NAME and alpha != 1.0:
        raise PoseError(
            f"alpha=1.0 for {name}", f"alpha={alpha!r}", "Only mobilenet_v2 has an alpha."
        )
    if name in resnet.BLOCKS:
        return resnet.build(name, image, stride_in, frozen_norm, maps)
    if stride_in != "3x3":
        raise PoseError(
            f'stride_in="3x3" for {name}', repr(stride_in), "Only ResNets have a choice here."
        )
    if name in movenet.ENDS:
        return movenet.build(image, frozen_norm, name, maps)
    if name in hrnet.WIDTHS:
        return hrnet.build(image, hrnet.WIDTHS[name], frozen_norm=frozen_norm, maps=maps)
    return mobilenet_v2.build(image, alpha, frozen_norm, maps)


def contrast(name, stride_in="3x3") -> float:
    """How far apart black and white are where the backbone has normalised the picture: what maps
    beside it should span. name: one of NAMES. Raises PoseError for an unknown name."""
    _known(name)
    if name == mobilenet_v2.NAME or name in movenet.ENDS:
        return mobilenet_v2.CONTRAST
    return resnet.contrast(stride_in)


def last_stage(name, level) -> tuple[str, ...]:
    """Beginnings of the names of those layers that lead from the level before to this one.

    name: one of NAMES; level: one of STRIDES. Where coarse features come back to fine maps
    ("movenet" but for 32, "hrnet_w32"), they lead there from all strides: the pyramid's last step,
    the last stage's modules. Raises PoseError for an unknown name.
    """
    _known(name)
    if name in resnet.BLOCKS:
        return resnet.stage(level)
    if name in movenet.ENDS:
        return movenet.stage(level)
    return hrnet.LAST_STAGE if name in hrnet.WIDTHS else mobilenet_v2.stage(level)


def check(name, input_size, levels):
    """Refuses what no backbone can give.

    name: one of NAMES; input_size: (H, W), both multiples of 32; levels: some of STRIDES, each
    once. Raises PoseError.
    """
    _known(name)
    deepest = STRIDES[-1]
    if any(side % deepest or side < deepest for side in input_size):
        raise PoseError(
            f"an input whose sides are multiples of {deepest}, the deepest stride of {name}",
            f"input_size={tuple(input_size)}",
            "Take the next larger multiple.",
        )
    given = list(levels) if isinstance(levels, list | tuple) else None
    unique = [stride for stride in STRIDES if given and stride in given]
    if not given or len(unique) != len(given):
        raise PoseError(
            f"levels of {name}, some of {STRIDES}, each once",
            f"levels={levels!r}",
            "Name at least one of these strides, none twice.",
        )


def _known(name):
    if name not in NAMES:
        raise PoseError(f"a backbone among {NAMES}", repr(name), "Choose one of these.")
