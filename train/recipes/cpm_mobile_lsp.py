"""CPM-Mobile on Leeds Sports Pose Extended, from scratch.

python train/train.py cpm_mobile_lsp --data DIR

Neither time nor result was measured here.

The person has to stand in the middle of the crop, where the network is told that it stands: no
shift, no zoom-out and no half bodies.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="CPMMobile",
    network={"input_size": (192, 192)},
    augment=Augment(scale=(0.7, 1.3), rotate=40.0, shift=0.0, background=0.1),
    # the loss is a sum over cells, far above 1 as is its gradient; Adam does not mind
    optimizer=Optimizer(rate=3e-3, warmup=200, clip=0.0),
    epochs=30,
    batch_size=32,
    ema=0.998,
)
