"""Takes channels out of the end of a network's trunk, at the cost of a few points of accuracy.

Behind MoveNet's extractor most weights stand in the last three blocks and the convolution behind
them, at stride 32, where a picture has few cells. Of what each expands to, the channels that say
most remain, and the layer that reads them is fitted anew, by least squares to what it gave before.
"""

import keras
import numpy as np

from keras_pose.backbones import movenet
from keras_pose.backbones import weights as backbone_weights
from keras_pose.errors import PoseError
from keras_pose.models.network import PoseNetwork

_NORMS = dict(movenet.pairs())  # of each convolution
_RIDGE = 1e-4  # of the features' mean variance: channels that hardly vary get no large weights


def slim(network, images, to=movenet.SLIM, batch_size=16) -> PoseNetwork:
    """A network behind a smaller extractor that does nearly what this one does.

    network: PoseNetwork around one of movenet.ENDS whose other layers do not read stride 32, as
    RePoseLite; its arguments but the backbone stay. to: a later one of ENDS. images:
    (N, H, W, 3) float RGB 0..255, some hundred training crops, to fit on. The layers that are
    fitted have their normalisation folded in.

    Raises PoseError for a network around another backbone, and where other layers would not fit.
    """
    names, given = list(movenet.ENDS), network.arguments.get("backbone")
    if given not in names or to not in names[names.index(given) + 1 :]:
        raise PoseError(
            f"a network behind one of {names}, and a later one of them to make of it",
            f"a {network.builder} behind {given}, and {to!r}",
            "Train one with --set network.backbone=movenet, or name a slimmer one.",
        )
    config = network.get_config()
    config["arguments"] |= {"backbone": to}
    made = PoseNetwork.from_config(config)
    steps = _steps(to)
    changed = {name for producers, reader in steps for name in (*producers, reader)}
    for layer in made.layers:
        if layer.weights and layer.name not in changed:
            _copy(network, layer, to)
    for producers, reader in steps:  # from the picture on: each fit sees what those before it left
        _keep(network, made, producers, reader, images, batch_size)
        _fit(network, made, reader, images, batch_size)
    return made


def _steps(to):
    """(layers whose channels are chosen from, the convolution that reads them), in the graph's
    order; the layers with their normalisations."""
    blocks = [f"block_{block}" for block in movenet.ENDS[to][1]]
    convolutions = [((f"{b}_expand", f"{b}_depthwise"), f"{b}_project") for b in blocks]
    convolutions.append((("Conv_1",), movenet.TOP))
    return [
        ([name for conv in chosen for name in (conv, _NORMS[conv])], reader)
        for chosen, reader in convolutions
    ]


def _copy(network, layer, to):
    there = {other.name: other for other in network.layers}
    values = there[layer.name].get_weights() if layer.name in there else []
    shapes, found = [tuple(w.shape) for w in layer.weights], [v.shape for v in values]
    if found != shapes:
        raise PoseError(
            f"a network whose {layer.name} keeps its shapes {shapes} behind {to}",
            f"one with {found}",
            "Slim a network that does not read stride 32 itself, as RePoseLite.",
        )
    layer.set_weights(values)


def _keep(network, made, producers, reader, images, batch_size):
    """Copies those channels of the producers that move the reader's sum most."""
    convolution = network.get_layer(reader)
    spread = _seen(network, convolution.input, images, batch_size).std(axis=0)
    says = spread * np.linalg.norm(convolution.kernel.numpy()[0, 0], axis=1)
    count = made.get_layer(reader).input.shape[-1]
    kept = np.sort(np.argsort(-says)[:count])
    for name in producers:
        layer = network.get_layer(name)
        # a depthwise kernel (3, 3, C, 1) has its channels third, all else last
        axis = 2 if isinstance(layer, keras.layers.DepthwiseConv2D) else -1
        made.get_layer(name).set_weights([v.take(kept, axis) for v in layer.get_weights()])


def _fit(network, made, reader, images, batch_size):
    """Least squares from what the reader sees now to what its normalisation gave before."""
    convolution, norm = made.get_layer(reader), made.get_layer(_NORMS[reader])
    x = _seen(made, convolution.input, images, batch_size)
    y = _seen(network, network.get_layer(norm.name).output, images, batch_size)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    square = (x - x_mean).T @ (x - x_mean)
    square += _RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    kernel = np.linalg.solve(square, (x - x_mean).T @ (y - y_mean))
    convolution.kernel.assign(kernel[None, None].astype(np.float32))
    norm.set_weights(backbone_weights.folded(y_mean - x_mean @ kernel, norm.epsilon))


def _seen(network, tensor, images, batch_size):
    """A tensor's values over all pictures and cells, (cells, C) float64."""
    values = keras.Model(network.inputs[0], tensor).predict(images, batch_size, verbose=0)
    return values.reshape(-1, values.shape[-1]).astype(np.float64)
