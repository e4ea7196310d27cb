"""Where a run computes: one device, or all of a host's devices through tf.distribute."""

import contextlib

import keras


def choose():
    """(scope, replicas): MirroredStrategy's scope when TensorFlow has several devices.

    Several GPUs, or several logical CPU devices where there is no GPU (how tests see it). On other
    backends, and with one device, the scope does nothing.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext(), 1
    import tensorflow as tf

    for kind in ("GPU", "CPU"):
        devices = [d.name for d in tf.config.list_logical_devices(kind)]
        if len(devices) > 1:
            strategy = tf.distribute.MirroredStrategy(devices)
            return strategy.scope(), strategy.num_replicas_in_sync
        if devices:
            break
    return contextlib.nullcontext(), 1


def seed(value, deterministic=False):
    """Seeds Python, numpy and the backend; `deterministic` makes TensorFlow's kernels so too."""
    keras.utils.set_random_seed(value)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
