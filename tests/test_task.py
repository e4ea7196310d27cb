"""The training task: what it shows the network and what it asks of it."""

import os
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
from conftest import ROOT
from tiny import TinyPose, batch

from keras_pose import geometry, losses, warp
from keras_pose.task import PoseTask


@pytest.fixture(params=["gaussian", "softmax"])
def task(request):
    keras.utils.set_random_seed(0)
    return PoseTask(TinyPose(kind=request.param))


def _loss(task, x, y):
    return float(task.compute_loss(x, y, task(x)))


def test_warp_is_opencvs():
    rng = np.random.default_rng(0)
    images = cv2.GaussianBlur(rng.random((40, 50, 3)).astype(np.float32) * 255, (0, 0), 2)
    matrix = geometry.similarity((20, 25), 1.2, 33, target=(16, 12), flip=True)
    ours = np.asarray(warp.affine(images[None], matrix[None].astype(np.float32), (24, 32)))[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpAffine(images, matrix, (32, 24), flags=flags, borderValue=(127.0,) * 3)
    # OpenCV rounds its weights to 1/32
    assert np.abs(ours - theirs)[1:-1, 1:-1].max() < 3.0


@pytest.mark.backend("jax")
def test_jax_warps_alike(tmp_path):
    """Also where the input is taller or wider than the patch."""
    rng = np.random.default_rng(1)
    images = rng.random((2, 30, 36, 3)).astype(np.float32) * 255
    one = geometry.similarity((16, 12), 0.9, 25, target=(18, 15), flip=True)
    matrices = np.stack([one, np.eye(3)[:2]]).astype(np.float32)
    np.savez(tmp_path / "in.npz", images=images, matrices=matrices)
    code = f"""
import numpy as np
from keras_pose import warp
given = np.load({str(tmp_path / "in.npz")!r})
sizes = [(24, 32), (40, 20)]
np.savez({str(tmp_path / "out.npz")!r}, *(warp.affine(*given.values(), size) for size in sizes))
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)
    with np.load(tmp_path / "out.npz") as found:
        for size, theirs in zip([(24, 32), (40, 20)], found.values(), strict=True):
            ours = np.asarray(warp.affine(images, matrices, size))
            assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 0.1


def test_replicas_share_the_mean():
    """Keras adds up the gradients of several devices."""
    x, y = batch()
    network = TinyPose()
    one, two = PoseTask(network), PoseTask(network, replicas=2)
    assert _loss(two, x, y) == pytest.approx(_loss(one, x, y) / 2)


def test_identity_matrix_shows_the_patch(task):
    x, _ = batch()
    shown = np.asarray(task.images(x))
    assert np.allclose(shown, x["patch"][:, 2:18, 2:18], atol=1e-3)


def test_colour_is_gain_then_offset_and_stays_in_range(task):
    x, _ = batch()
    plain = np.asarray(task.images(x))
    x["color"] = np.tile(np.array([[[2.0, 1.0, 0.5], [0.0, 10.0, -20.0]]], np.float32), (4, 1, 1))
    expected = np.clip(plain * [2.0, 1.0, 0.5] + [0.0, 10.0, -20.0], 0, 255)
    assert np.allclose(np.asarray(task.images(x)), expected, atol=1e-3)


def test_every_prediction_is_supervised(task):
    """The loss is the sum over all outputs, each resized to the codec's map."""
    x, y = batch()
    outputs = task(x)
    codec = task.network.codec
    target = codec.encode(y["keypoints"], y["visible"])
    total = 0.0
    for maps in outputs.values():
        maps = keras.ops.image.resize(maps, codec.map_size)
        total += float(losses.BY_CODEC[codec.kind](target, maps, y["visible"]))
    assert len(outputs) == 2 and _loss(task, x, y) == pytest.approx(total, rel=1e-5)


def test_a_background_crop_ignores_its_key_points_and_asks_for_empty_maps(task):
    x, y = batch()
    y["person"][:] = 0
    first = _loss(task, x, y)
    y["keypoints"] = 1 - y["keypoints"]
    y["visible"][:] = 0
    assert _loss(task, x, y) == pytest.approx(first) and first > 0


def test_persons_without_visible_joints_contribute_nothing(task):
    x, y = batch()
    y["visible"][:] = 0
    assert _loss(task, x, y) == 0.0


def test_it_learns(task):
    x, y = batch()
    task.compile(optimizer=keras.optimizers.Adam(0.02))
    losses_seen = [task.train_on_batch(x, y) for _ in range(40)]
    # the cross-entropy cannot fall below the targets' entropy, about 3.5 nats a map
    floor = 0.0 if task.network.codec.kind == "gaussian" else 7.0
    assert losses_seen[-1] - floor < 0.9 * (losses_seen[0] - floor)


def test_half_precision_does_not_round_the_warp():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        task = PoseTask(TinyPose())
    finally:
        keras.config.set_dtype_policy("float32")
    x, _ = batch()
    x["matrix"][:, 0, 2] = 2.03  # float16 would make it 2.0293
    plain = PoseTask(TinyPose())
    assert np.array_equal(np.asarray(task.images(x)), np.asarray(plain.images(x)))
    kinds = {keras.backend.standardize_dtype(v.dtype) for v in task(x).values()}
    assert kinds == {"float32"}


def test_saved_and_loaded(task, tmp_path):
    x, _ = batch()
    before = task(x)
    task.save(tmp_path / "task.keras")
    after = keras.saving.load_model(tmp_path / "task.keras", compile=False)(x)
    assert all(np.array_equal(before[k], after[k]) for k in before)
