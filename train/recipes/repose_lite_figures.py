"""RePose-Lite S on the built-in figures: what `make demo` trains.

python train/train.py repose_lite_figures
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "s"},
    data="figures",
    augment=Augment(scale=(0.8, 1.25), rotate=20.0, zoom_out=0.15, background=0.15),
    optimizer=Optimizer(rate=6e-3, warmup=60),
    epochs=11,
    batch_size=32,
    samples=4000,  # also of real pictures, so that the demo takes as long on them
    ema=0.99,
    validate=200,
)
