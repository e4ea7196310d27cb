import subprocess
import sys

import keras
import numpy as np
import pytest
from dots import DotsReader

from keras_pose.data import Augment, Loader, pydataset


def equal(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for k in a:
            b_k = np.asarray(b[k])
            assert a[k].dtype == b_k.dtype and np.array_equal(a[k], b_k), k


@pytest.mark.parametrize("start", [0, 2])
def test_a_pydataset_gives_the_loaders_batches(start):
    loader = Loader(DotsReader(8), (64, 64), 2, Augment(zoom_out=0.3), seed=1)
    data = pydataset.epoch(loader, 5, start)
    assert len(data) == 4 - start
    for i in range(len(data)):
        equal(loader.batch(5, start + i), data[i])


def test_fit_reads_a_pydataset_in_order_by_threads():
    loader = Loader(DotsReader(12), (64, 64), 2, Augment(), seed=1)
    seen = []

    class Watch(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(28)

        def call(self, x):
            return keras.ops.reshape(self.dense(x["matrix"][:, 0]), (-1, 14, 2))

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            seen.append(keras.ops.convert_to_numpy(y["keypoints"]))
            return keras.ops.mean((y_pred - y["keypoints"]) ** 2)

    model = Watch()
    model.compile(optimizer="sgd", run_eagerly=True)
    model.fit(pydataset.epoch(loader, 0, 1, workers=2), epochs=1, verbose=0, shuffle=False)
    assert len(seen) == 5
    for i, keypoints in enumerate(seen):
        assert np.array_equal(keypoints, loader.batch(0, i + 1)[1]["keypoints"])


@pytest.mark.parametrize("start", [0, 1])
def test_tf_data_gives_the_loaders_batches(start):
    tfdata = pytest.importorskip("keras_pose.data.tfdata", reason="TensorFlow is not installed")
    loader = Loader(DotsReader(7), (64, 48), 2, Augment(background=0.3), seed=1)
    data = tfdata.epoch(loader, 2, start)
    assert int(data.cardinality()) == 3 - start
    x, y = data.element_spec
    side = loader.patch_size
    assert tuple(x["patch"].shape) == (2, side, side, 3)
    assert tuple(x["matrix"].shape) == tuple(x["color"].shape) == (2, 2, 3)
    assert tuple(y["keypoints"].shape) == (2, 14, 2) and tuple(y["visible"].shape) == (2, 14)
    assert tuple(y["person"].shape) == (2,)
    batches = list(data)
    assert len(batches) == 3 - start
    for i, batch in enumerate(batches):
        equal(loader.batch(2, start + i), batch)


def test_a_smaller_last_batch_leaves_only_the_batch_open():
    tfdata = pytest.importorskip("keras_pose.data.tfdata", reason="TensorFlow is not installed")
    loader = Loader(DotsReader(5), (64, 64), 2)
    data = tfdata.epoch(loader, 0)
    assert tuple(data.element_spec[0]["patch"].shape) == (None, 64, 64, 3)
    assert [len(x["patch"]) for x, _ in data] == [2, 2, 1]
    assert tuple(
        tfdata.epoch(Loader(DotsReader(4), (64, 64), 2), 0).element_spec[1]["person"].shape
    ) == (2,)


MIRRORED = """
import sys
sys.path.insert(0, {tests!r})
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from dots import DotsReader
from keras_pose.data import Augment, Loader
from keras_pose.data import tfdata
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
loader = Loader(DotsReader(8), (64, 64), 4, Augment(), seed=1)
given = strategy.experimental_distribute_dataset(tfdata.epoch(loader, 0))
for step, (x, y) in enumerate(given):
    parts = [p.numpy() for p in strategy.experimental_local_results(x["patch"])]
    assert [len(p) for p in parts] == [2, 2], [p.shape for p in parts]
    assert (tf.concat(parts, 0).numpy() == loader.batch(0, step)[0]["patch"]).all()
assert step == 1
print("both replicas were fed")
"""


def test_tf_data_feeds_two_replicas():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    code = MIRRORED.format(tests=__file__.rpartition("/")[0])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "both replicas were fed" in result.stdout, result.stderr[-2000:]
