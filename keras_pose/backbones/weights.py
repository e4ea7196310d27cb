"""Weights for a backbone inside a network: from keras.applications, from its files, from a trunk.

Whatever the source, each convolution ends up with five arrays: its kernel and its normalisation's
gamma, beta, mean and variance. They are compared with the network's first and assigned together,
so a file that does not fit changes nothing.
"""

import os
import warnings
import zipfile

import keras
import numpy as np
from keras import ops

from keras_pose.backbones import check, hrnet, mobilenet_v2, movenet, resnet
from keras_pose.errors import PoseError

IMAGENET = "imagenet"
SUFFIXES = (".h5", ".keras", ".npz")
_APPLICATIONS = {
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
}
_PICTURE = 3  # channels
_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def load(network, name, weights, alpha=1.0):
    """Fills those layers of a backbone that a network has, by their names.

    network: functional Keras model around `backbones.build(name, ..., alpha=alpha)`. weights:
    "imagenet", which keras.applications downloads;
    a file of its weights or model (.h5, .weights.h5, .keras; with or without the classifier);
    or a trunk (.npz) of arrays `<layer>/kernel` and `<layer>/bias`, normalisation folded in, for
    RGB pictures as the backbone normalises them. Its normalisation becomes the identity plus that
    bias, which holds only while it is frozen.

    A ResNet takes keras.applications' weights with stride_in="1x1" alone; the biases of Keras'
    convolutions go into the moving means, and its first kernel is turned from BGR to RGB.

    Raises PoseError for a file that is missing, damaged or of another network (naming the layer),
    for weights that cannot be downloaded, for a trunk under normalisation that is not frozen.
    """
    weights = os.fspath(weights)
    check(name, (32, 32), [4])
    found = _pairs(network, name)
    if weights != IMAGENET and not weights.endswith(SUFFIXES):
        raise PoseError(
            f'"{IMAGENET}" or a file of weights that ends with {", ".join(SUFFIXES)}',
            weights,
            "Give the backbone's weights as keras.applications saves them, or a trunk.",
        )
    if weights != IMAGENET and not os.path.isfile(weights):
        raise PoseError("a file of weights", f"{weights}, which does not exist", "Check the path.")
    if weights.endswith(".npz"):
        arrays = _of_trunk(weights, network, found, name)
    elif name not in _APPLICATIONS:
        raise PoseError(
            f"a trunk (.npz) for {name}, which keras.applications does not have",
            weights,
            "Take a .keras of a network around it (backbone:FILE), or make a trunk: "
            "train/movenet.py FILE.tflite --out FILE.npz does of a published MoveNet.",
        )
    else:
        _refuse_other_dialect(network, name, weights)
        arrays = _of_keras(weights, name, alpha)
    _assign(network, found, arrays, weights, name)


def copy(source, network, name, path):
    """Fills a network's backbone from another network around the same one.

    source: functional Keras model that was read from `path`, as deep as `network` at least.

    Raises PoseError, before anything is changed, for a source without the backbone or without
    layers that the network has, for another width, and for normalisation that is folded into the
    source's convolutions and not frozen in the network.
    """
    found = _pairs(network, name)
    there = dict(_pairs(source, name))
    missing = [conv for conv, _ in found if conv not in there]
    if missing:
        raise PoseError(
            f"a {name} as deep as this network's",
            f"{path} without {missing[0]}",
            "Take the file of a network that reads as deep levels.",
        )
    refuse_thawed(source, network, name, path)
    arrays = {c: [v.numpy() for v in _variables(source, c, there[c])] for c, _ in found}
    _assign(network, found, arrays, path, name)


def _assign(network, found, arrays, path, name):
    """Gives each convolution its five arrays, once all of them are known to fit."""
    updates = []
    for conv, norm in found:
        targets = _variables(network, conv, norm)
        given = arrays[conv]
        if conv == found[0][0]:
            given = (_beside(targets[0], given[0]), *given[1:])
        for variable, values in zip(targets, given, strict=True):
            _fits(variable, values, path, name)
            updates.append((variable, values))
    for variable, values in updates:
        variable.assign(values)


