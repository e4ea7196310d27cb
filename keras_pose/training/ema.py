"""An exponential moving average of a network's weights, BN statistics included.

Kept outside the optimizer: Keras' own `use_ema` overwrites the weights at the end of each `fit`.
"""

import numpy as np


class Average:
    """The averaged weights of `network`.

    decay: of the average per step; every: steps between two updates (an update of `every` steps
    uses decay ** every, so the time constant does not depend on it). Early on the decay is
    limited to (1 + n) / (10 + n) after n steps, so that the first random weights are soon gone.
    """

    def __init__(self, network, decay, every=1):
        self.network, self.decay, self.every = network, decay, max(int(every), 1)
        self.values = [np.array(w) for w in network.get_weights()]

    def update(self, step):
        """Call after step number `step` (1-based) of the run."""
        if step % self.every:
            return
        keep = min(self.decay, (1 + step) / (10 + step)) ** self.every
        for mean, now in zip(self.values, self.network.get_weights(), strict=True):
            mean += (1.0 - keep) * (now - mean)
