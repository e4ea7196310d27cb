"""What every pose network must do, written once. A model's test file subclasses ModelChecks.

The subclass gives the smallest instance of its family: full-size models are only built and counted.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from export_helpers import converted_once
from shown import batch, pictures, poses

from keras_pose import export, geometry, models
from keras_pose.errors import PoseError
from keras_pose.runtime.refiner import opened
from keras_pose.skeletons import Skeleton
from keras_pose.task import PoseTask

ARM = Skeleton("arm", ("shoulder", "elbow", "wrist"), edges=((0, 1), (1, 2)))


def fed(network, images):
    """What the network is called with to look at (B, H, W, 3), poses where it reads any."""
    images = tf.cast(images, "float32")
    if not network.extra_inputs:
        return images
    return {"image": images, "pose": tf.constant(poses(network, len(images)))}


def one_by_one(network, images):
    """Each picture, and the pose that `fed` gives it, as a tuple."""
    beside = [poses(network, len(images))] if network.extra_inputs else []
    return list(zip(images, *beside, strict=True))


def run(network, images):
    """Every output of the network, by name."""
    return {k: v.numpy() for k, v in network(fed(network, images), training=False).items()}


def unsettle(network, seed=0):
    """A network as after training: normalisation with the statistics of what it sees, and moved
    away from its start, where much of a network is the identity."""
    draw = np.random.default_rng(seed)
    for weight in network.trainable_variables:
        if len(weight.shape) > 1 and not np.any(weight):  # kernels that wait to be trained
            weight.assign(draw.normal(0, 0.1 * weight.shape[-2] ** -0.5, weight.shape))
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum, norm.usual = 0.0, norm.momentum
        norm.gamma.assign(norm.gamma * draw.uniform(0.8, 1.2, norm.gamma.shape))
        norm.beta.assign(norm.beta + draw.uniform(0.0, 0.3, norm.beta.shape))
    network(fed(network, pictures(network, 8, seed)), training=True)
    for norm in norms:
        norm.momentum = norm.usual


class ModelChecks:
    """builder, arguments: how keras_pose.models builds the tiny instance; plain types.

    outputs: name of every output to its shape without the batch. home: the module that brings the
    builder, where that is not keras_pose.models itself. reads: outputs that the one of inference is
    made of. teaches: outputs of the learner that the network does not have, and those of the
    network that the learner does not.
    half_error: how far half precision may be from float32, of the largest value, or of 1.
    What int8 may cost, root mean square: int8_error of the float map's standard deviation, and
    int8_pixels of the input where coordinates are predicted; for refined points, the median.
    """

    home = "keras_pose.models"
    builder: str
    arguments: dict
    outputs: dict
    reads = ()
    teaches = ((), ())
    half_error = 0.1
    int8_error = 0.1
    int8_pixels = 1.0

    def build(self, **changes):
        keras.utils.set_random_seed(1)
        return getattr(models, self.builder)(**{**self.arguments, **changes})

    def settle(self, network):
        """Weights as after training, in place."""
        unsettle(network)

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls):
        """As after training. It is shared: who changes a network builds one."""
        checks = cls()
        network = checks.build()
        checks.settle(network)
        before = network.get_weights()
        yield network
        for now, then in zip(network.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, network, tmp_path_factory):
        """The network's file, saved where it is being trained, read again."""
        path = tmp_path_factory.mktemp("saved") / "network.keras"
        PoseTask(network).network.save(path)
        return models.load(path)

    @pytest.fixture(scope="class")
    @classmethod
    def converter(cls):
        with converted_once():
            yield

    def test_names_and_shapes(self, network):
        assert [x.name for x in network.inputs] == ["image", *network.extra_inputs]
        assert network.inputs[0].shape == (None, *network.input_size, 3)
        made = {name: tuple(maps.shape[1:]) for name, maps in network.output.items()}
        assert made == self.outputs
        assert made[network.prediction] == network.codec.head_shape(network.skeleton.count)
        images = pictures(network, 3)
        assert {k: v.shape for k, v in run(network, images).items()} == {
            k: (3, *shape) for k, shape in self.outputs.items()
        }

    def test_a_gradient_reaches_every_weight_within_two_steps_and_teaches(self):
        network = self.build()
        task = PoseTask(network)
        x, y = batch(network)
        weights = task.trainable_variables  # the criterion's too
        assert {w.path for w in network.trainable_variables} <= {w.path for w in weights}
        optimizer = keras.optimizers.Adam(3e-3)
        reached, seen = set(), []
        for step in range(6):
            with tf.GradientTape() as tape:
                loss = task.compute_loss(x, y, task(x, training=True))
            gradients = tape.gradient(loss, weights)
            seen.append(float(loss))
            assert all(g is not None for g in gradients)
            if step < 2:
                both = zip(gradients, weights, strict=True)
                reached |= {w.path for g, w in both if np.any(g.numpy())}
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
        assert {w.path for w in weights} - reached == set()
        assert np.isfinite(seen).all()
        assert seen[-1] < seen[0] - 0.03 * abs(seen[0])  # a likelihood's loss may be negative

    def test_a_saved_network_is_the_same_network(self, network, loaded):
        assert loaded.skeleton == network.skeleton
        assert loaded.codec.to_dict() == network.codec.to_dict()
        assert loaded.arguments == network.arguments
        images = pictures(network)
        expected, found = run(network, images), run(loaded, images)
        for name in self.outputs:
            np.testing.assert_array_equal(found[name], expected[name])

    def test_mixed_precision_gives_float32_predictions_of_the_same_network(self, network):
        images = pictures(network)
        expected, mixed = run(network, images), network
        for policy in ("mixed_float16", "mixed_bfloat16"):
            mixed = mixed.rebuilt(policy)
            assert {layer.compute_dtype for layer in mixed.layers} == {"float32", policy[6:]}
            found = run(mixed, images)
            for name, maps in expected.items():
                assert found[name].dtype == np.float32
                np.testing.assert_allclose(
                    found[name], maps, atol=self.half_error * max(1.0, np.abs(maps).max())
                )
        back = run(mixed.rebuilt(), images)
        for name, maps in expected.items():
            np.testing.assert_array_equal(back[name], maps)

    def test_what_training_sees_has_the_same_weights_and_the_same_answers(self, network):
        """Noisy groups come after the network's own answer; they and dropout are off elsewhere."""
        learner, images = network.learner(), fed(network, pictures(network))
        seen, owned = ({id(w) for w in x.weights} for x in (learner, network))
        assert seen == owned if self.teaches == ((), ()) else seen < owned
        assert owned <= {id(w) for w in PoseTask(network).weights}
        own, again = (run(network, pictures(network)) for _ in range(2))
        beside, without = (set(names) for names in self.teaches)
        for name, seen in learner(images, training=False).items():
            if name in beside:
                continue
            np.testing.assert_array_equal(own[name], again[name])
            if network.prediction == "coordinates":
                assert seen.shape[1] % network.skeleton.count == 0
                seen = seen[:, : network.skeleton.count]
            np.testing.assert_allclose(seen, own[name], atol=1e-5)
        assert set(learner.output) == set(network.output) - without | beside

    def test_the_criterion_stays_behind(self, network, loaded):
        task = PoseTask(network)
        own = {id(w) for w in task.criterion.variables}
        assert own.isdisjoint(id(v) for v in network.variables)
        assert own <= {id(v) for v in task.variables}
        assert [w.shape for w in loaded.weights] == [w.shape for w in network.weights]
        assert {v.dtype for v in task.criterion.trainable_variables} <= {"float32"}

    def test_inference_keeps_one_prediction_and_leaves_out_what_only_training_reads(self, network):
        model = network.inference()
        images = pictures(network)
        predictions = run(network, images)
        heads = {n: x._keras_history.operation.name for n, x in network.output.items()}
        found = model(fed(network, images), training=False).numpy()
        np.testing.assert_allclose(found, predictions[network.prediction], atol=1e-5)
        kept = {layer.name for layer in model.layers}
        # an intermediate prediction is more than what the next ones read of it
        assert kept & set(heads.values()) == {heads[n] for n in (network.prediction, *self.reads)}
        for name, expected in predictions.items():  # any other can be looked at too
            found = network.inference(name)(fed(network, images), training=False).numpy()
            np.testing.assert_allclose(found, expected, atol=1e-5)
        with pytest.raises(PoseError, match=network.prediction):
            network.inference("nothing")

    @pytest.mark.backend("jax")
    def test_a_training_step_on_jax_without_tensorflow(self, jax_steps):
        loss, moved = jax_steps(self.home, self.builder, self.arguments)
        assert np.isfinite(loss)
        assert moved > 0.8

    def test_float32_tflite_gives_the_same_head_and_key_points(self, network, converter, tmp_path):
        images = pictures(network, 4)
        head = run(network, images)[network.prediction]
        path = tmp_path / "heads.tflite"
        path.write_bytes(export.to_tflite(network, output="heads"))
        scale = max(1.0, np.abs(head).max())
        np.testing.assert_allclose(_heads(path, network, images), head, atol=1e-3 * scale)
        points, scores = network.codec.decode(head)
        expected = geometry.denormalise(points, network.input_size)
        decoded = tmp_path / "decoded.tflite"
        decoded.write_bytes(export.to_tflite(network))
        for model in map(opened, (path, decoded)):
            for i, given in enumerate(one_by_one(network, images)):
                found, score = model.predict_patch(*given)
                np.testing.assert_allclose(found, expected[i], atol=0.05)
                np.testing.assert_allclose(score, scores[i], atol=1e-3)

    def test_int8_tflite_stays_close(self, network, converter, tmp_path):
        images = pictures(network, 24)
        head = run(network, images)[network.prediction]
        path = tmp_path / "int8.tflite"
        seen = one_by_one(network, images)
        path.write_bytes(export.to_tflite(network, "int8", output="heads", calibration=seen))
        apart, allowed = _heads(path, network, images) - head, self.int8_error * head.std()
        if network.prediction in ("coordinates", "points"):
            apart, allowed = apart[..., :2] * network.input_size[::-1], self.int8_pixels
        if network.prediction == "points":  # of almost equal peaks int8 may take the other
            apart = np.median(np.linalg.norm(apart, axis=-1))
        assert np.sqrt(np.mean(apart**2)) < allowed


def _heads(path, network, images):
    """What a `.tflite` gives to decode, through LiteRT."""
    runner = Interpreter(model_path=str(path)).get_signature_runner()
    names = ("image", *network.extra_inputs)
    found = [
        runner(**{n: x[None].astype(np.float32) for n, x in zip(names, given, strict=True)})
        for given in one_by_one(network, images)
    ]
    return np.concatenate([each[network.prediction] for each in found])