def _beside(kernel, values):
    """The first kernel's values for the channels of the picture, and zeros for those of the maps
    beside it that the network reads and the weights do not know."""
    more = kernel.shape[2] - values.shape[2]
    if values.ndim != 4 or values.shape[2] != _PICTURE or more < 0:
        return values
    return np.pad(values, [(0, 0), (0, 0), (0, more), (0, 0)])


def refuse_thawed(source, network, name, path):
    """Raises PoseError where a backbone of `source`, which was read from `path`, has its
    normalisation folded in and that of `network` trains: its first batches would undo it.

    Folded in: frozen, with no statistics left. Those of a new network are the same, but train.
    """
    layers = [source.get_layer(norm) for _, norm in _pairs(source, name)]
    if all(
        not layer.trainable
        and (layer.moving_mean.numpy() == 0).all()
        and (layer.moving_variance.numpy() == 1).all()
        for layer in layers
    ):
        _frozen(network, _pairs(network, name), path)


def _frozen(network, found, path):
    if any(network.get_layer(norm).trainable for _, norm in found):
        raise PoseError(
            "frozen normalisation for a trunk that has its normalisation folded in",
            f"{path} for normalisation that trains, whose first batches would undo it",
            "Build with frozen_norm=True; backbones.weights.calibrate_norms says how to thaw it.",
        )


def calibrate_norms(network, name, images, batch_size=8):
    """Moves a backbone's moving statistics to those of `images`, and gamma and beta with them, so
    that the network computes what it did before and may be trained with normalisation not frozen.

    images: (N, H, W, 3) float RGB 0..255, some dozens of training crops; for a network with other
    inputs beside, the dict of all. The way for a trunk: load
    it frozen, calibrate, save the network, start an unfrozen one from the saved file.
    """
    found = _pairs(network, name)
    tensors = [ops.cast(network.get_layer(conv).output, "float32") for conv, _ in found]
    means = [ops.mean(x, axis=(1, 2)) for x in tensors]
    squares = [ops.mean(ops.square(x), axis=(1, 2)) for x in tensors]
    probe = keras.Model(network.input, means + squares)
    seen = [x.mean(axis=0) for x in probe.predict(images, batch_size=batch_size, verbose=0)]
    for (_, norm), mean, square in zip(found, seen, seen[len(found) :], strict=False):
        layer = network.get_layer(norm)
        gamma, beta, old_mean, old_variance = (getattr(layer, p).numpy() for p in _PARTS)
        variance = np.maximum(square - mean**2, 0.0)
        slope = gamma / np.sqrt(old_variance + layer.epsilon)
        layer.gamma.assign(slope * np.sqrt(variance + layer.epsilon))
        layer.beta.assign(beta + slope * (mean - old_mean))
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def _all_pairs(name):
    rooms = {mobilenet_v2.NAME: mobilenet_v2} | dict.fromkeys(movenet.ENDS, movenet)
    rooms |= dict.fromkeys(hrnet.WIDTHS, hrnet)
    return rooms.get(name, resnet).pairs(name)


def _pairs(network, name):
    """The (convolution, normalisation) names that the network has: not all, if it reads only
    shallow levels."""
    present = {layer.name for layer in network.layers}
    found = [(conv, norm) for conv, norm in _all_pairs(name) if {conv, norm} <= present]
    if not found:
        raise PoseError(
            f"a network around a {name}", f"{network.name}, without its layers", "Name another."
        )
    return found


def _variables(network, conv, norm):
    layer = network.get_layer(norm)
    return [network.get_layer(conv).kernel, *(getattr(layer, part) for part in _PARTS)]


def _fits(variable, values, weights, name):
    if tuple(variable.shape) != values.shape:
        raise PoseError(
            f"{variable.path} of shape {tuple(variable.shape)}",
            f"shape {values.shape} in {weights}",
            f"These are not the weights of this {name}; for mobilenet_v2, compare the alpha.",
        )
    if not np.isfinite(values).all():
        raise PoseError(
            f"finite numbers for {variable.path}", f"others in {weights}", "Make the file again."
        )


