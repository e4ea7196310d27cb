"""PoseFix: what all networks must do, its counts, its pipelines, and that it corrects poses."""

import keras
import numpy as np
import pytest
from model_checks import ARM, ModelChecks, batch, fed, pictures, poses, run

from keras_pose import losses, models
from keras_pose.codecs import GaussianHeatmap, IntegralHeatmap
from keras_pose.errors import PoseError
from keras_pose.models import PoseFix, SimpleBaseline
from keras_pose.models.counting import count
from keras_pose.models.posefix import PIPELINES
from keras_pose.models.refined import IntegralLoss
from keras_pose.task import PoseTask

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [32, 32],
    "backbone": "mobilenet_v2",
    "alpha": 0.35,
    "level": 8,  # a deeper random trunk would make another answer of rounding
    "deconvolutions": 1,
    "filters": 32,  # so that six steps teach
    "sigma": 3.0,
    "pose_stride": 2,
}


def _tiny(**changes):
    keras.utils.set_random_seed(1)
    return PoseFix(**{**TINY, **changes})


class TestPoseFix(ModelChecks):
    builder = "PoseFix"
    arguments = TINY
    outputs = {"heatmaps": (8, 8, 3)}  # noqa: RUF012
    int8_error = 0.2  # a random trunk: linear bottlenecks, whose ranges nothing bounds


def test_counts_of_the_base_model():
    """SimpleBaseline's and, for 17 maps, 17 x 64 kernels of 7 x 7 more: 34.05 M."""
    counts = count(PoseFix())
    assert counts.trainable == 33_999_697 + 17 * 64 * 49 == 34_053_009
    assert counts.multiply_adds == pytest.approx(6.081e9, rel=1e-3)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_pipeline_says_what_goes_in_and_what_is_taught(pipeline):
    network = _tiny(pipeline=pipeline)
    codec, criterion = network.codec, network.criterion()
    if pipeline == "C2C":
        assert isinstance(codec, GaussianHeatmap) and isinstance(criterion, losses.Maps)
        assert (codec.sigma, codec.decoder) == (3.0, "fit")
    else:
        assert isinstance(codec, IntegralHeatmap) and isinstance(criterion, IntegralLoss)
        assert codec.decoder == "soft"
        terms = (pipeline != "C2F-LC", pipeline != "C2F-LH")
        assert (criterion.heat, criterion.place) == terms
    maps = keras.Model(network.inputs[1], network.get_layer("pose_maps").output)(poses(network))
    cells = (np.asarray(maps) > 0).sum(axis=(1, 2))
    assert cells[0, 0] == 0  # which this pose lacks
    assert cells[1].max() <= 4 if pipeline == "F2F" else cells[1].min() > 20


def test_the_pose_changes_the_answer_wherever_it_joins():
    for stride in (1, 2, 4):
        network = _tiny(pose_stride=stride, blocks=int(stride == 4))
        given = fed(network, pictures(network))
        if stride == 2:
            kernel = network.get_layer("beside_conv").kernel
            assert not np.any(kernel)  # a trained backbone begins as it was
            kernel.assign(np.random.default_rng(0).normal(0, 1, kernel.shape))
        network.get_layer("last_heatmaps").kernel.assign(np.ones((1, 1, 32, 3)))
        moved = {**given, "pose": given["pose"] + [0.3, -0.2, 0.0]}
        first, second = (np.asarray(network(x)["heatmaps"]) for x in (given, moved))
        assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


def test_a_pose_that_joins_late_leaves_the_backbone_to_the_picture():
    """And is heard beyond its own cells through the blocks, as far as their kernels reach."""
    network = _tiny(pose_stride=4, blocks=1, filters=8)
    assert network.get_layer("Conv1").kernel.shape[2] == 3
    assert network.get_layer("pose_maps").output.shape[1:] == (8, 8, 3)
    names = {x.name for x in network.layers}
    assert "refined1_depthwise" in names and "refined2_depthwise" not in names
    joined = keras.Model(network.inputs, network.get_layer("pose_join_relu").output)
    after = keras.Model(network.inputs, network.get_layer("refined1_relu").output)
    empty, full = (
        {
            "image": keras.ops.zeros((1, 32, 32, 3)),
            "pose": keras.ops.convert_to_tensor([[[0.06, 0.06, there]] * 3]),
        }
        for there in (0.0, 1.0)
    )
    apart = [np.abs(np.asarray(m(full)) - np.asarray(m(empty)))[0].max(-1) for m in (joined, after)]
    reached = [np.count_nonzero(each[0] > 1e-3) for each in apart]
    assert reached[0] < reached[1] < 8


def test_a_peak_is_as_high_as_white_is_above_black():
    assert _tiny().get_layer("pose_maps").peak == 2.0
    movenet = _tiny(backbone="movenet", alpha=1.0)
    assert movenet.get_layer("pose_maps").peak == 2.0
    assert movenet.get_layer("beside_conv").kernel.shape == (1, 1, 3, 32)


def test_the_head_is_the_simple_baselines():
    """The same layers behind the pose, so its weights may be taken over by name."""
    arguments = {k: v for k, v in TINY.items() if k not in ("sigma", "pose_stride")}
    baseline = SimpleBaseline(**arguments, loss="softmax")
    names = {x.name for x in _tiny().layers} - {x.name for x in baseline.layers}
    assert names == {"pose", "pose_maps", "beside_conv", "beside_add"}


