"""RePose-Lite M behind MobileNetV2, on Leeds Sports Pose Extended.

python train/train.py repose_lite_m_lsp --data DIR --set network.weights=backbone:FILE.keras

FILE.keras is best.keras of repose_lite_s_lsp, whose trunk has seen these persons. A preset's name
behind `backbone:` does as well, and so does a trunk, FILE.npz alone. Measured: 63.0
PCK@0.2 and 39.4 PCK@0.1 on the validation persons after 15 epochs, 59 minutes on two cores.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={
        "size": "m", "input_size": (192, 192), "backbone": "mobilenet_v2", "frozen_norm": True
    },
    augment=Augment(scale=(0.8, 1.2), rotate=40.0, zoom_out=0.05, background=0.05),
    # a trunk with its normalisation folded in saturates at the full rate
    optimizer=Optimizer(rate=2e-3, warmup=200, slow=("Conv", "block", "expanded_conv")),
    epochs=18,
    batch_size=64,
    ema=0.995,
)  # fmt: skip