def _of_trunk(path, network, found, name):
    """Layer to its five arrays, from an .npz with normalisation folded in."""
    _frozen(network, found, path)
    try:
        with np.load(path) as file:
            given = {key: file[key].astype(np.float32) for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, TypeError, AttributeError) as error:
        raise PoseError("an .npz of arrays", f"{path} ({error})", "Copy it again.") from error
    layers = {conv for conv, _ in _all_pairs(name)}
    strange = sorted(key for key in given if key.rpartition("/")[0] not in layers)
    missing = [f"{c}/{p}" for c, _ in found for p in ("kernel", "bias") if f"{c}/{p}" not in given]
    if strange or missing:
        raise PoseError(
            f"the trunk of a {name}, <layer>/kernel and <layer>/bias for each of its layers",
            f"{path} " + (f"without {missing[0]}" if missing else f"with {strange[0]}"),
            "Take the file of another backbone, or the backbone of this file.",
        )
    arrays = {}
    for conv, norm in found:
        parts = folded(given[f"{conv}/bias"], network.get_layer(norm).epsilon)
        arrays[conv] = (given[f"{conv}/kernel"], *parts)
    return arrays


def folded(bias, epsilon):
    """The weights of a normalisation that does no more than add `bias` (C,)."""
    one = np.ones_like(bias)
    return one * np.sqrt(1 + epsilon), bias, 0 * one, one


def _refuse_other_dialect(network, name, weights):
    if name in resnet.BLOCKS and resnet.dialect(network) != "1x1":
        raise PoseError(
            f'stride_in="1x1" for the {name} of keras.applications',
            f'{weights} for stride_in="{resnet.dialect(network)}"',
            'Build with stride_in="1x1", or give a trunk (.npz) made from weights of torch.',
        )


def _of_keras(weights, name, alpha):
    """Layer to its five arrays, from a keras.applications network."""
    source = _downloaded(name, alpha) if weights == IMAGENET else _read(weights, name, alpha)
    arrays = {}
    for conv, norm in _all_pairs(name):
        kernel, gamma, beta, mean, variance = (x.numpy() for x in _variables(source, conv, norm))
        bias = source.get_layer(conv).bias
        if bias is not None:
            mean = mean - bias.numpy()  # (y + bias) - mean
        arrays[conv] = (kernel, gamma, beta, mean, variance)
    if name in resnet.BLOCKS:
        first, *rest = arrays["conv1_conv"]
        arrays["conv1_conv"] = (first[:, :, ::-1], *rest)
    return arrays


def _application(name, alpha, **arguments):
    if name == mobilenet_v2.NAME:
        arguments["alpha"] = alpha
    return getattr(keras.applications, _APPLICATIONS[name])(**arguments)


def _downloaded(name, alpha):
    try:
        return _application(
            name, alpha, weights=IMAGENET, include_top=False, input_shape=(224, 224, 3)
        )
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise PoseError(
            f"ImageNet weights of {name} (alpha {alpha}) from keras.applications",
            _short(error),
            "Download the file on another machine, and give its path as weights.",
        ) from error


def _read(path, name, alpha):
    """The network of keras.applications with the weights of a file."""
    reasons = []
    for top in ({"include_top": False, "input_shape": (32, 32, 3)}, {"include_top": True}):
        source = _application(name, alpha, weights=None, **top)
        try:
            with warnings.catch_warnings(action="ignore"):  # one per layer where nothing fits
                source.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            reasons.append(_short(error))
            continue
        return source
    told = [reason for reason in reasons if "Layer count mismatch" not in reason] or reasons
    raise PoseError(
        f"weights of keras.applications.{_APPLICATIONS[name]}"
        + (f" with alpha={alpha}" if name == mobilenet_v2.NAME else ""),
        f"{path} ({told[0]})",
        "Give the file of this backbone, or copy it again if it is damaged.",
    )


def _short(error):
    return " ".join(str(error).split())[:400] or type(error).__name__
