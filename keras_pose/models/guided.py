"""Stage 2 of Graph-PCNN (Wang et al., 2020): its layers, which the network and its criterion share,
and what they are taught.

Symbols: B batch, N guided points per key point, K key points, C channels, h x w the maps' size, M
graphs: B in the network, B N in training.
"""

import math

import keras
from keras import layers, ops

from keras_pose import losses
from keras_pose.errors import PoseError
from keras_pose.layers import graph, guided, table
from keras_pose.layers.norm import batch_norm

FEATURES = "features"  # the learner's prediction that holds F, as Refiner.values gives it


class Refiner:
    """The layers of stage 2: graph convolution, dense layers with normalisation, the offset's head.

    skeleton: whose edges join neighbours. codec: of stage 1's maps. channels: width of the graph
    convolution; hidden: widths of the dense layers behind it. All are followed by normalisation
    and ReLU, and shared by the key points but for the graph convolution's maps. gating: see
    layers.graph.GraphRefinement. threshold: the heat above which a key point counts as reliable in
    testing (equation 12).

    Raises PoseError for widths that are none, an unknown gating, and a threshold that is no number.
    """

    # beginnings of the names of layers that hold coordinates or what indices are made of (as int8
    # they would be other places), and of the graph convolution, whose messages int8 loses
    FLOATS = ("guided_peak", "guided_features", "refined_graph", "refined_offset", "points")

    def __init__(
        self, skeleton, codec, channels=256, hidden=(256, 256), gating="full", threshold=0.85
    ):
        _check(channels, hidden, threshold)
        self.skeleton, self.codec = skeleton, codec
        self._convolution = graph.GraphRefinement(
            skeleton.edges, skeleton.count, channels, gating, name="refined_graph"
        )
        self._peak = guided.StagePeak(codec, threshold, dtype="float32", name="guided_peak")
        self.read = guided.AtPoints(codec.map_size, dtype="float32", name="guided_features")
        self._activations = [_active("refined_graph")]
        for i, width in enumerate(hidden, 1):
            dense = layers.Dense(width, use_bias=False, name=f"refined_hidden{i}")
            self._activations.append([dense, *_active(f"refined_hidden{i}")])
        # the first answers are those of stage 1
        start = keras.initializers.RandomNormal(stddev=1e-3)
        self._offset = layers.Dense(
            2, kernel_initializer=start, dtype="float32", name="refined_offset"
        )

    def values(self, features):
        """F (B, h, w, C) as the table that points are read from."""
        return table([features], name="guided_table")

    def __call__(self, maps, values):
        """Stage 1's maps (B, h, w, K) and `values` of F to refined points (B, K, 3): x and y,
        normalised, and the heat of stage 1 as score (section 3.4, testing)."""
        points, heat, reliable = self._peak(maps)
        features = self.read([points, values])
        shape = features.shape[2:]
        features = layers.Reshape(shape, dtype="float32", name="guided_features_flat")(features)
        _, offsets = self.refine(features, heat, reliable)
        moved = guided.MovedPoints(self.codec, dtype="float32", name="points")
        return moved([points, offsets, heat])

    def refine(self, features, heat, reliable):
        """Features (M, K, C) of graphs whose points have this heat and reliability, (M, K), to what
        is read off them: refined features (M, K, C') and offsets (M, K, 2) in cells."""
        x = self._convolution([features, heat, reliable])
        for series in self._activations:
            for layer in series:
                x = layer(x)
        return x, self._offset(x)

    def model(self, channels) -> keras.Model:
        """`refine` over the same layers for features of C channels, as a model."""
        count = self.skeleton.count
        given = [
            keras.Input((count, channels), dtype="float32"),
            keras.Input((count,), dtype="float32"),
            keras.Input((count,), dtype="float32"),
        ]
        return keras.Model(given, self.refine(*given))


def _active(name):
    return [batch_norm(f"{name}_norm"), layers.ReLU(name=f"{name}_relu")]


def _check(channels, hidden, threshold):
    widths = [channels, *hidden] if isinstance(hidden, list | tuple) else [None]
    if any(type(width) is not int or width < 1 for width in widths):
        raise PoseError(
            "channels as a whole number from 1 and hidden as a list of such",
            f"channels={channels!r}, hidden={hidden!r}",
            "Write them like 256 and (256, 256).",
        )
    if not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise PoseError(
            "a threshold of the heat, 0..1", repr(threshold), "Leave it out for the paper's 0.85."
        )


