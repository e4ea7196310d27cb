r"""RePose-Lite M behind MoveNet's feature extractor, on Leeds Sports Pose Extended.

python train/movenet.py movenet_lightning.tflite --out movenet.npz
python train/train.py repose_lite_m_lsp --data DIR --out runs/long \
    --set network.backbone=movenet --set network.weights=movenet.npz
python train/slim.py runs/long/best.keras --data DIR --out slim.keras
python train/train.py repose_lite_m_lsp --data DIR --set network.weights=slim.keras \
    --set epochs=3 --set optimizer.rate=6e-4

Measured, PCK@0.2 and PCK@0.1 on the validation persons: 73.5 and 47.4 behind the whole extractor
after nine epochs, 37 minutes on two cores shared with other jobs; 71.9 and 47.2 slimmed, after
three epochs more, 12 minutes. Behind a random extractor this recipe is refused.
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
