"""A second copy of a network's last stage: features of their own for a second purpose.

Graph-PCNN (Wang et al., 2020, section 3.4) finds key points roughly and exactly on two maps of one
size, of which all but the last stage of the network is shared. Which layers that stage is, the
builders say by their names, so that one function serves them all.

Symbols: B batch, h x w the map's size, C its channels.
"""

import keras


def copied(image, features, stage, name):
    """The same layers once more, with weights of their own, on the tensors that the first read.

    image: the network's input; features: KerasTensor (B, h, w, C) of its graph; stage: beginnings
    of the names of the layers that are copied, which are to include the last. name: goes before
    the copies' names. Returns the copy of `features`, in the same graph.
    """
    there = {}  # each tensor as the copy has it: its own, or the one that both read
    graph = keras.Model(image, features)._nodes_by_depth
    for depth in sorted(graph, reverse=True):
        for node in graph[depth]:
            there.update((id(tensor), tensor) for tensor in node.outputs)
            operation = node.operation
            if isinstance(operation, keras.Layer):
                if not operation.name.startswith(stage):
                    continue
                config = operation.get_config()
                operation = type(operation).from_config({**config, "name": name + config["name"]})
            elif all(there[id(tensor)] is tensor for tensor in node.input_tensors):
                continue  # an operation without a name of ours goes with what it reads
            arguments, keywords = node.arguments.fill_in(there)
            found = keras.tree.flatten(operation(*arguments, **keywords))
            there.update((id(x), y) for x, y in zip(node.outputs, found, strict=True))
    return there[id(features)]


def begin(network, name):
    """Gives every copy whose name begins with `name` the weights of the layer it is a copy of."""
    there = {layer.name: layer for layer in network.layers}
    for layer in network.layers:
        first = there.get(layer.name.removeprefix(name))
        if layer.name.startswith(name) and layer.weights and first is not None:
            layer.set_weights(first.get_weights())