class GuidedLoss(keras.layers.Layer):
    """Equations 6 to 11: what stage 2 says of guided points, beside stage 1's own criterion.

    Predictions: those of `criterion`, the maps among them, and FEATURES, `refiner.values` of F.
    For each key point whose truth is known, with N+ points within 3 sigma of it and N- others,

        L_cls = (sum over positives of exp(-d^2 / 2 sigma^2) CE(c, 1) / N+ + sum over negatives of
                 CE(c, 0) / N-) / 2,      L_reg = sum over positives of |offset - (truth - point)|
                                                  summed over x and y, in cells / N+,

    where an empty sum is 0; L_cls + lambda L_reg is averaged over a person's known key points, then
    over the batch. A neighbour is reliable within 2 sigma of its truth, and never where that is not
    known. Points and heat have no gradient.

    The head that classifies is this layer's own, since nothing is read off it in testing. The
    refiner's layers are the network's, so they are no part of this layer's weights: what trains the
    criterion has to train the network too.

    refiner: the network's. criterion: of stage 1's predictions, built (base.criterion()). points:
    N, None for layers.guided.default_count. proportion, shuffle: see layers.guided.GuidedPoints.
    offset_weight: lambda of equation 10.

    Raises PoseError for points, a proportion or a weight that cannot be.
    """

    def __init__(
        self, refiner, criterion, points=None, proportion=(1, 1, 1), shuffle=True,
        offset_weight=16.0, seed=None,
    ):  # fmt: skip
        super().__init__(dtype="float32")
        if not isinstance(offset_weight, int | float) or not 0 <= offset_weight < float("inf"):
            raise PoseError(
                "offset_weight from 0", repr(offset_weight), "Leave it out for the paper's 16."
            )
        self.criterion, self.offset_weight = criterion, offset_weight
        self.codec = codec = refiner.codec
        count = guided.default_count(codec.map_size) if points is None else points
        self.draw = guided.GuidedPoints(codec, count, proportion, shuffle, seed)
        self.classes = layers.Dense(2, dtype="float32", name="refined_classes")
        self.heat = guided.AtPoints(codec.map_size, own=True, dtype="float32")
        self._refiner = refiner  # no layer itself, so Keras does not count its layers as this one's

    def build(self, predictions_shape):
        codec, count = self.codec, self._refiner.skeleton.count
        maps = keras.Input((*codec.map_size, count), dtype="float32")
        self.heat_values = keras.Model(maps, table([maps], count, name="guided_heat"))
        model = self._refiner.model(predictions_shape[FEATURES][-1])
        self.classes.build(model.output[0].shape)
        self.draw.build(None)
        self.heat.build([(None, 1, count, 2), self.heat_values.output.shape])
        self._refine = lambda *given, training: model(given, training=training)
        self._read = lambda points, values: self._refiner.read([points, values])

    def call(self, predictions, y, training=True):
        others = dict(predictions)
        values = others.pop(FEATURES)
        known = y["visible"] * y["person"][:, None]
        heat = ops.stop_gradient(self.codec.heat(others[self.codec.head]))
        truth = guided.to_cells(self.codec, y["keypoints"])
        # the coordinates of what is not visible may be anything
        truth = ops.where(known[..., None] > 0, truth, 0.0)
        points = self.draw(truth, known, heat)
        classes, offsets, distance = self.look(points, truth, known, heat, values, training)
        cost = self.cost(points, truth, classes, offsets, distance)
        return self.criterion(others, y) + losses.mean_over_annotated(cost, known)

    def look(self, points, truth, known, heat, values, training=True):
        """What stage 2 says of points (B, N, K, 2): classes (B, N, K, 2) as logits of no and yes,
        offsets (B, N, K, 2) in cells; and their distance (B, N, K) from the truth, in sigmas
        squared."""
        n, count = points.shape[1:3]
        truth, known = truth[:, None], known[:, None]
        distance = guided.squared_distance(self.codec, points, truth)
        reliable = ops.cast(distance < guided.RELIABLE**2, "float32") * known
        level = self.heat([points, self.heat_values(heat)])
        features = self._read(points, values)
        features = ops.reshape(features, (-1, count, features.shape[-1]))
        graphs = [ops.reshape(x, (-1, count)) for x in (level, reliable)]
        refined, offsets = self._refine(features, *graphs, training=training)
        classes = self.classes(refined)
        return *(ops.reshape(x, (-1, n, count, 2)) for x in (classes, offsets)), distance

    def cost(self, points, truth, classes, offsets, distance):
        """L_cls + lambda L_reg of each key point, (B, K)."""
        positive = ops.cast(distance < guided.NEAR**2, "float32")
        negative = 1.0 - positive
        margin = classes[..., 1] - classes[..., 0]
        weight = positive * ops.exp(-0.5 * distance)
        found = _mean(weight * ops.softplus(-margin), positive)
        refused = _mean(negative * ops.softplus(margin), negative)
        apart = ops.sum(ops.abs(offsets - (truth[:, None] - points)), axis=-1)
        offset = _mean(positive * apart, positive)
        return 0.5 * (found + refused) + self.offset_weight * offset


def _mean(values, members):
    """Sums over N (axis 1), over the number of members; 0 where there are none."""
    return ops.sum(values, axis=1) / ops.maximum(ops.sum(members, axis=1), 1.0)
