"""FLIC's examples.mat, written here as its authors wrote it."""

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from test_mpii import NOTHING, structs

from keras_pose import metrics
from keras_pose.data import Loader, open_reader
from keras_pose.data.flic import FlicReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import FLIC11

# the places of coords from 1, as FLIC's part list numbers them
PLACES = {
    "left_shoulder": 1, "left_elbow": 2, "left_wrist": 3, "right_shoulder": 4, "right_elbow": 5,
    "right_wrist": 6, "left_hip": 7, "right_hip": 10, "left_eye": 13, "right_eye": 14, "nose": 17,
}  # fmt: skip


def example(n, seed=0, train=1, **changes):
    coords = np.full((2, 29), np.nan)
    rng = np.random.default_rng(seed)
    for place in PLACES.values():
        coords[:, place - 1] = rng.uniform(5, 45, 2).round(1)
    row = {
        "poselet_hit_idx": NOTHING, "moviename": "film", "coords": coords,
        "filepath": f"film-{n:08d}.png", "imgdims": np.array([[50.0, 60.0, 3.0]]),
        "currframe": float(n), "torsobox": np.array([[10.0, 10.0, 30.0, 40.0]]),
        "istrain": np.uint8(train), "istest": np.uint8(1 - train),
    }  # fmt: skip
    return {**row, **changes}


@pytest.fixture
def flic(tmp_path):
    def make(examples, gone=()):
        (tmp_path / "images").mkdir(exist_ok=True)
        for n, row in enumerate(examples):
            if n not in gone:
                picture = np.zeros((50, 60, 3), np.uint8)
                cv2.imwrite(str(tmp_path / "images" / row["filepath"]), picture)
        savemat(tmp_path / "examples.mat", {"examples": structs(examples)})
        return tmp_path

    return make


def test_the_eleven_joints_come_back_from_zero(flic):
    examples = [example(n, seed=n) for n in range(3)]
    reader = open_reader(flic(examples))
    assert reader.skeleton is FLIC11 and len(reader) == 3 and reader.skips.count == 0
    for sample, row in zip(reader.samples, examples, strict=True):
        assert sample.visible.all() and sample.keypoints.shape == (11, 2)
        for name, place in PLACES.items():
            truth = row["coords"][:, place - 1] - 1
            assert np.allclose(sample.keypoints[FLIC11.index(name)], truth, atol=1e-4)
    assert reader[0].name == "film-00000000.png#1"
    assert Loader(reader, (32, 32), 3).batch(0, 0)[0]["patch"].shape[0] == 3


def test_its_flags_divide_it(flic):
    folder = flic([example(n, train=n % 2) for n in range(5)])
    train, val = open_reader(folder), open_reader(folder / "examples.mat", "val")
    assert [s.name[-1] for s in train.samples] == ["2", "4"]
    assert [s.name[-1] for s in val.samples] == ["1", "3", "5"]
    assert len(FlicReader(folder)) == 5


def test_what_cannot_be_used_is_counted(flic):
    unlabelled = example(1)["coords"].copy()
    unlabelled[:, PLACES["nose"] - 1] = np.nan
    rows = [example(0), example(1, coords=unlabelled), example(2), example(3, istrain=np.uint8(0)),
            example(4, coords=np.full((2, 29), np.nan))]  # fmt: skip
    reader = open_reader(flic(rows, gone=(2,)))
    assert [s.name[-1] for s in reader.samples] == ["1", "2"]
    assert np.flatnonzero(~reader[1].visible).tolist() == [FLIC11.index("nose")]
    for reason in ("picture is gone", "examples(3)", "neither split", "examples(4)", "visible"):
        assert reason in reader.skips.summary()
    assert reader.skips.count == 3


@pytest.mark.parametrize("coords", [np.zeros((2, 28)), np.zeros((29, 2)), NOTHING, "none"])
def test_coords_of_another_shape_are_refused(flic, coords):
    with pytest.raises(PoseError, match=r"examples\(2\)") as error:
        open_reader(flic([example(0), example(1, coords=coords)]))
    assert "examples.mat" in error.value.received


def test_a_file_without_persons_is_refused(tmp_path):
    savemat(tmp_path / "examples.mat", {"examples": NOTHING})
    with pytest.raises(PoseError, match="nothing is left"):
        open_reader(tmp_path)


def test_the_torso_is_left_shoulder_to_right_hip(flic):
    """Sapp and Taskar's unit of PCK, and FLIC's two joints in the table."""
    reader = open_reader(flic([example(n, seed=n) for n in range(2)]))
    truth = np.stack([s.keypoints for s in reader.samples])
    seen = np.stack([s.visible for s in reader.samples])
    length = metrics.torso(truth, seen, FLIC11)
    ends = [truth[:, FLIC11.index(n)] for n in ("left_shoulder", "right_hip")]
    assert np.allclose(length, np.linalg.norm(ends[0] - ends[1], axis=1))
    moved = truth + 0.15 * length[:, None, None] * np.array([1.0, 0.0])
    for share, expected in ((0.1, 0.0), (0.2, 100.0)):
        table = metrics.pck(moved, truth, seen, length, share, FLIC11)
        assert {table[f"{s}_{j}"] for s in ("left", "right") for j in ("elbow", "wrist")} == {
            expected
        }
