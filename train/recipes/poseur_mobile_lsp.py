r"""Poseur-Mobile on Leeds Sports Pose Extended: a regression network for phones.

python train/train.py poseur_mobile_lsp --data DIR --set network.weights=FILE.npz \
    --set network.frozen_norm=true \
    --set "optimizer.slow=('sampling_offsets','Conv','block','expanded_conv')"

Measured: 58.1 PCK@0.2 and 29.9 PCK@0.1 on the validation persons, the coarse branch alone 49.2 and
21.9, after 14 epochs, 46 minutes of fitting on two cores shared with other jobs. FILE.npz was a
MobileNetV2 trunk that had been trained on poses, with its normalisation folded in. Such a trunk
must move slowly: its normalisation no longer divides a step's size out, at the full rate it
saturates and the run is lost.

Without these settings it starts from random weights, with `--set network.weights=imagenet` from
those of Keras; neither was measured.

Half bodies are shown, and key points up to a quarter of the crop beyond its border are taught: a
network that predicts coordinates can see where a cut-off limb goes on.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="PoseurMobile",
    network={"input_size": (128, 128)},
    augment=Augment(scale=(0.75, 1.25), rotate=40.0, half_body=0.1, zoom_out=0.1, background=0.1),
    optimizer=Optimizer(name="adamw", rate=1e-3, warmup=200),
    epochs=14,
    batch_size=32,
    ema=0.998,
    reach=0.25,
)
