"""Stage 2 of Graph-PCNN (Wang et al., 2020): its layers, which the network and its criterion share,
and what they are taught.

Symbols: B batch, N guided points per key point, K key points, C channels, h x w the maps' size.
"""

import keras

FEATURES = "features"  # the learner's prediction that holds F, as Refiner.values gives it


class Refiner:
    """The layers of stage 2: `refine` a point by the features at it and at its neighbours.

    skeleton: whose edges join neighbours. codec: of stage 1's maps. channels: width of the graph
    convolution; hidden: widths of the dense layers behind it. gating: see
    layers.graph.GraphRefinement. threshold: the heat above which a neighbour counts as reliable in
    testing (equation 12).
    """

    # beginnings of the names of layers that hold coordinates, or what indices are made of
    FLOATS = ("guided_peak", "guided_features", "refined_offset", "points")

    def __init__(
        self, skeleton, codec, channels=256, hidden=(256, 256), gating="full", threshold=0.85
    ):
        self.skeleton, self.codec = skeleton, codec

    def values(self, features):
        """F (B, h, w, C) as the table that points are read from."""
        raise NotImplementedError

    def __call__(self, maps, values):
        """Stage 1's maps (B, h, w, K) and `values` of F to refined points (B, K, 3): x and y,
        normalised, and the heat as score."""
        raise NotImplementedError


class GuidedLoss(keras.layers.Layer):
    """Equations 6 to 12: what stage 2 says of guided points, beside stage 1's own criterion.

    Predictions: those of `criterion`, among them the maps, and FEATURES, `refiner.values` of F.

    refiner: the network's. criterion: of stage 1's predictions (base.criterion()). points: N, None
    for layers.guided.default_count. proportion: relative numbers of the points near the truth, far
    from it, and of high response. shuffle: False is GPR-vc. offset_weight: lambda of equation 10.
    """

    def __init__(
        self, refiner, criterion, points=None, proportion=(1, 1, 1), shuffle=True,
        offset_weight=16.0, seed=None,
    ):  # fmt: skip
        super().__init__(dtype="float32")
