"""A small CPM on the built-in figures: what benchmarks/cpm_*.py draw the paper's figures with.

python train/train.py cpm_figures

Neither time nor result was measured here.

Everything is CPM's but the sizes: three stages instead of six, crops of 96 x 96 instead of
368 x 368, fewer channels, kernels that see as much of the smaller maps, and the optimizer, with
which a small network learns in minutes.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="CPM",
    network={
        "stages": 3,
        "input_size": (96, 96),
        "center_sigma": 5.5,  # the same share of the crop as in the paper
        "channels": 24,
        "wide": 64,
        "kernels": (7, 7, 7),
        "deviation": 0.05,
        "dropout": 0.0,  # there is no end of figures
    },
    data="figures",
    augment=Augment(scale=(0.8, 1.25), rotate=20.0, shift=0.0, background=0.05),
    # the loss is a sum over cells, far above 1 as is its gradient; Adam does not mind
    optimizer=Optimizer(rate=2e-3, warmup=100, clip=0.0),
    epochs=12,
    batch_size=32,
    ema=0.99,
    validate=400,
)
