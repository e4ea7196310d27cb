"""HRNet (Sun et al., 2019): four resolutions side by side, the finest never left.

A stem brings the picture to stride 4. Each of three stages adds a branch of half the resolution and
twice the channels; its modules run residual blocks on every branch, then exchange what they found:
each branch becomes the sum of all, finer ones brought down by 3x3 convolutions of stride 2, coarser
ones by a 1x1 convolution and the nearest neighbour. Zeros are padded as in `backbones.resnet`,
whose steps these are; so is the normalisation of pictures.
"""

import functools

from keras import layers, ops

from keras_pose.backbones import beside, resnet
from keras_pose.errors import PoseError

WIDTHS = {"hrnet_w32": 32, "hrnet_w48": 48}
MODULES, BLOCKS, BOTTLENECKS = (1, 4, 3), 4, 4  # table 1 of the journal's paper
_STRIDES = (4, 8, 16, 32)
_STEM = 64
LAST_STAGE = ("stage4_module",)  # what its layers' names begin with


def build(
    image, width, modules=MODULES, blocks=BLOCKS, bottlenecks=BOTTLENECKS, frozen_norm=False,
    maps=None,
) -> dict:  # fmt: skip
    """Levels by stride: `width` channels at 4, twice as many at 8, and so on to 32.

    image: (B, H, W, 3) float RGB 0..255, H and W multiples of 32. modules: of each of the three
    stages; blocks: residual blocks of a branch in one module; bottlenecks: of the stem. None may
    exceed the published number, under which `pairs` knows their names. frozen_norm, maps:
    see `keras_pose.backbones.build`.

    Raises PoseError for numbers out of range.
    """
    _check(width, modules, blocks, bottlenecks)
    step = functools.partial(resnet.step, frozen=frozen_norm)
    x = beside.joined(resnet.normalised(image), maps)
    for i in (1, 2):
        x = step(x, _STEM, 3, 2, name=f"stem{i}", maps=maps if i == 1 else None)
    for i in range(1, bottlenecks + 1):
        x = resnet.bottleneck(x, _STEM, 1, "3x3", i == 1, frozen_norm, name=f"stem_block{i}")
    branches = {_STRIDES[0]: x}
    for stage, count in enumerate(modules, start=2):
        branches = _widened(branches, width, f"stage{stage}", step)
        for module in range(1, count + 1):
            name = f"stage{stage}_module{module}"
            for stride, x in branches.items():
                for i in range(1, blocks + 1):
                    x = _basic(x, step, name=f"{name}_stride{stride}_block{i}")
                branches[stride] = x
            branches = {to: _exchanged(branches, to, name, step) for to in branches}
    return branches


def pairs(name="hrnet_w32") -> list[tuple[str, str]]:
    """Names of all convolutions, each with the normalisation behind it, as published."""
    names = ["stem1", "stem2", "stem_block1_0"]
    names += [f"stem_block{i}_{part}" for i in range(1, BOTTLENECKS + 1) for part in (1, 2, 3)]
    for stage, count in enumerate(MODULES, start=2):
        strides = _STRIDES[:stage]
        entered = strides if stage == 2 else strides[-1:]
        names += [f"stage{stage}_in{stride}" for stride in entered]
        for module in range(1, count + 1):
            start = f"stage{stage}_module{module}"
            blocks = [f"{start}_stride{s}_block{i}" for s in strides for i in range(1, BLOCKS + 1)]
            names += [f"{block}_{half}" for block in blocks for half in (1, 2)]
            for to in strides:
                for source in strides:
                    names += [f"{start}_{hop}" for hop in _hops(source, to)]
    return [(f"{x}_conv", f"{x}_bn") for x in names]


def _widened(branches, width, name, step):
    """The branches with one more of half the resolution, made of the coarsest; the stem's features
    are brought to the width of the first branch too."""
    strides = _STRIDES[: len(branches) + 1]
    *_, coarsest = branches.values()
    widened = dict(branches)
    if len(branches) == 1:
        widened[strides[0]] = step(coarsest, width, 3, name=f"{name}_in{strides[0]}")
    channels = width * 2 ** (len(strides) - 1)
    widened[strides[-1]] = step(coarsest, channels, 3, 2, name=f"{name}_in{strides[-1]}")
    return widened


def _basic(x, step, *, name):
    """Two 3x3 convolutions, added to their input."""
    y = step(x, x.shape[-1], 3, name=f"{name}_1")
    y = step(y, x.shape[-1], 3, active=False, name=f"{name}_2")
    return resnet.added(x, y, name=name)


def _exchanged(branches, to, name, step):
    """One branch as the sum of all, each brought to its stride and channels."""
    own = branches[to]
    parts = [_brought(x, source, own, to, name, step) for source, x in branches.items()]
    summed = layers.Add(name=f"{name}_to{to}_add")(parts)
    return layers.ReLU(name=f"{name}_to{to}_relu")(summed)


def _brought(x, source, own, to, name, step):
    channels = own.shape[-1]
    hops = _hops(source, to)
    if source > to:
        x = step(x, channels, active=False, name=f"{name}_{hops[0]}")
        # Keras' nearest enlargement would be five operations of a .tflite, this is one
        return ops.image.resize(x, own.shape[1:3], interpolation="nearest")
    for hop in hops:
        last = hop == hops[-1]
        x = step(x, channels if last else x.shape[-1], 3, 2, active=not last, name=f"{name}_{hop}")
    return x


def _hops(source, to):
    """Names of the convolutions that bring one branch to another's stride: none to its own, one to
    a finer, one for each halving to a coarser."""
    if source >= to:
        return [f"from{source}_to{to}"] if source > to else []
    return [f"from{source}_to{to}_{i}" for i in range(1, (to // source).bit_length())]


def _check(width, modules, blocks, bottlenecks):
    given = list(modules) if isinstance(modules, list | tuple) else []
    numbers = [width, *given, blocks, bottlenecks]
    most = [float("inf"), *MODULES, BLOCKS, BOTTLENECKS]
    if len(numbers) != len(most) or not all(
        type(n) is int and 1 <= n <= m for n, m in zip(numbers, most, strict=True)
    ):
        raise PoseError(
            f"a width from 1, and from 1 to {MODULES} modules, {BLOCKS} blocks and {BOTTLENECKS} "
            "bottlenecks",
            f"width={width!r}, modules={modules!r}, blocks={blocks!r}, bottlenecks={bottlenecks!r}",
            "Leave out all but the width for the published network.",
        )
