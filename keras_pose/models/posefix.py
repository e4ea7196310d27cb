"""PoseFix (Moon et al., 2019): a picture and a pose of it in, a better pose out."""

import functools

import keras

from keras_pose import backbones, skeletons
from keras_pose.codecs import GaussianHeatmap, IntegralHeatmap
from keras_pose.errors import PoseError
from keras_pose.layers import PoseMaps, lean
from keras_pose.models import heatmaps
from keras_pose.models.network import PoseNetwork, sides
from keras_pose.models.refined import IntegralLoss
from keras_pose.models.simple_baseline import enlarged, refuse
from keras_pose.models.start import check, start

# Figure 6: whether the pose goes in as single cells; how much L_H and L_C count, None for maps that
# are taught Gaussians instead
PIPELINES = {
    "C2F": (False, (1.0, 1.0)),
    "F2F": (True, (1.0, 1.0)),
    "C2C": (False, None),
    "C2F-LH": (False, (1.0, 0.0)),
    "C2F-LC": (False, (0.0, 1.0)),
}


def PoseFix(
    skeleton="coco17",
    input_size=(256, 192),
    backbone="resnet50",
    alpha=1.0,
    stride_in="3x3",
    frozen_norm=False,
    weights=None,
    level=32,
    deconvolutions=3,
    filters=256,
    kernel=4,
    pipeline="C2F",
    sigma=7.0,
    pose_stride=1,
    blocks=0,
    decoder=None,
    corner=False,
) -> PoseNetwork:
    """SimpleBaseline's network (section 5.3) that sees a pose too; the defaults are the paper's.

    Inputs, K = key points of the skeleton: `image` (B, H, W, 3) float32 RGB 0..255, and `pose`
    (B, K, 3), x and y normalised to the crop, and 1 or 0 for there is one or not. Output:
    `heatmaps` (B, H / s, W / s, K), with s = level / 2^deconvolutions, logits whose soft-argmax is
    the refined pose.

    backbone, alpha, stride_in, frozen_norm, level, deconvolutions, filters, kernel: as of
    SimpleBaseline. weights: what to begin with, see keras_pose.models.start; those of a backbone
    that has only seen pictures leave what reads the pose in it at zero. pipeline: what goes in and
    comes out (Figure 6): coarse to fine as published, "F2F", "C2C", or with one of its two losses
    alone, "C2F-LH", "C2F-LC". sigma: of the input's Gaussians, and C2C's targets, in pixels of the
    picture; 7 at 256 x 192 and 9 at 384 x 288 as released. Their peak is as far above nothing as
    white is above black in the normalised picture. pose_stride: 1, the pose is concatenated with
    the picture; 2, it is drawn at half the sides and joins behind the first convolution
    (keras_pose.backbones.beside), which costs a phone less; s, it is drawn as large as the maps and
    joins the backbone's enlarged features, so that a backbone that has seen pictures alone stays as
    good as it is. blocks: residual separable convolutions before the maps, which the paper does not
    have; a pose that joins there needs some to be heard beyond its own cells. decoder: of the
    codec; None is "soft", of C2C "fit". corner: the released geometry of the maps, see
    IntegralHeatmap.

    Raises PoseError for what SimpleBaseline refuses, and choices that do not exist.
    """
    arguments = dict(locals())
    check(arguments)
    _check(arguments)
    skeleton, input_size = skeletons.get(skeleton), sides(input_size)
    arguments |= {"skeleton": skeleton.to_dict(), "input_size": list(input_size)}
    backbones.check(backbone, input_size, [level])
    refuse(level, deconvolutions, filters, kernel)
    late = _late(pose_stride, level // 2**deconvolutions)

    fine, terms = PIPELINES[pipeline]
    image = keras.Input((*input_size, 3), name="image")
    pose = keras.Input((skeleton.count, 3), name="pose", dtype="float32")
    contrast = backbones.contrast(backbone, stride_in)
    drawn = PoseMaps(
        input_size, sigma, contrast, pose_stride, fine, dtype="float32", name="pose_maps"
    )
    poses = drawn(pose)
    levels = backbones.build(
        backbone, image, alpha=alpha, stride_in=stride_in, frozen_norm=frozen_norm,
        maps=None if late else poses,
    )  # fmt: skip
    x = enlarged(levels[level], deconvolutions, filters, kernel)
    x = _joined(x, poses, filters) if late else x
    for i in range(1, blocks + 1):
        x = lean.residual(x, name=f"refined{i}")
    maps = heatmaps.last(x, skeleton.count)
    codec = _codec(arguments, tuple(maps.shape[1:3]))
    made = PoseNetwork(
        {"image": image, "pose": pose},
        {codec.head: maps},
        skeleton=skeleton,
        codec=codec,
        builder="PoseFix",
        arguments={**arguments, "weights": None},
        criterion=functools.partial(IntegralLoss, codec, *terms) if terms else None,
        floats=(drawn.name, heatmaps.LAST),
    )
    if weights is not None:
        start(made, backbone, weights)
    return made


def _late(pose_stride, stride) -> bool:
    """Whether the pose joins behind the backbone. stride: of the maps. Raises PoseError."""
    if type(pose_stride) is not int or pose_stride not in (1, 2, stride):
        raise PoseError(
            f"pose_stride as {', '.join(map(str, sorted({1, 2, stride})))}",
            repr(pose_stride),
            f"Take 1 or 2 to draw it beside the picture, or {stride}, the stride of the maps.",
        )
    return pose_stride not in (1, 2)


def _joined(x, poses, filters):
    """Features and a pose's maps of the same sides, added: (B, h, w, filters)."""
    # added, since int8 would round what is concatenated in steps of the coarser of the two
    read = (
        lean.convolution(t, filters, active=False, name=f"{n}_read")
        for n, t in (("picture", x), ("pose", poses))
    )
    return lean.add(*read, name="pose_join")


def _codec(arguments, size):
    (_, terms), decoder = PIPELINES[arguments["pipeline"]], arguments["decoder"]
    if terms is None:
        return GaussianHeatmap(arguments["input_size"], size, arguments["sigma"], decoder or "fit")
    return IntegralHeatmap(
        arguments["input_size"], size, decoder=decoder or "soft", corner=arguments["corner"]
    )


def _check(arguments):
    pipeline, corner = arguments["pipeline"], arguments["corner"]
    sigma, blocks = arguments["sigma"], arguments["blocks"]
    for name, good, wanted in (
        ("pipeline", pipeline in PIPELINES, f"one of {', '.join(PIPELINES)}"),
        ("blocks", type(blocks) is int and blocks >= 0, "a whole number from 0"),
        ("sigma", isinstance(sigma, int | float) and 0 < sigma < float("inf"), "a number above 0"),
        ("corner", isinstance(corner, bool), "True or False"),
        ("corner", not (corner and pipeline == "C2C"), "False with C2C, whose maps are Gaussians"),
    ):
        if not good:
            raise PoseError(f"{name} as {wanted}", repr(arguments[name]), "Leave it out.")
