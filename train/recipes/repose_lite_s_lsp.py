"""RePose-Lite S behind MobileNetV2, on Leeds Sports Pose Extended.

python train/train.py repose_lite_s_lsp --data DIR --set network.weights=FILE.npz

Measured: 61.2 PCK@0.2 and 35.8 PCK@0.1 on the validation persons, after 57 minutes on two cores
shared with other jobs. FILE.npz was a MobileNetV2 trunk that had been trained on poses, with its
normalisation folded in; behind a random one this recipe is refused.
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
