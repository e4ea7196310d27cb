"""Takes the last block and convolution out of a network's trunk, and loses little by it.

Behind MoveNet's extractor two fifths of all weights stand between block 15 and the pyramid's first
64 channels. A linear map of block 15's features, fitted by least squares, says most of what they
do; the rest is for a few epochs of training to find.
"""

import keras
import numpy as np

from keras_pose.backbones import movenet
from keras_pose.errors import PoseError
from keras_pose.models.network import PoseNetwork

_RIDGE = 1e-3  # of the features' mean variance: channels that hardly vary get no large weights


def shorten(network, images, batch_size=16) -> PoseNetwork:
    """A network around "movenet_short" that does nearly what one around "movenet" does.

    network: PoseNetwork behind "movenet" whose layers do not read stride 32, as RePoseLite's; its
    arguments but the backbone stay. images: (N, H, W, 3) float RGB 0..255, some hundred training
    crops, on which the map is fitted. What both have is copied, frozen normalisation included.

    Raises PoseError for a network around another backbone, or whose other layers would not fit.
    """
    if network.arguments.get("backbone") != movenet.NAME:
        raise PoseError(
            f"a network around {movenet.NAME}",
            f"a {network.builder} around {network.arguments.get('backbone')}",
            "Train one with --set network.backbone=movenet.",
        )
    config = network.get_config()
    config["arguments"] |= {"backbone": movenet.SHORT}
    short = PoseNetwork.from_config(config)
    there = {layer.name: layer for layer in network.layers}
    top = movenet.TOPS[movenet.SHORT]
    new = {top, f"{top}_BN"}
    for layer in short.layers:
        if layer.weights and layer.name not in new:
            _copy(there, layer)
    _fit(network, short, images, batch_size)
    return short


def _copy(there, layer):
    source = there.get(layer.name)
    shapes = [tuple(w.shape) for w in layer.weights]
    found = None if source is None else [tuple(w.shape) for w in source.weights]
    if found != shapes:
        raise PoseError(
            f"a network whose {layer.name} keeps its shapes {shapes} behind {movenet.SHORT}",
            f"one with {found}",
            "Shorten a network that does not read stride 32 itself, as RePoseLite.",
        )
    layer.set_weights(source.get_weights())


def _fit(network, short, images, batch_size):
    """Least squares from what the new convolution reads to what the old one gave."""
    old, new = (movenet.TOPS[name] for name in (movenet.NAME, movenet.SHORT))
    features = keras.Model(short.inputs[0], short.get_layer(new).input)
    wanted = keras.Model(network.inputs[0], network.get_layer(f"{old}_BN").output)
    x, y = (
        model.predict(images, batch_size=batch_size, verbose=0).astype(np.float64)
        for model in (features, wanted)
    )
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    middle = x.mean(axis=0), y.mean(axis=0)
    x, y = x - middle[0], y - middle[1]
    square = x.T @ x
    square += _RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    kernel = np.linalg.solve(square, x.T @ y)
    convolution, norm = short.get_layer(new), short.get_layer(f"{new}_BN")
    convolution.kernel.assign(kernel[None, None].astype(np.float32))
    # the normalisation becomes the bias, as in a trunk whose own is folded in
    one = np.ones_like(norm.gamma)
    shift = (middle[1] - middle[0] @ kernel).astype(np.float32)
    parts = {
        "gamma": one * np.sqrt(1 + norm.epsilon), "beta": shift,
        "moving_mean": 0 * one, "moving_variance": one,
    }  # fmt: skip
    for name, values in parts.items():
        getattr(norm, name).assign(values)
