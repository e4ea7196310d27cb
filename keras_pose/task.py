"""The training task: a batch of patches in, a loss out, everything between them in the graph."""

import keras
from keras import ops

from keras_pose import losses, warp


@keras.saving.register_keras_serializable(package="keras_pose")
class PoseTask(keras.Model):
    """Warps patches, encodes targets, runs a pose network and compares all its predictions.

    network: a PoseNetwork. Its codec names the loss (losses.BY_CODEC); every output, intermediate
    ones included, is resized to the codec's map and adds its own loss (RePose section 3.3).

    `fit` takes batches of keras_pose.data.batches.Loader: x with `patch` (B, P, P, 3) uint8,
    `matrix` (B, 2, 3) input to patch pixels, `color` (B, 2, 3) gain and offset; y with `keypoints`
    (B, K, 2) normalised, `visible` (B, K), `person` (B,). In a crop without a person every key
    point counts and its target is the empty map.

    replicas: devices that share a batch. Keras adds up their gradients, so each one's loss is its
    share of the mean.
    """

    def __init__(self, network, replicas=1, **kwargs):
        # float32 whatever the policy: half precision would round the warp by a tenth of a pixel
        super().__init__(dtype="float32", **kwargs)
        self.network, self.replicas = network, replicas
        # the warp has no XLA kernel, and Keras would choose XLA by itself on a single GPU
        self.supports_jit = keras.backend.backend() != "tensorflow"
        # it has no weights of its own; unbuilt, `fit` would use up a batch to find that out, and a
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
        return self.network(self.images(x), training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        codec = self.network.codec
        loss = losses.BY_CODEC[codec.kind]
        person = y["person"][:, None]
        target = codec.encode(y["keypoints"], y["visible"] * person)
        weight = y["visible"] * person + (1.0 - person)
        total = 0.0
        for maps in y_pred.values():
            total += loss(target, _resized(ops.cast(maps, "float32"), codec.map_size), weight)
        for extra in self.losses:  # weight regularisation, where a network has any
            total += extra
        return total / self.replicas

    def get_config(self):
        return {"network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(keras.saving.deserialize_keras_object(config["network"]))


def _resized(maps, size):
    return maps if tuple(maps.shape[1:3]) == size else ops.image.resize(maps, size)
