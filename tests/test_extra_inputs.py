"""Networks with an input beside the image: every model over their layers is fed alike."""

import keras
import numpy as np
import pytest
import tiny
import tiny_refiner
from model_checks import batch

from keras_pose import models
from keras_pose.task import PoseTask


def _fed(network, count=2, seed=0):
    draw = np.random.default_rng(seed)
    image = draw.uniform(0, 255, (count, *network.input_size, 3)).astype(np.float32)
    pose = draw.uniform(0.2, 0.8, (count, network.skeleton.count, 3)).astype(np.float32)
    pose[..., 2] = 1
    return {"image": image, "pose": pose}


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return tiny_refiner.TinyRefiner()


def test_a_network_says_what_it_reads_beside_the_image(network):
    assert network.extra_inputs == ("pose",)
    assert [x.name for x in network.inputs] == ["image", "pose"]
    assert tiny.TinyPose().extra_inputs == ()


def test_the_pose_reaches_every_model_over_the_same_layers(network):
    fed = _fed(network)
    other = {**fed, "pose": fed["pose"][:, ::-1]}
    expected = {name: np.asarray(x) for name, x in network(fed).items()}
    assert np.abs(np.asarray(network(other)["heatmaps"]) - expected["heatmaps"]).max() > 1e-3
    np.testing.assert_allclose(network.inference()(fed), expected["heatmaps"], atol=1e-6)
    np.testing.assert_allclose(network.inference()(other), network(other)["heatmaps"], atol=1e-6)
    np.testing.assert_array_equal(network.learner()(fed)["heatmaps"], expected["heatmaps"])


def test_a_learner_of_its_own_is_fed_alike(network):
    taught = {"heatmaps": network.output["heatmaps"] * 2.0}
    inputs = {x.name: x for x in network.inputs}
    twin = models.network.PoseNetwork(
        inputs, network.output, skeleton=network.skeleton, codec=network.codec,
        builder="TinyRefiner", arguments=network.arguments, learner=taught,
    )  # fmt: skip
    fed = _fed(network)
    doubled = np.asarray(twin.learner()(fed)["heatmaps"])
    np.testing.assert_allclose(doubled, 2 * np.asarray(network(fed)["heatmaps"]), atol=1e-5)


def test_saved_and_rebuilt_it_is_the_same_network(network, tmp_path):
    fed = _fed(network)
    expected = np.asarray(network(fed)["heatmaps"])
    network.save(tmp_path / "refiner.keras")
    for twin in (models.load(tmp_path / "refiner.keras"), network.rebuilt()):
        assert twin.extra_inputs == ("pose",)
        np.testing.assert_array_equal(twin(fed)["heatmaps"], expected)
    mixed = np.asarray(network.rebuilt("mixed_bfloat16")(fed)["heatmaps"])
    np.testing.assert_allclose(mixed, expected, atol=0.1)


def test_a_task_hands_the_pose_on(network):
    x, y = batch(network)
    x["pose"] = _fed(network)["pose"]
    task = PoseTask(network)
    seen = np.asarray(task(x)["heatmaps"])
    images = np.asarray(task.images(x))
    expected = network({"image": images, "pose": x["pose"]})["heatmaps"]
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    task.compile(optimizer=keras.optimizers.Adam(1e-2))
    losses = [task.train_on_batch(x, y) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_an_image_alone_is_no_dict():
    """What a network of an image alone is given beside its patches is not looked at."""
    network = tiny.TinyPose()
    x, _ = batch(network)
    plain = np.asarray(PoseTask(network)(x)["heatmaps"])
    more = np.asarray(PoseTask(network)({**x, "pose": np.zeros((2, 3, 3), np.float32)})["heatmaps"])
    np.testing.assert_array_equal(plain, more)
