"""Messages along a skeleton's bones: the graph convolution of Graph-PCNN, equation 7.

Wang et al., Graph-PCNN (2020), section 3.2. Symbols: M graphs, K key points, D = K + 2 E linear
maps (one per key point and two per edge), C channels in, C' out.
"""

import keras
import numpy as np
from keras import ops

from keras_pose.errors import PoseError

GATINGS = ("full", "reliable", "all", "agnostic")


@keras.saving.register_keras_serializable(package="keras_pose")
class GraphRefinement(keras.layers.Layer):
    """What each key point makes of its own features and of its neighbours'.

        g_k = 1 / Z_k  sum over k and its neighbours k'  of  w_k' T_k'k f_k',   Z_k = sum of w_k'

    Every T_k'k is a linear map of its own, one for each direction of an edge and one for each key
    point itself, whose w is 1. Inputs: features (M, K, C); heat (M, K), 0..1; reliable (M, K),
    0 or 1. Output: (M, K, C').

    sources, targets: (D,) which key point the map number d reads and which one it speaks to, the
    key points themselves first.

    edges: pairs of key points, undirected, as a Skeleton's. count: K. units: C'. gating: what a
    neighbour's w is: "full", heat x reliable, the paper's; "reliable", without the heat (GPR-vb of
    Table 2); "all", 1 (GPR-va); "agnostic": there are no neighbours (the struct-agnostic baseline).

    The weights are one tensor (D, C, C') for one batched product, which a `.tflite` keeps as one.

    Raises PoseError for an unknown gating.
    """

    def __init__(self, edges, count, units, gating="full", **kwargs):
        super().__init__(**kwargs)
        if gating not in GATINGS:
            raise PoseError(f"a gating among {GATINGS}", repr(gating), "Choose one of them.")
        self.edges = [tuple(int(k) for k in edge) for edge in edges]
        self.count, self.units, self.gating = int(count), int(units), gating
        bones = sorted({(a, b) for e in self.edges for a, b in (e, e[::-1])})
        bones = [] if gating == "agnostic" else bones
        own = [(k, k) for k in range(self.count)]
        self.sources, self.targets = np.int32([*own, *bones]).T
        # (K, D): which messages reach a key point
        self._reach = np.float32(self.targets == np.arange(self.count)[:, None])

    def build(self, input_shape):
        channels = input_shape[0][-1]
        # each map as a dense layer of its own begins: Z makes a mean of the messages
        limit = (6 / (channels + self.units)) ** 0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(len(self.sources), channels, self.units),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )

    def gates(self, heat, reliable):
        """What each message counts before Z divides it, (D, M): 1 for what a key point says to
        itself."""
        weight = {"full": heat * reliable, "reliable": reliable}.get(self.gating)
        weight = ops.ones_like(heat) if weight is None else weight
        sent = ops.take(ops.transpose(weight), self.sources, axis=0)
        return ops.where((self.sources == self.targets)[:, None], 1.0, sent)

    def call(self, inputs):
        features, heat, reliable = inputs
        gates = self.gates(heat, reliable)
        reach = ops.cast(self._reach, features.dtype)
        total = ops.transpose(ops.matmul(reach, gates))  # (M, K)
        sent = ops.take(ops.transpose(features, (1, 0, 2)), self.sources, axis=0)
        messages = ops.matmul(sent * ops.expand_dims(gates, -1), self.kernel)  # (D, M, C')
        summed = ops.matmul(reach, ops.reshape(messages, (len(self.sources), -1)))
        summed = ops.transpose(ops.reshape(summed, (self.count, -1, self.units)), (1, 0, 2))
        return summed / ops.expand_dims(total, -1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:2], self.units)

    def multiply_adds(self, inputs, outputs):
        return int(np.prod(self.kernel.shape))

    def get_config(self):
        return {
            **super().get_config(), "edges": self.edges, "count": self.count, "units": self.units,
            "gating": self.gating,
        }  # fmt: skip
