"""What stage 2 is taught: equations 6 to 12, what has a gradient, and whose weights they are."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from tiny_guided import SIZE, TinyGuided

from keras_pose import losses
from keras_pose.errors import PoseError
from keras_pose.layers import guided
from keras_pose.models.guided import FEATURES, GuidedLoss, Refiner
from keras_pose.task import PoseTask
from keras_pose.training import state
from keras_pose.training.ema import Average

B, N, K = 3, 12, 3
SIGMA = 1.0


def batch(count=B, seed=0):
    """(x, y) as keras_pose.data.batches.Loader gives them, nothing warped."""
    draw = np.random.default_rng(seed)
    x = {
        "patch": draw.integers(0, 256, (count, *SIZE, 3)).astype(np.uint8),
        "matrix": np.tile(np.eye(3, dtype=np.float32)[:2], (count, 1, 1)),
        "color": np.tile(np.float32([[1] * 3, [0] * 3]), (count, 1, 1)),
    }
    y = {
        "keypoints": draw.uniform(0.1, 0.9, (count, K, 2)).astype(np.float32),
        "visible": np.ones((count, K), np.float32),
        "person": np.ones(count, np.float32),
    }
    return x, y


def criterion(**options):
    """A network and what teaches it, with predictions of the learner."""
    keras.utils.set_random_seed(0)
    network = TinyGuided(**options)
    made = network.criterion()
    draw = np.random.default_rng(1)
    seen = {
        "heatmaps": draw.uniform(-0.2, 1.1, (B, *SIZE, K)).astype(np.float32),
        FEATURES: draw.normal(size=(B, (SIZE[0] + 3) * (SIZE[1] + 3), 4)).astype(np.float32),
    }  # fmt: skip
    return network, made, {n: tf.constant(v) for n, v in seen.items()}


# equations 8 to 10


def loop(points, truth, classes, offsets):
    """L_cls + 16 L_reg, (B, K), one point at a time."""
    cost = np.zeros((B, K))
    for b, k in np.ndindex(B, K):
        found, refused, apart = [], [], []
        for n in range(N):
            s, t, c = points[b, n, k], truth[b, k], np.float64(classes[b, n, k])
            chance = np.exp(c) / np.exp(c).sum()
            distance = np.linalg.norm(s - t)
            if distance < 3 * SIGMA:
                found.append(-np.exp(-(distance**2) / (2 * SIGMA**2)) * np.log(chance[1]))
                apart.append(np.abs(offsets[b, n, k] - (t - s)).sum())
            else:
                refused.append(-np.log(chance[0]))
        mean = [sum(x) / max(len(x), 1) for x in (found, refused, apart)]
        cost[b, k] = 0.5 * (mean[0] + mean[1]) + 16 * mean[2]
    return cost


def test_the_cost_is_equations_eight_and_nine():
    _, made, _ = criterion()
    draw = np.random.default_rng(0)
    points = draw.uniform((0, 0), (11, 15), (B, N, K, 2))
    truth = draw.uniform((2, 2), (9, 13), (B, K, 2))
    truth[0, 0], points[0, :, 0] = 5.0, 5.0 + draw.uniform(-1, 1, (N, 2))  # no negatives
    truth[0, 1], points[0, :, 1] = 2.0, (10.0, 14.0)  # no positives
    points[0, 0, 2] = truth[0, 2] + (3.0, 0.0)  # at three sigmas it is negative
    classes, offsets = draw.normal(0, 2, (2, B, N, K, 2))
    given = [np.float32(v) for v in (points, truth, classes, offsets)]
    given[0][0, 0, 2] = given[1][0, 2] + np.float32((3.001, 0.0))
    distance = guided.squared_distance(made.codec, given[0], given[1][:, None])
    np.testing.assert_allclose(made.cost(*given, distance), loop(*given), rtol=1e-4)
    edge = made.cost(*given, np.full((B, N, K), 9.0, np.float32))
    np.testing.assert_allclose(
        edge, 0.5 * np.log1p(np.exp(given[2][..., 1] - given[2][..., 0])).mean(axis=1), rtol=1e-4
    )


def test_a_neighbour_is_heard_within_two_sigmas_of_a_known_truth_and_by_its_heat():
    """Equation 12, and what equation 7 makes of it: the heat read at the point, in cells."""
    _, made, seen = criterion()
    given = []
    made._refine = lambda *x, training: given.extend(x) or (x[0], x[0][..., :2])
    made.classes = lambda x: x[..., :2]
    truth = np.full((B, K, 2), 5.0, np.float32)
    known = np.ones((B, K), np.float32)
    known[1, 2] = 0.0
    points = np.full((B, 2, K, 2), 5.0, np.float32)
    points[:, 1, :, 0] += (1.9, 2.1, 1.0)
    heat = np.array(made.codec.heat(seen["heatmaps"]))
    made.look(points, truth, known, heat, seen[FEATURES])
    features, level, reliable = map(np.array, given)
    expected = np.ones((B, 2, K))
    expected[:, 1, 1] = expected[1, :, 2] = 0.0
    np.testing.assert_array_equal(reliable.reshape(B, 2, K), expected)
    np.testing.assert_allclose(level.reshape(B, 2, K)[:, 0], heat[:, 5, 5], atol=1e-5)
    np.testing.assert_allclose(level.reshape(B, 2, K)[:, 1, 2], heat[:, 5, 6, 2], atol=1e-5)
    table = np.array(seen[FEATURES]).reshape(B, SIZE[0] + 3, SIZE[1] + 3, 4)
    cell = features.reshape(B, 2, K, 4)[:, 0, 1]
    np.testing.assert_allclose(cell, table[:, 6, 6], atol=1e-5)


def test_all_of_it_is_added_to_what_stage_one_costs_and_averaged_over_known_key_points():
    """Equations 10 and 11."""
    _, made, seen = criterion()
    y = batch()[1]
    y["visible"][0, 1] = y["person"][2] = 0.0
    made.cost = lambda *_: tf.constant(np.float32([[1, 50, 3], [2, 2, 5], [70, 80, 90]]))
    first = made.criterion({"heatmaps": seen["heatmaps"]}, y)
    assert float(first) > 0
    expected = float(first) + ((1 + 3) / 2 + (2 + 2 + 5) / 3 + 0) / 3
    assert float(made(seen, y)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "softmax"])
@pytest.mark.parametrize("case", ["usual", "no positives", "no negatives", "nothing", "anything"])
def test_whatever_is_empty_loss_and_gradients_are_finite(case, kind):
    proportion = {"no positives": (0, 1, 0), "no negatives": (1, 0, 0)}.get(case, (1, 1, 1))
    network, made, seen = criterion(kind=kind, proportion=proportion)
    y = batch()[1]
    if case == "nothing":
        y["visible"][:] = 0.0
    if case == "anything":
        y["visible"][:, 1], y["keypoints"][:, 1] = 0.0, 1e38
        y["person"][0] = 0.0
    weights = [*network.trainable_variables, *made.trainable_variables]
    weights = [w.value for w in weights if "refined" in w.path]
    with tf.GradientTape() as tape:
        tape.watch(seen[FEATURES])
        loss = made(seen, y)
        first = made.criterion({"heatmaps": seen["heatmaps"]}, y)
        second = loss - first
    gradients = tape.gradient(second, [seen[FEATURES], *weights])
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients)
    moved = [bool(np.any(g)) for g in gradients]
    assert any(moved) == (case != "nothing")
    if case == "nothing":
        assert float(second) == pytest.approx(0.0, abs=1e-6)


def test_neither_where_points_are_nor_how_hot_they_are_has_a_gradient():
    _, made, seen = criterion()
    y = {k: tf.constant(v) for k, v in batch()[1].items()}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([seen, y["keypoints"]])
        second = made(seen, y) - made.criterion({"heatmaps": seen["heatmaps"]}, y)
        points = made.draw(y["keypoints"] * 12, y["visible"], seen["heatmaps"])
    assert tape.gradient(second, seen["heatmaps"]) is None or not np.any(
        tape.gradient(second, seen["heatmaps"])
    )
    assert tape.gradient(points, [seen["heatmaps"], y["keypoints"]]) == [None, None]
    assert np.any(tape.gradient(second, seen[FEATURES]))


def test_each_argument_reaches_its_part():
    _, made, _ = criterion(points=24, shuffle=False)
    assert (made.draw.count, made.draw.shuffle) == (24, False)
    network = TinyGuided(gating="all")
    base = losses.Maps(network.criterion().codec)
    made = GuidedLoss(Refiner(network.skeleton, base.codec), base, proportion=(1, 2, 0))
    assert made.draw.count == guided.default_count(SIZE) == 12
    assert made.draw.kinds == (4, 8, 0) and made.offset_weight == 16.0
    assert network.get_layer("refined_graph").gating == "all"
    refiner = Refiner(network.skeleton, base.codec)
    for wrong in ({"offset_weight": -1}, {"points": 0}, {"proportion": (0, 0, 0)}):
        with pytest.raises(PoseError):
            GuidedLoss(refiner, base, **wrong)
    for wrong in ({"channels": 0}, {"hidden": 256}, {"threshold": None}, {"gating": "x"}):
        with pytest.raises(PoseError):
            Refiner(network.skeleton, base.codec, **wrong)


# in a task


def test_shared_weights_are_counted_trained_saved_and_resumed_once(tmp_path):
    def task():
        keras.utils.set_random_seed(0)
        made = PoseTask(TinyGuided())
        made.compile(optimizer=keras.optimizers.Adam(0.01))
        made.optimizer.build(made.trainable_variables)
        return made, Average(made.network, 0.9)

    def values(task):
        return [np.array(keras.ops.convert_to_numpy(v)) for v in task.variables]

    (one, average), (x, y) = task(), batch()
    own = {v.path.split("/", 1)[1] for v in one.criterion.trainable_variables}
    assert own == {"refined_classes/kernel", "refined_classes/bias"}
    for group in (one.variables, one.trainable_variables):
        assert len({id(v) for v in group}) == len(group)
    assert len(one.trainable_variables) == len(one.network.trainable_variables) + 2
    before = values(one)
    one.train_on_batch(x, y)
    still = [
        v.path
        for v, a, b in zip(one.variables, before, values(one), strict=True)
        if not np.any(a != b)
    ]
    assert not still, "moving statistics and the draws' state go on too"

    state.save(tmp_path / "last.state", one, average, {})
    two, average = task()
    state.restore(tmp_path / "last.state", two, average)
    one.save(tmp_path / "task.keras")
    three = keras.saving.load_model(tmp_path / "task.keras", compile=False)
    found = [float(t.compute_loss(x, y, t(x), training=False)) for t in (one, two)]
    assert found[0] == pytest.approx(found[1], rel=1e-5), "the same points, too"
    for other in (two, three):
        for v, a, b in zip(one.variables, values(one), values(other), strict=True):
            if other is two or "seed" not in v.path:  # Keras' own files have no seeds
                np.testing.assert_array_equal(a, b)


def test_stage_two_learns_where_to_go():
    """Features that say where their cell is: the offset to a fixed truth can be read off them."""
    network, made, seen = criterion(hidden=(32,), channels=16)
    x, y = np.meshgrid(np.arange(SIZE[1] + 3) - 1, np.arange(SIZE[0] + 3) - 1)
    place = np.stack([x / 6 - 1, y / 8 - 1, np.ones_like(x), 0 * x], axis=-1).reshape(1, -1, 4)
    seen[FEATURES] = tf.constant(np.tile(np.float32(place), (B, 1, 1)))
    target = batch()[1]
    target["keypoints"] = np.tile(target["keypoints"][:1], (B, 1, 1))
    weights = [w for w in (*network.variables, *made.variables) if "refined" in w.path]
    weights = [w for w in weights if w.trainable]
    optimizer = keras.optimizers.Adam(0.01)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = made(seen, target)
        gradients = tape.gradient(loss, [w.value for w in weights])
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    def look():
        truth = np.array(guided.to_cells(made.codec, target["keypoints"]))
        known = np.ones((B, K), np.float32)
        steps = np.float32([[-2, 0], [2, 0], [0, 1], [1, -1], [6, 9], [-6, -9]])
        points = truth[:, None] + steps[None, :, None]
        heat = made.codec.heat(seen["heatmaps"])
        classes, offsets, _ = made.look(points, truth, known, heat, seen[FEATURES], False)
        wrong = np.abs(points + np.array(offsets) - truth[:, None])[:, :4].mean()
        return float(wrong), np.array(classes[..., 1] - classes[..., 0])

    before, _ = look()
    for _ in range(80):
        step()
    after, margins = look()
    assert before > 0.8 and after < 0.35 * before
    assert margins[:, 2:4].mean() > margins[:, 4:].mean() + 0.5, "near it is this key point"


@pytest.mark.backend("jax")
def test_jax_trains_the_same_weights():
    script = """
import sys
import keras, numpy as np
sys.path.insert(0, "tests")
import tiny_guided
from keras_pose.task import PoseTask

assert keras.backend.backend() == "jax"
task = PoseTask(tiny_guided.TinyGuided())
task.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=True)
draw = np.random.default_rng(0)
x = {
    "patch": draw.integers(0, 256, (2, *tiny_guided.SIZE, 3)).astype("uint8"),
    "matrix": np.tile(np.eye(3, dtype="float32")[:2], (2, 1, 1)),
    "color": np.tile(np.float32([[1] * 3, [0] * 3]), (2, 1, 1)),
}
y = {
    "keypoints": draw.uniform(0.1, 0.9, (2, 3, 2)).astype("float32"),
    "visible": np.ones((2, 3), "float32"), "person": np.ones(2, "float32"),
}
before = [np.array(v) for v in task.variables]
found = [float(task.train_on_batch(x, y)) for _ in range(2)]
assert np.isfinite(found).all()
still = [v.path for v, a in zip(task.variables, before) if not np.any(a != np.array(v))]
assert len({id(v) for v in task.variables}) == len(task.variables)
assert "tensorflow" not in sys.modules
print("still", still)
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "still []"
