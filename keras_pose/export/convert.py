"""From a PoseNetwork to a float32 `.tflite`: the one file that talks to TensorFlow's converter.

Every other format is made from these bytes by keras_pose.export.quantize.
"""

import keras

from keras_pose.errors import PoseError
from keras_pose.export.graph import DECODE
from keras_pose.export.quiet import quiet


def to_float(network, output="decoded", pixels="float32") -> bytes:
    """A float32 `.tflite` of the prediction that inference reads: batch 1, TFLite's own operations.

    Signature `serving_default`: input `image` (1, H, W, 3) of type `pixels`, RGB 0..255, and for a
    network that refines one `pose` (1, K, 3) float32, see PoseNetwork; outputs `keypoints`
    (1, K, 2) normalised and `scores` (1, K), or for "heads" what the codec decodes (`heatmaps`
    (1, h, w, K), `coordinates` (1, K, 4)).
    Raises PoseError on another Keras backend than TensorFlow, and for a network that needs an
    operation outside TFLite's own.
    """
    if keras.backend.backend() != "tensorflow":
        raise PoseError(
            "Keras on TensorFlow, which has the converter to .tflite",
            f"Keras on {keras.backend.backend()}",
            "Set KERAS_BACKEND=tensorflow; a .keras file trained on JAX loads there.",
        )
    import tensorflow as tf

    model = in_float32(network).inference()
    # weights as constants: with variables, as Keras' own export has them, converting a network of
    # a few hundred layers takes three times as long, and a plain function keeps READ_VARIABLE
    weights = [
        [tf.constant(v) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]

    specs = {t.name: tf.TensorSpec((1, *t.shape[1:]), "float32", t.name) for t in network.inputs}
    specs["image"] = tf.TensorSpec((1, *network.input_size, 3), pixels, name="image")

    @tf.function
    def serve(image, **extra):
        image = tf.cast(image, "float32")
        fed = {"image": image, **extra} if extra else image
        head, _ = model.stateless_call(*weights, fed, training=False)
        if output == "heads":
            return {network.prediction: head}
        with tf.name_scope(DECODE):
            keypoints, scores = network.codec.decode(head)
        return {"keypoints": keypoints, "scores": scores}

    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [serve.get_concrete_function(**specs)], tf.Module()
        )
        try:
            return converter.convert()
        except Exception as error:  # the converter has its own exception, of no public name
            raise PoseError(
                "a network of operations that TFLite has itself",
                _missing(str(error)),
                "Replace the operation; phones do not have TensorFlow's own (Flex) ones.",
            ) from error


def in_float32(network):
    """The network, built again where it was trained in mixed precision (it would need Flex)."""
    if all(layer.dtype_policy.compute_dtype == "float32" for layer in network.layers):
        return network
    return network.rebuilt()


def _missing(message):
    """The lines of the converter's message that name operations."""
    lines = [line.strip() for line in message.splitlines()]
    named = [line for line in lines if line.startswith(("tf.", "Flex ops", "Custom ops"))]
    return "; ".join(dict.fromkeys(named)) or next(filter(None, lines), "no reason")[:300]
