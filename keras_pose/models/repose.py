"""RePose: Learning Deep Kinematic Priors for Fast Human Pose Estimation (Isack et al., 2020).

The paper leaves parts of its layout open. This one (series of four blocks at full resolution, on
each key point's features before the updates, and on their concatenation after) is the reading
under which the published parameter and operation counts come out; `benchmarks/count_repose.py`
prints them side by side.
"""

import functools

import keras
from keras import layers

from keras_pose import skeletons
from keras_pose.codecs import GaussianHeatmap
from keras_pose.errors import PoseError
from keras_pose.layers import Scale, conv_block, heatmap_block, series, upsample
from keras_pose.models.branch import copied
from keras_pose.models.network import PoseNetwork, sides

UPDATES = ("trainable", "add", "replace")
_LAMBDA = 0.1  # 0 would leave every update without a gradient in the first step, 1 equals "add"


def RePose(
    skeleton="lsp14",
    input_size=(128, 128),
    coarsest=16,
    update_blocks=4,
    update="trainable",
    ordering="hips-out",
    kinematic=True,
    joint_head=False,
    stacks=1,
    sigma=5.0,
    channels=64,
    keypoint_channels=32,
    depth=4,
) -> PoseNetwork:
    """The network of the paper's figure 2; the defaults are its base model.

    Input: image (B, H, W, 3) float32 RGB 0..255. Outputs, K = key points of the skeleton:
    `pre` and `post` (B, coarsest, coarsest, K), before and after the kinematic updates;
    `stride8`, `stride4`, `stride2` (as many as there are levels) on the way up; `heatmaps`
    (B, H, W, K). With several stacks the earlier stages' outputs are there too, and the
    intermediate ones are called `stage1_pre`, `stage1_stride1`, `stage2_pre` and so on.

    skeleton: name, dict or Skeleton; its edges are the connectivity, its order that of updates.
    coarsest: side of the map the updates work on (table 3); of the shorter side if not square.
    update_blocks: convolutional blocks in each update step (table 4).
    update: f + lambda g "trainable", f + g "add", or g "replace" (table 5).
    ordering: "hips-out" or "top-down" (section 4.1).
    kinematic: False puts one series of blocks with about as many parameters in the updates' place.
    joint_head: predict `post` at once from the merged features, not each map from its own.
    stacks: stages, none of whose weights are shared (table 6). sigma: in input pixels (table 7).
    channels, keypoint_channels: width of the trunk and of each key point's features.
    depth: blocks in each series of the trunk and the heads.

    Raises PoseError for arguments out of range.
    """
    arguments = dict(locals())
    skeleton = skeletons.get(skeleton)
    arguments["skeleton"] = skeleton.to_dict()
    input_size = sides(input_size)
    arguments["input_size"] = list(input_size)
    halvings = _check(arguments)

    image = keras.Input((*input_size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    outputs, earlier = {}, None
    for stage in range(1, stacks + 1):
        last = stage == stacks
        build = _Stage(skeleton, arguments, "" if stacks == 1 else f"stage{stage}_", earlier)
        maps, features = build(x, halvings)
        outputs |= {build.prefix + name: made for name, made in maps.items()}
        if last:
            outputs["heatmaps"] = outputs.pop(f"{build.prefix}stride1")
        else:
            x = layers.Concatenate(name=f"{build.prefix}next")([features[0], maps["stride1"]])
            earlier = features
    return PoseNetwork(
        image,
        outputs,
        skeleton=skeleton,
        codec=GaussianHeatmap(input_size, map_size=input_size, sigma=sigma),
        builder="RePose",
        arguments=arguments,
        branch=functools.partial(copied, image, features[0], (f"{build.prefix}up0_",)),
    )


class _Stage:
    """Builds one stage. `prefix` goes before the names of its layers.

    earlier: decoder features of the stage before by halvings, None in the first stage. Every
    block that reads the trunk on the way down reads them too: the scheme under which the counts of
    table 6 come out.
    """

    def __init__(self, skeleton, arguments, prefix, earlier):
        self.skeleton, self.arguments = skeleton, arguments
        self.prefix, self.earlier = prefix, earlier
        self.channels, self.width = arguments["channels"], arguments["keypoint_channels"]
        self.depth = arguments["depth"]

    def __call__(self, x, halvings):
        """x: (B, H, W, C). Returns heatmaps by name and decoder features by halvings."""
        skips = [series(x, self.channels, self.depth, name=f"{self.prefix}top")]
        for level in range(1, halvings + 1):
            x = self._with_earlier(skips[-1], level - 1)
            skips.append(conv_block(x, self.channels, 5, 2, name=f"{self.prefix}down{level}"))
        maps, x = self._coarsest(self._with_earlier(skips[-1], halvings))
        features = {halvings: x}
        for level in reversed(range(halvings)):
            name = f"{self.prefix}up{level}"
            x = upsample(x, name=f"{name}_upsample")
            x = layers.Concatenate(name=f"{name}_skip")([x, skips[level]])
            x = conv_block(x, self.channels, 1, name=f"{name}_project")
            x = features[level] = series(x, self.channels, self.depth, name=name)
            maps[f"stride{2**level}"] = heatmap_block(x, self.skeleton.count, name=name)
        return maps, features

    def _with_earlier(self, x, level):
        if self.earlier is None:
            return x
        return layers.Concatenate(name=f"{self.prefix}with_earlier{level}")(
            [x, self.earlier[level]]
        )

    def _coarsest(self, x):
        """The kinematic part of figure 2. Returns pre and post heatmaps, and merged features."""
        features = self._decouple(x, "keypoint", self.depth)
        pre, _ = self._heads(features, "pre")
        if self.arguments["kinematic"]:
            order = self.skeleton.update_order(self.arguments["ordering"])
            features = self._updates(features, order, "forth")
            features = self._updates(features, order[::-1], "back")
        else:
            features = self._sequential(features)
        if self.arguments["joint_head"]:
            x = self._merge(features)
            post = heatmap_block(x, self.skeleton.count, name=f"{self.prefix}post")
        else:
            post, features = self._heads(features, "post")
            x = self._merge(features)
        return {"pre": pre, "post": post}, x

    def _decouple(self, x, name, depth):
        """K independent sets of features, (1, 1, F) and then (3, 1, F)^depth each."""
        sets = []
        for k in range(self.skeleton.count):
            own = f"{self.prefix}{name}{k}"
            sets.append(series(conv_block(x, self.width, 1, name=own), self.width, depth, name=own))
        return sets

    def _heads(self, features, name):
        """Each heatmap from its own features. Also returns the features just before the maps."""
        last, maps = [], []
        for k, x in enumerate(features):
            own = f"{self.prefix}{name}{k}"
            last.append(series(x, self.width, self.depth, name=own))
            maps.append(heatmap_block(last[-1], 1, name=own))
        # float32 again: the dtype policy would halve the maps on their way together
        return _join(maps, f"{self.prefix}{name}", dtype="float32"), last

    def _updates(self, features, order, name):
        """Equations 1 and 2: one key point after another, each from the newest features."""
        features = list(features)
        for k in order:
            own = f"{self.prefix}{name}{k}"
            near = [features[j] for j in (k, *self.skeleton.neighbours(k))]
            x = conv_block(_join(near, own), self.width, 1, name=own)
            x = series(x, self.width, self.arguments["update_blocks"], name=own)
            if self.arguments["update"] == "trainable":
                x = Scale(_LAMBDA, name=f"{own}_lambda")(x)
            if self.arguments["update"] != "replace":
                x = layers.Add(name=f"{own}_add")([features[k], x])
            features[k] = x
        return features

    def _sequential(self, features):
        """The ablation: merge, one series of blocks, decouple. As long as the budget allows."""
        wide, narrow, count = self.channels, self.width, self.skeleton.count
        degrees = sum(len(self.skeleton.neighbours(k)) for k in range(count))
        blocks = self.arguments["update_blocks"]
        budget = 2 * (
            (count + degrees) * narrow * narrow  # h reads each key point and its neighbours
            + count * (blocks * 9 * narrow * narrow + 5 * (1 + blocks) * narrow + 1)
        )
        ends = 2 * count * narrow * wide + 5 * (wide + count * narrow)
        length = max(1, round((budget - ends) / (9 * wide * wide + 5 * wide)))
        name = f"{self.prefix}sequence"
        x = conv_block(_join(features, name), wide, 1, name=name)
        return self._decouple(series(x, wide, length, name=name), "sequenced", 0)

    def _merge(self, features):
        name = f"{self.prefix}merge"
        return series(_join(features, name), self.channels, self.depth, name=name)


def _join(tensors, name, dtype=None):
    """Concatenation along channels; a single tensor is left alone."""
    if len(tensors) == 1:
        return tensors[0]
    return layers.Concatenate(name=f"{name}_join", dtype=dtype)(tensors)


def _check(arguments):
    """Refuses what the paper's network cannot be. Returns how often the resolution is halved."""
    for name in ("coarsest", "update_blocks", "stacks", "channels", "keypoint_channels", "depth"):
        value = arguments[name]
        if not isinstance(value, int) or value < 1:
            raise PoseError(f"{name} to be a whole number from 1", repr(value), f"Change {name}.")
    if arguments["update"] not in UPDATES:
        raise PoseError(
            f"an update among {UPDATES}", repr(arguments["update"]), "Choose one of the three."
        )
    size, coarsest = arguments["input_size"], arguments["coarsest"]
    factor = min(size) // coarsest
    if factor < 2 or factor & (factor - 1) or min(size) % coarsest or max(size) % factor:
        raise PoseError(
            "an input whose sides are the coarsest map's times a power of two",
            f"input_size={tuple(size)}, coarsest={coarsest}",
            "Take, say, input_size=(128, 128) with coarsest=16.",
        )
    return factor.bit_length() - 1
