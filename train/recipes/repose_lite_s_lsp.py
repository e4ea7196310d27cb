"""RePose-Lite S behind MobileNetV2, on Leeds Sports Pose Extended.

python train/train.py repose_lite_s_lsp --data DIR --set network.weights=FILE.npz

FILE.npz is a MobileNetV2 trunk with its normalisation folded in; one that was trained on poses
learns in one epoch what repose_lite_lsp, from random weights, learns in thirty.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "s", "backbone": "mobilenet_v2", "frozen_norm": True},
    augment=Augment(
        scale=(0.75, 1.25), rotate=60.0, half_body=0.05, zoom_out=0.05, background=0.05
    ),
    # a trunk with its normalisation folded in saturates at the full rate
    optimizer=Optimizer(rate=2e-3, warmup=200, slow=("Conv", "block", "expanded_conv")),
    epochs=30,
    batch_size=32,
    ema=0.998,
)
