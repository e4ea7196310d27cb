"""RePose-Lite S on the built-in figures: what `make demo` trains.

python train/train.py repose_lite_figures
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "s"},
    data="figures:4000",
    augment=Augment(rotate=30.0, zoom_out=0.15, background=0.1),
    optimizer=Optimizer(rate=3e-3, warmup=50),
    epochs=8,
    batch_size=32,
    ema=0.99,
    validate=200,
)
