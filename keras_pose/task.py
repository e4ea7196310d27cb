"""The training task: a batch of patches in, a loss out, everything between them in the graph."""

import keras
from keras import ops

from keras_pose import warp


@keras.saving.register_keras_serializable(package="keras_pose")
class PoseTask(keras.Model):
    """Warps patches, runs a pose network as training sees it and compares all its predictions.

    network: a PoseNetwork, which makes its own `learner` and `criterion`. The criterion's weights
    and what is random in the learner are trained, saved and resumed with the task; the network
    knows nothing of them.

    `fit` takes batches of keras_pose.data.batches.Loader: x with `patch` (B, P, P, 3) uint8,
    `matrix` (B, 2, 3) input to patch pixels, `color` (B, 2, 3) gain and offset, and for a
    network that refines a pose `pose` (B, K, 3); y with `keypoints` (B, K, 2) normalised,
    `visible` (B, K), `person` (B,), 0 in a crop without one.

    replicas: devices that share a batch. Keras adds up their gradients, so each one's loss is its
    share of the mean.
    """

    def __init__(self, network, replicas=1, **kwargs):
        # float32 whatever the policy: half precision would round the warp by a tenth of a pixel
        super().__init__(dtype="float32", **kwargs)
        self.network, self.replicas = network, replicas
        self.learner, self.criterion = network.learner(), network.criterion()
        # the warp has no XLA kernel, and Keras would choose XLA by itself on a single GPU
        self.supports_jit = keras.backend.backend() != "tensorflow"
        # all of its weights are there; unbuilt, `fit` would use up a batch to find that out, and a
        # resumed run would see its data shifted by one
        self.built = True

    def images(self, x):
        """The network's input: (B, H, W, 3) float32 RGB 0..255."""
        patches = ops.cast(x["patch"], "float32")
        images = warp.affine(patches, x["matrix"], self.network.input_size)
        gain, offset = x["color"][:, 0], x["color"][:, 1]
        images = images * gain[:, None, None] + offset[:, None, None]
        return ops.clip(images, 0.0, 255.0)

    def call(self, x, training=False):
        images, extra = self.images(x), self.network.extra_inputs
        fed = {"image": images, **{name: x[name] for name in extra}} if extra else images
        return self.learner(fed, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        total = self.criterion(y_pred, y, training=training)
        for extra in self.losses:  # weight regularisation, where a network has any
            total += extra
        return total / self.replicas

    def get_config(self):
        return {"network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(keras.saving.deserialize_keras_object(config["network"]))
