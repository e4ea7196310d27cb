"""RePose-Lite M behind MoveNet's feature extractor, on Leeds Sports Pose Extended.

python train/movenet.py movenet_lightning.tflite --out movenet.npz
python train/train.py repose_lite_m_lsp --data DIR --set network.weights=movenet.npz

`backbone:FILE.keras` in place of movenet.npz takes the extractor of a network that was trained
before, a preset's name behind `backbone:` too. Behind a random one this recipe is refused.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={
        "size": "m", "input_size": (192, 192), "backbone": "movenet_slim", "frozen_norm": True
    },
    augment=Augment(scale=(0.8, 1.2), rotate=60.0, half_body=0.05, zoom_out=0.05, background=0.05),
    # an extractor with its normalisation folded in saturates at the full rate
    optimizer=Optimizer(rate=2e-3, warmup=200, slow=("Conv", "block", "expanded_conv", "fpn")),
    epochs=14,
    batch_size=64,
    ema=0.995,
)  # fmt: skip
