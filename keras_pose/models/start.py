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
from keras_pose.models import stored
from keras_pose.models.network import PoseNetwork, load

# before the path of a pose network's file
BACKBONE_OF = "backbone:"
STAGES_OF = "stages:"
# arguments that may differ from the file's: they change no weight's meaning
_FREE = (
    "skeleton", "input_size", "frozen_norm", "weights", "noise_groups", "dropout", "score",
    "residual", "map_weight", "supervised", "others", "decoder",
)  # fmt: skip
# of one builder alone
_FREE_OF = {"GraphPCNN": ("threshold", "points", "proportion", "shuffle", "offset_weight")}


def start(network, backbone, weights):
    """Fills a network that a builder has just made.

    network: PoseNetwork; backbone: name of the one inside it (its alpha is in the network's
    arguments), or None. weights: "imagenet", a file of keras.applications or a trunk, for the
    backbone alone (see `keras_pose.backbones.weights.load`); or the `.keras` file of a pose network
    that was built alike, for every weight. The input size, whether normalisation is frozen and what
    only training or the score knows may differ (_FREE). "backbone:FILE.keras" takes the backbone
    alone out of any pose network around the same one; "stages:FILE.keras" the stages of a network
    that has fewer and is otherwise built alike, further ones stay as they are. A preset's name
    stands for its .keras file.

    Raises PoseError for what does not fit, before any weight has changed.
    """
    weights = _file(os.fspath(weights))
    kind, path = split(weights)
    if kind == STAGES_OF:
        _copy_stages(load(path), network, path)
    elif weights.endswith(".keras") and told(weights)[0]:
        _copy(load(weights), network, backbone, weights)
    elif backbone is None:
        raise PoseError(
            "a backbone to begin with its weights, or the .keras of a network without one",
            f"{weights} for a {network.builder} without a backbone",
            "Set network.backbone, or leave network.weights out.",
        )
    elif kind == BACKBONE_OF:
        backbone_weights.copy(load(path), network, backbone, path)
    else:
        alpha = network.arguments.get("alpha", 1.0)
        backbone_weights.load(network, backbone, weights, alpha)


def start_part(network, weights):
    """Fills a network from the `.keras` of a larger one that it is a part of, as of two stages the
    first: every layer from the one of its name. weights: a file or a preset's name.

    Raises PoseError for what does not fit, before any weight has changed.
    """
    path = _file(os.fspath(weights))
    given = load(path)
    _refuse_unlike(given, network, path, ("stages",))
    pairs = _named_alike(network, given)
    for mine, other in pairs:
        if _shapes(mine) != _shapes(other):
            raise PoseError(
                f"{mine.name} with weights {_shapes(mine)}",
                f"{_shapes(other) or 'none'} in {path}, a {given.builder}",
                "Build it as the file was.",
            )
    _fill(pairs)


def told(weights) -> tuple[str, dict]:
    """Builder and arguments of the pose network in a `.keras` file, or of the preset of this name;
    "" and {} for weights of any other kind."""
    path = _file(os.fspath(weights))
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read(stored.CONFIG))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return "", {}
    if config.get("registered_name") != keras.saving.get_registered_name(PoseNetwork):
        return "", {}
    return config["config"]["builder"], config["config"]["arguments"]


def check(arguments):
    """Refuses what a builder's `frozen_norm` and `weights` cannot be. Raises PoseError."""
    frozen, weights = arguments["frozen_norm"], arguments["weights"]
    if not isinstance(frozen, bool):
        raise PoseError("frozen_norm True or False", repr(frozen), "Change it.")
    if not isinstance(weights, str | os.PathLike | None):
        raise PoseError('weights as "imagenet" or a file', repr(weights), "Leave it out for none.")


def short(weights) -> str:
    """What weights to begin with are called in notes: a path's last two parts, or a name."""
    kind, path = split(os.fspath(weights))
    return kind + "/".join(Path(path).parts[-2:])


def split(weights) -> tuple[str, str]:
    """What is wanted of a file, BACKBONE_OF, STAGES_OF or "" for all, and its path."""
    kind = next((k for k in (BACKBONE_OF, STAGES_OF) if weights.startswith(k)), "")
    return kind, weights.removeprefix(kind)


def _file(weights):
    """A path in place of a preset's name; everything else as it is."""
    if weights == backbone_weights.IMAGENET or split(weights)[0]:
        return weights
    try:
        return os.fspath(presets.resolve(weights, presets.KERAS))
    except PoseError as error:
        expected = f'"{backbone_weights.IMAGENET}", or {error.expected}'
        raise PoseError(expected, error.received, error.advice) from error


def _copy(given, network, backbone, path):
    _refuse_unlike(given, network, path)
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


def _copy_stages(given, network, path):
    """Fills the layers that a network with fewer stages has, by their names."""
    if given.builder != network.builder:
        raise PoseError(
            f"a {network.builder} of fewer stages",
            f"{path}, a {given.builder}",
            "Take the file of a network of the same kind.",
        )
    _refuse_unlike(given, network, path, ("stages",))
    pairs = [(mine, other) for other, mine in _named_alike(given, network)]
    for mine, other in pairs:
        if _shapes(mine) != _shapes(other):
            raise PoseError(
                f"a {network.builder} with stages={network.arguments.get('stages')} at most",
                f"stages={given.arguments.get('stages')} in {path}, with {other.name}",
                "Take the file of a network with fewer stages.",
            )
    _fill(pairs)


def _refuse_unlike(given, network, path, free=()):
    """Raises PoseError for another number of key points, or arguments that may not differ."""
    theirs, own = given.skeleton, network.skeleton
    if theirs.count != own.count:
        raise PoseError(
            f"weights for the {own.count} key points of {own.name}",
            f"{path}, for the {theirs.count} of {theirs.name}",
            "Start from a backbone's weights, or train with the skeleton of the file.",
        )
    free = (*_FREE, *_FREE_OF.get(network.builder, ()), *free)
    before, now = _flat(given.arguments), _flat(network.arguments)
    changed = [
        f"{key}={before.get(key)!r} in the file, {value!r} here"
        for key, value in now.items()
        if key not in free and before.get(key) != value
    ]
    if given.builder == network.builder and changed:  # some change no shape but the meaning
        raise PoseError(
            f"weights of a {network.builder} of the same arguments",
            f"{path} ({'; '.join(changed)})",
            "Build it as the file was.",
        )


def _flat(arguments):
    """Arguments beside those of the base inside, where there is one."""
    return {**arguments, **arguments.get("base_arguments", {}), "base_arguments": None}


def _named_alike(network, other):
    """Every layer with weights of a network, and the other's of its name, or None."""
    there = {layer.name: layer for layer in other.layers}
    return [(layer, there.get(layer.name)) for layer in network.layers if layer.weights]


def _fill(pairs):
    for mine, other in pairs:
        mine.set_weights(other.get_weights())


def _shapes(layer):
    return [tuple(w.shape) for w in layer.weights] if layer else None


def _told(weight):
    return "no further weight" if weight is None else f"{weight.path} {tuple(weight.shape)}"
