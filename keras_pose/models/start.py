"""Where a network's weights begin: a backbone's, or those of a network that was trained before."""

import itertools
import json
import os
import zipfile
from pathlib import Path

import keras

from keras_pose import presets
from keras_pose.backbones import weights as backbone_weights
from keras_pose.errors import PoseError
from keras_pose.models.network import PoseNetwork, load

BACKBONE_OF = "backbone:"  # before the path of a pose network's file
# arguments that may differ from the file's: they change no weight's meaning
_FREE = (
    "skeleton", "input_size", "frozen_norm", "weights", "noise_groups", "dropout", "score",
    "residual", "map_weight", "supervised", "others",
)  # fmt: skip


def start(network, backbone, weights):
    """Fills a network that a builder has just made.

    network: PoseNetwork; backbone: name of the one inside it (its alpha is in the network's
    arguments), or None. weights: "imagenet", a file of keras.applications or a trunk, for the
    backbone alone (see `keras_pose.backbones.weights.load`); or the `.keras` file of a pose network
    that was built alike, for every weight. The input size, whether normalisation is frozen and what
    only training or the score knows may differ (_FREE). "backbone:FILE.keras" takes the backbone
    alone out of any pose network around the same one. A preset's name stands for its .keras file.

    Raises PoseError for what does not fit, before any weight has changed.
    """
    weights = _file(os.fspath(weights))
    if weights.endswith(".keras") and _is_pose_network(weights):
        _copy(load(weights), network, backbone, weights)
    elif backbone is None:
        raise PoseError(
            "a backbone to begin with its weights, or the .keras of a network without one",
            f"{weights} for a {network.builder} without a backbone",
            "Set network.backbone, or leave network.weights out.",
        )
    elif weights.startswith(BACKBONE_OF):
        path = weights.removeprefix(BACKBONE_OF)
        backbone_weights.copy(load(path), network, backbone, path)
    else:
        alpha = network.arguments.get("alpha", 1.0)
        backbone_weights.load(network, backbone, weights, alpha)


def check(arguments):
    """Refuses what a builder's `frozen_norm` and `weights` cannot be. Raises PoseError."""
    frozen, weights = arguments["frozen_norm"], arguments["weights"]
    if not isinstance(frozen, bool):
        raise PoseError("frozen_norm True or False", repr(frozen), "Change it.")
    if not isinstance(weights, str | os.PathLike | None):
        raise PoseError('weights as "imagenet" or a file', repr(weights), "Leave it out for none.")


def short(weights) -> str:
    """What weights to begin with are called in notes: a path's last two parts, or a name."""
    weights = os.fspath(weights)
    kind = BACKBONE_OF if weights.startswith(BACKBONE_OF) else ""
    return kind + "/".join(Path(weights.removeprefix(kind)).parts[-2:])


def _file(weights):
    """A path in place of a preset's name; everything else as it is."""
    if weights == backbone_weights.IMAGENET or weights.startswith(BACKBONE_OF):
        return weights
    try:
        return os.fspath(presets.resolve(weights, presets.KERAS))
    except PoseError as error:
        expected = f'"{backbone_weights.IMAGENET}", or {error.expected}'
        raise PoseError(expected, error.received, error.advice) from error


def _is_pose_network(path):
    """Whether a `.keras` file is one of this project's; what cannot be read is not."""
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return False
    return config.get("registered_name") == keras.saving.get_registered_name(PoseNetwork)


def _copy(given, network, backbone, path):
    theirs, own = given.skeleton, network.skeleton
    if theirs.count != own.count:
        raise PoseError(
            f"weights for the {own.count} key points of {own.name}",
            f"{path}, for the {theirs.count} of {theirs.name}",
            "Start from a backbone's weights, or train with the skeleton of the file.",
        )
    changed = [
        f"{key}={given.arguments.get(key)!r} in the file, {value!r} here"
        for key, value in network.arguments.items()
        if key not in _FREE and given.arguments.get(key) != value
    ]
    if given.builder == network.builder and changed:  # some change no shape but the meaning
        raise PoseError(
            f"weights of a {network.builder} of the same arguments",
            f"{path} ({'; '.join(changed)})",
            "Build it as the file was.",
        )
    for mine, other in itertools.zip_longest(network.weights, given.weights):
        if _told(mine) != _told(other):
            raise PoseError(
                f"{_told(mine)} in a {network.builder}",
                f"{_told(other)} in {path}, a {given.builder}",
                "Take the file of a network of the same kind.",
            )
    if backbone is not None:
        backbone_weights.refuse_thawed(given, network, backbone, path)
    network.set_weights(given.get_weights())


def _told(weight):
    return "no further weight" if weight is None else f"{weight.path} {tuple(weight.shape)}"