def test_it_begins_with_a_backbone_that_has_seen_pictures_alone(tmp_path):
    arguments = {k: v for k, v in TINY.items() if k not in ("sigma", "pose_stride")}
    keras.utils.set_random_seed(5)
    SimpleBaseline(**arguments, loss="softmax").save(tmp_path / "pictures.keras")
    given = models.load(tmp_path / "pictures.keras")
    network = _tiny(weights=f"backbone:{tmp_path / 'pictures.keras'}", pose_stride=1)
    kernel, expected = (x.get_layer("Conv1").kernel.numpy() for x in (network, given))
    np.testing.assert_array_equal(kernel[:, :, :3], expected)
    assert kernel.shape[2] == 6 and not kernel[:, :, 3:].any()
    network.save(tmp_path / "both.keras")
    again = _tiny(weights=tmp_path / "both.keras", pose_stride=1, decoder="argmax")
    images = pictures(network)
    np.testing.assert_array_equal(run(again, images)["heatmaps"], run(network, images)["heatmaps"])
    with pytest.raises(PoseError, match="pose_stride"):
        _tiny(weights=tmp_path / "both.keras")


def test_the_released_geometry_is_an_argument():
    network = _tiny(corner=True)
    assert network.codec.corner and _tiny().codec != network.codec
    x, y = batch(network)
    corner, middle = (
        float(twin.criterion()(network(fed(network, x["patch"])), y)) for twin in (network, _tiny())
    )
    assert corner != pytest.approx(middle, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pipeline": "F2C"}, "pipeline as one of"),
        ({"pose_stride": 8}, "pose_stride as 1, 2, 4"),
        ({"pose_stride": True}, "pose_stride as 1, 2, 4"),
        ({"pose_stride": 4.0}, "pose_stride as 1, 2, 4"),
        ({"blocks": -1}, "blocks as a whole number"),
        ({"blocks": 1.0}, "blocks as a whole number"),
        ({"sigma": 0.0}, "sigma as a number above 0"),
        ({"corner": 1}, "corner as True or False"),
        ({"corner": True, "pipeline": "C2C"}, "corner as False with C2C"),
        ({"decoder": "guess"}, "a decoder among"),
        ({"backbone": "vgg"}, "backbone among"),
        ({"level": 6}, "levels of mobilenet_v2"),
        ({"deconvolutions": 4}, "at most 3 deconvolutions"),
        ({"input_size": (48, 32)}, "multiples of 32"),
        ({"frozen_norm": "yes"}, "frozen_norm True or False"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(changes, words):
    with pytest.raises(PoseError, match=words) as refusal:
        _tiny(**changes)
    assert refusal.value.advice


# what it is for


def _pair(count, seed=0):
    """Pictures that show two arms alike in unlike places, and the key points of both, (count, 2, 3,
    2) in pixels: the pose alone says which one is meant."""
    draw = np.random.default_rng(seed)
    arms = np.stack([draw.uniform(8, 26, (count, 3, 2)), draw.uniform(38, 56, (count, 3, 2))], 1)
    arms[..., 1] = draw.uniform(8, 56, (count, 2, 3))
    y, x = np.mgrid[:64, :64]
    images = np.zeros((count, 64, 64, 3))
    for i, arm, k in np.ndindex(count, 2, 3):
        px, py = arms[i, arm, k]
        images[i, ..., k] += 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 18)
    return images.clip(0, 255).astype(np.float32), arms


def test_it_learns_by_heart_to_put_poses_right():
    """Sixteen pairs of a picture and a person in it. Poses that it has never been given come out
    much nearer to whom they are of than they went in."""
    keras.utils.set_random_seed(3)
    network = _tiny(input_size=[64, 64], level=4, deconvolutions=0, sigma=6.0, pose_stride=1)
    images, arms = _pair(8)
    images, truth = np.repeat(images, 2, axis=0), arms.reshape(16, 3, 2)
    draw = np.random.default_rng(4)

    def drawn():
        pose = np.ones((16, 3, 3), np.float32)
        pose[..., :2] = (truth + draw.uniform(-7, 7, truth.shape) + 0.5) / 64
        return pose

    y = {
        "keypoints": ((truth + 0.5) / 64).astype(np.float32),
        "visible": np.ones((16, 3), np.float32),
        "person": np.ones(16, np.float32),
    }
    x = {
        "patch": images,
        "matrix": np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (16, 1, 1)),
        "color": np.tile(np.float32([[1, 1, 1], [0, 0, 0]]), (16, 1, 1)),
    }
    task = PoseTask(network)
    task.compile(optimizer=keras.optimizers.Adam(5e-3))
    for _ in range(60):
        task.train_on_batch({**x, "pose": drawn()}, y)
    given = drawn()
    maps = network({"image": images, "pose": given})["heatmaps"]
    found, _ = network.codec.decode(np.asarray(maps))
    before, after = (np.abs(p[..., :2] * 64 - 0.5 - truth).mean() for p in (given, found))
    assert after < 0.3 * before
