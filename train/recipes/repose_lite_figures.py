"""RePose-Lite S on the built-in figures: what `make demo` trains.

python train/train.py repose_lite_figures

Expect three minutes on two idle cores and 50 to 55 PCK@0.2 on figures that it has not seen; 67 with
`--data figures:12000 --set samples=0 --set epochs=16 --set ema=0.998` after a quarter of an hour
(benchmarks/results/training.csv).
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "s"},
    data="figures",
    augment=Augment(scale=(0.8, 1.25), rotate=20.0, zoom_out=0.15, background=0.15),
    optimizer=Optimizer(rate=6e-3, warmup=60),
    epochs=9,
    batch_size=32,
    samples=4000,  # also of real pictures, so that the demo takes as long on them
    ema=0.99,
    validate=200,
)
