"""A pose network: a functional Keras graph that knows its skeleton, codec and own arguments.

A `.keras` file of it holds the builder's name and arguments, not a dump of the graph, so the
file is readable, and loading rebuilds the graph from today's code under any dtype policy.
"""

import functools
import importlib
import json
import os
import zipfile

import keras

from keras_pose import losses, presets
from keras_pose.errors import PoseError
from keras_pose.models import stored


@keras.saving.register_keras_serializable(package="keras_pose")
class PoseNetwork(keras.Model):
    """Pictures in, a dict of named predictions out.

    Input: image (B, H, W, 3) float32 RGB 0..255, normalised inside the graph; for networks that
    refine a pose the dict {"image": .., "pose": ..} with pose (B, K, 3) float32: x and y normalised
    to the crop as all key points are, and 1 or 0, whether there is one; x and y beside 0 mean
    nothing. `inputs` are keras.Input of these names.
    Output: dict of tensors, maps (B, h, w, K) or coordinates (B, K, 4); the one called
    `prediction` is what inference reads, the others are intermediate ones that training supervises.

    skeleton, codec: what the outputs mean. builder: name of the function in keras_pose.models that
    built the graph; arguments: what it was called with (plain types). notes: what training says of
    the weights (recipe, steps, commit, metrics; plain types), saved with them.

    learner: dict of the tensors that training sees where they are others than `outputs`, over the
    same input and the same layers with weights. criterion: a function without arguments that makes
    what compares them with the truth, see `criterion`. What either needs exists in training only:
    counts and `.keras` files are those of `outputs`.
    floats: beginnings of layer names that quantization leaves in float.
    codecs: of those outputs that are not of `codec`, by name, as maps of which points are made.
    branch: function of a name to a second copy of the last stage, see the method `branch`.
    """

    def __init__(
        self, inputs, outputs, *, skeleton, codec, builder, arguments,
        learner=None, criterion=None, floats=(), codecs=None, branch=None,
    ):  # fmt: skip
        super().__init__(inputs=inputs, outputs=outputs, name=builder.lower())
        self.skeleton, self.codec = skeleton, codec
        self.builder, self.floats = builder, tuple(floats)
        self._arguments = json.dumps(arguments)  # a string: Keras wraps the dicts it is given
        self._notes = "{}"
        self._learner = learner
        self._criterion = criterion or functools.partial(losses.Maps, codec)
        self._codecs, self._branch = codecs or {}, branch

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

    @property
    def extra_inputs(self) -> tuple[str, ...]:
        """Names of the inputs beside the image: () or ("pose",)."""
        return tuple(tensor.name for tensor in self.inputs[1:])

    def _fed(self):
        """The inputs as the builder gave them: one tensor, or a dict of them by name."""
        if not self.extra_inputs:
            return self.inputs[0]
        return {tensor.name: tensor for tensor in self.inputs}

    @property
    def prediction(self) -> str:
        """Name of the one output that inference reads: the codec's."""
        return self.codec.head

    def codec_of(self, output=None):
        """The codec that decodes an output, by default `prediction`."""
        return self._codecs.get(output, self.codec)

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

    def inference(self, output=None):
        """A plain functional model over the same layers: the network's inputs to one prediction.

        output: which, by default `prediction`. Raises PoseError for a name it does not have.
        """
        output = output or self.prediction
        if output not in self.output:
            raise PoseError(
                f"an output among {sorted(self.output)}", repr(output), "Choose one of them."
            )
        return keras.Model(self._fed(), self.output[output], name=self.name)

    def branch(self, name):
        """A second copy of the last stage and the head up to the maps' own convolution, with
        weights of its own, on what the first copy reads: KerasTensor (B, h, w, C) of this graph.

        name: goes before its layers' names. Raises PoseError for a network that has none.
        """
        if self._branch is None:
            raise PoseError(
                "a network of heatmaps whose last stage can be copied",
                f"a {self.builder}, which does not say what that is",
                "Take HRNet, RePose, RePoseLite or SimpleBaseline.",
            )
        return self._branch(name)

    def learner(self):
        """The model that is trained: the network's inputs to a dict of predictions, over the same
        layers.

        A regression network may answer there for several groups of its K key points, one group
        after the other on the key points' axis; the first is the network's own answer.
        """
        if self._learner is None:
            return self
        return keras.Model(self._fed(), self._learner, name=f"{self.name}_learner")

    def criterion(self):
        """A new, built layer: criterion(predictions of the learner, y of a batch) to a scalar.

        It may have weights, which are trained with the network's and left behind with it.
        """
        layer = self._criterion()
        seen = self.output if self._learner is None else self._learner
        layer.build({name: tuple(tensor.shape) for name, tensor in seen.items()})
        return layer


def sides(input_size) -> tuple[int, int]:
    """(H, W) as a tuple. Raises PoseError for anything but two whole numbers from 1."""
    given = tuple(input_size) if isinstance(input_size, list | tuple) else ()
    if len(given) != 2 or any(type(side) is not int or side < 1 for side in given):
        raise PoseError(
            "an input_size of two whole numbers, (H, W) in pixels",
            repr(input_size),
            "Write it like (128, 128).",
        )
    return given


def load(path) -> PoseNetwork:
    """A pose network from a `.keras` file, or that of the preset of this name.

    Raises PoseError when the file is missing or holds another kind of model.
    """
    importlib.import_module("keras_pose.models")
    path = presets.resolve(path, presets.KERAS)
    if not os.path.isfile(path):
        raise PoseError("a .keras file", f"{path}, which does not exist", "Check the path.")
    try:
        model = stored.read(path)
    except PoseError as error:  # of this project's builders, which do not know the file
        raise PoseError(error.expected, f"{error.received} in {path}", error.advice) from error
    except (ValueError, OSError, TypeError, KeyError, zipfile.BadZipFile) as error:
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
