"""E2E-refine: two parts that are one network in training, each with what it begins with."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_checks import ARM, batch, pictures, run

from keras_pose import models
from keras_pose.errors import PoseError
from keras_pose.models import EndToEnd, PoseFix, SimpleBaseline
from keras_pose.task import PoseTask
from keras_pose.training.recipe import Recipe

OWN = {"skeleton": ARM.to_dict(), "input_size": [32, 32]}
PART = {"backbone": "mobilenet_v2", "alpha": 0.35, "level": 8, "deconvolutions": 1, "filters": 8}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The files of a SimpleBaseline and a PoseFix, as if trained."""
    folder, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    keras.utils.set_random_seed(3)
    files = {}
    for name, made in (
        ("estimator", SimpleBaseline(**OWN, **PART, loss="softmax")),
        ("refiner", PoseFix(**OWN, **PART, sigma=3.0)),
    ):
        last = made.get_layer("last_heatmaps")
        last.kernel.assign(rng.normal(0, 0.5, last.kernel.shape))
        files[name] = folder / f"{name}.keras"
        made.save(files[name])
    return files


@pytest.fixture(scope="module")
def joined(parts):
    return EndToEnd(
        **OWN,
        estimator=PART,
        refiner={**PART, "sigma": 3.0},
        weights=parts["estimator"],
        refiner_weights=parts["refiner"],
    )


def test_it_begins_as_one_behind_the_other(parts, joined):
    estimator, refiner = (models.load(path) for path in parts.values())
    images = pictures(joined)
    found = run(joined, images)
    maps = run(estimator, images)["heatmaps"]
    np.testing.assert_allclose(found["estimated"], maps, atol=1e-5)
    points, _ = estimator.codec.with_decoder("soft").decode(maps)
    pose = np.concatenate([points, np.ones((2, 3, 1))], axis=-1).astype(np.float32)
    after = refiner({"image": images.astype(np.float32), "pose": pose})["heatmaps"]
    np.testing.assert_allclose(found["heatmaps"], after, atol=1e-3)
    assert joined.extra_inputs == () and joined.codec == refiner.codec
    assert joined.codec_of("estimated") == estimator.codec
    assert joined.count_params() == estimator.count_params() + refiner.count_params()


def test_what_is_refined_teaches_the_estimator_too(joined):
    task = PoseTask(joined)
    x, y = batch(joined)
    weights = {id(w): w for w in task.trainable_variables}  # both parts have the same paths
    with tf.GradientTape(persistent=True) as tape:
        seen = task(x, training=True)
        first, second = (
            part({"heatmaps": seen[name]}, y)
            for part, name in (
                (task.criterion.first, "estimated"), (task.criterion.second, "heatmaps")
            )
        )  # fmt: skip
        total = task.compute_loss(x, y, seen)
    assert float(total) == pytest.approx(float(first + second))
    own = {id(w) for w in joined.get_layer("posefix").trainable_variables}
    assert 0 < len(own) < len(weights)
    # kernels: a bias of the maps moves no soft-argmax, so that its gradient is rounding alone
    ends = ("Conv1/kernel", "last_heatmaps/kernel")
    estimating = [w for key, w in weights.items() if key not in own and w.path in ends]
    assert len(estimating) == 2
    assert all(np.abs(g).max() > 1e-6 for g in tape.gradient(second, estimating))
    assert all(g is None for g in tape.gradient(first, [weights[key] for key in own]))
    assert all(g is not None for g in tape.gradient(total, list(weights.values())))


def recipe(network, **fields):
    return Recipe("EndToEnd", {"input_size": (32, 32), **network}, **fields)


def test_frozen_layers_are_those_of_both_parts():
    """So that the refiner is trained as it is without the estimator."""
    both = recipe({"estimator": PART, "refiner": PART}, frozen=("Conv1", "bn")).build(ARM)
    alone = Recipe("PoseFix", {"input_size": (32, 32), **PART}, frozen=("Conv1", "bn")).build(ARM)
    refiner = both.get_layer("posefix")
    paths = [w.path for w in alone.trainable_weights]
    assert [w.path for w in refiner.trainable_weights] == paths
    assert "Conv1/kernel" not in paths and "expanded_conv_depthwise/kernel" in paths
    of_refiner = {id(w) for w in refiner.weights}
    rest = [w.path for w in both.trainable_weights if id(w) not in of_refiner]
    assert "Conv1/kernel" not in rest and "expanded_conv_depthwise/kernel" in rest
    with pytest.raises(PoseError, match="layers with weights in frozen"):
        recipe({"estimator": PART, "refiner": PART}, frozen=("nothing",)).build(ARM)
    one = recipe({"estimator": PART, "refiner": {**PART, "blocks": 1}}, frozen=("refined1",))
    frozen = [w.path for w in one.build(ARM).non_trainable_weights]
    assert "refined1_depthwise/kernel" in frozen  # a name that only one of them knows


@pytest.mark.parametrize(("part", "weights"), [("estimator", ""), ("refiner", "refiner_")])
def test_frozen_normalisation_of_either_part_needs_weights(part, weights, parts):
    frozen = {"estimator": PART, "refiner": PART, part: {**PART, "frozen_norm": True}}
    with pytest.raises(PoseError, match=f"network.{weights}weights=FILE.*{part}.frozen_norm=false"):
        recipe(frozen).build(ARM)
    assert recipe(frozen).build(ARM, start=False)
    begun = recipe({**frozen, f"{weights}weights": "gone.keras"})
    with pytest.raises(PoseError, match=r"gone\.keras"):
        begun.build(ARM)
    assert begun.build(ARM, start=False)


def test_a_saved_one_is_the_same(joined, tmp_path):
    joined.save(tmp_path / "both.keras")
    loaded = models.load(tmp_path / "both.keras")
    assert loaded.arguments == joined.arguments
    images = pictures(joined)
    for given in (loaded, joined.rebuilt()):
        for name, maps in run(joined, images).items():
            np.testing.assert_array_equal(run(given, images)[name], maps)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"estimator": {**PART, "loss": "mse"}}, "network.loss=softmax"),
        ({"estimator": {**PART, "weights": None}}, "estimator as arguments of SimpleBaseline"),
        ({"refiner": {**PART, "input_size": [32, 32]}}, "refiner as arguments of PoseFix"),
        ({"estimator": {"nonsense": 1}}, "Received nonsense"),
        ({"refiner": {1: 2, "loss": "mse"}}, "Received 1, loss"),
        ({"estimator": 3}, "estimator as a dict"),
        ({"refiner": ()}, "refiner as a dict"),
        ({"refiner": {**PART, "pipeline": "F2C"}}, "pipeline as one of"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(changes, said):
    with pytest.raises(PoseError, match=said):
        EndToEnd(**{**OWN, "estimator": PART, "refiner": PART, **changes})
