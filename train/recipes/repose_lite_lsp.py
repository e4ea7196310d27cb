"""RePose-Lite M on Leeds Sports Pose Extended, from scratch, on a laptop.

python train/train.py repose_lite_lsp --data DIR
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "m"},
    augment=Augment(scale=(0.75, 1.3), rotate=45.0, zoom_out=0.1, background=0.1),
    optimizer=Optimizer(rate=2e-3, warmup=200),
    epochs=14,
    batch_size=32,
    ema=0.998,
)
