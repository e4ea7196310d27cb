"""How strong gradients are at different depths: histograms of their magnitudes while a run goes on.

Figure 5 of Convolutional Pose Machines: without intermediate supervision they vanish on the way
from the output to the input.
"""

import keras
import numpy as np
from keras import ops

from keras_pose.errors import PoseError


def magnitudes(task, batch) -> dict[str, np.ndarray]:
    """Absolute gradients of a batch's loss in each layer with trained weights.

    task: PoseTask; batch: (x, y) of a Loader. Returns layer name to (n,) float32, one value per
    weight, in the order of the network. The task is as it was before: what a pass in training
    changes, as random seeds and the statistics of normalisations, is thrown away.
    Raises PoseError on a backend other than TensorFlow and JAX.
    """
    x, y = keras.tree.map_structure(ops.convert_to_tensor, batch)
    variables = task.trainable_variables

    def cost(values):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            answer = task(x, training=True)
            return task.compute_loss(x=x, y=y, y_pred=answer, training=True)

    layers = {}
    weights = [ops.convert_to_tensor(ops.convert_to_numpy(v)) for v in variables]
    found = _gradients(cost, weights)
    for variable, gradient in zip(variables, found, strict=True):
        if gradient is not None:  # of what this loss does not depend on
            values = np.abs(ops.convert_to_numpy(gradient), dtype=np.float32).ravel()
            layers.setdefault(variable.path.rpartition("/")[0], []).append(values)
    return {name: np.concatenate(parts) for name, parts in layers.items()}


def _gradients(cost, values):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = cost(values)
        return tape.gradient(loss, values)
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(cost)(values)
    raise PoseError(
        "TensorFlow or JAX as Keras' backend, to differentiate with",
        keras.backend.backend(),
        "Set KERAS_BACKEND to one of the two.",
    )


def by_stage(layers: dict) -> dict[str, np.ndarray]:
    """The same for all layers together whose names begin with the same word, as the `stage2` of
    `stage2_conv1`."""
    stages = {}
    for name, values in layers.items():
        stages.setdefault(name.split("/")[0].split("_")[0], []).append(values)
    return {name: np.concatenate(parts) for name, parts in stages.items()}


def logarithms(values):
    """log10 of magnitudes, without those that are 0: they spread over many powers of ten."""
    return np.log10(values[values > 0])


class Histograms:
    """Writes histograms of log10 of the magnitudes to a run's TensorBoard events.

    A watch of training.run.Run: called after every step, it looks at each `every`-th. It always
    looks at the run's first batch, so that what changes is the network. Tags are
    gradients/LAYER and gradients_by_stage/STAGE.
    """

    def __init__(self, every):
        self.every, self.batch = every, None

    def __call__(self, run):
        if run.done % self.every or not run.history.has_board:
            return
        if self.batch is None:
            self.batch = run.loader.batch(0, 0)
        layers = magnitudes(run.task, self.batch)
        for kind, groups in (("gradients", layers), ("gradients_by_stage", by_stage(layers))):
            values = {f"{kind}/{name}": logarithms(group) for name, group in groups.items()}
            run.history.add_histograms(values, run.done)
