"""A pose network: a functional Keras graph that knows its skeleton, codec and own arguments.

A `.keras` file of it holds the builder's name and arguments, not a dump of the graph, so the
file is readable, and loading rebuilds the graph from today's code under any dtype policy.
"""

import importlib
import json
import os

import keras

from keras_pose.errors import PoseError

PREDICTION = "heatmaps"  # the one output that inference reads; the others are intermediate


@keras.saving.register_keras_serializable(package="keras_pose")
class PoseNetwork(keras.Model):
    """Pictures in, a dict of named predictions out.

    Input: image (B, H, W, 3) float32 RGB 0..255, normalised inside the graph.
    Output: dict of maps (B, h, w, K); `PREDICTION` is the one that inference reads, the others
    are the intermediate predictions that training supervises.

    skeleton, codec: what the outputs mean. builder: name of the function in keras_pose.models that
    built the graph; arguments: what it was called with (plain types). notes: what training says of
    the weights (recipe, steps, commit, metrics; plain types), saved with them.
    """

    def __init__(self, inputs, outputs, *, skeleton, codec, builder, arguments):
        super().__init__(inputs=inputs, outputs=outputs, name=builder.lower())
        self.skeleton, self.codec = skeleton, codec
        self.builder = builder
        self._arguments = json.dumps(arguments)  # a string: Keras wraps the dicts it is given
        self._notes = "{}"

    @property
    def arguments(self) -> dict:
        """What the builder was called with."""
        return json.loads(self._arguments)

    @property
    def notes(self) -> dict:
        """What training says of the weights; assign a new dict to change it."""
        return json.loads(self._notes)

    @notes.setter
    def notes(self, values: dict):
        self._notes = json.dumps(values)

    @property
    def input_size(self):
        """(H, W) in pixels."""
        return self.codec.input_size

    def get_config(self):
        return {"builder": self.builder, "arguments": self.arguments, "notes": self.notes}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        models = importlib.import_module("keras_pose.models")
        builder = getattr(models, config["builder"], None)
        if builder is None:
            raise PoseError(
                "the name of a network in keras_pose.models",
                repr(config["builder"]),
                "Update keras_pose to load this file.",
            )
        network = builder(**config["arguments"])
        network.notes = config.get("notes", {})
        return network

    def rebuilt(self, dtype="float32"):
        """The same network with the same weights under another dtype policy."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            twin = type(self).from_config(self.get_config())
        finally:
            keras.config.set_dtype_policy(before)
        twin.set_weights(self.get_weights())
        return twin

    def inference(self):
        """A plain functional model over the same layers: image to the one map that is read."""
        return keras.Model(self.inputs[0], self.output[PREDICTION], name=self.name)


def sides(input_size) -> tuple[int, int]:
    """(H, W) as a tuple. Raises PoseError for anything but two whole numbers from 1."""
    given = tuple(input_size) if isinstance(input_size, list | tuple) else ()
    if len(given) != 2 or any(not isinstance(side, int) or side < 1 for side in given):
        raise PoseError(
            "an input_size of two whole numbers, (H, W) in pixels",
            repr(input_size),
            "Write it like (128, 128).",
        )
    return given


def load(path) -> PoseNetwork:
    """A pose network from a `.keras` file.

    Raises PoseError when the file is missing or holds another kind of model.
    """
    importlib.import_module("keras_pose.models")
    if not os.path.isfile(path):
        raise PoseError("a .keras file", f"{path}, which does not exist", "Check the path.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except PoseError as error:  # of this project's builders, which do not know the file
        raise PoseError(error.expected, f"{error.received} in {path}", error.advice) from error
    except (ValueError, OSError, TypeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PoseError(
            "a .keras file written by train/train.py",
            f"{path} ({reason[:300]})",
            "Copy it again if it is damaged; a file of another kind cannot be used.",
        ) from error
    if not isinstance(model, PoseNetwork):
        raise PoseError(
            "a .keras file that holds a pose network",
            f"{path} with a {type(model).__name__}",
            "Use best.keras of a training run.",
        )
    return model
