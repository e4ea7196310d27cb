"""One table of models with different skeletons, and how one answers for another's key points."""

import csv
import json
import sys

import cv2
import dots
import numpy as np
import pytest
import tiny
from conftest import ROOT, shared

from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError
from keras_pose.skeletons import COCO17, LSP14, Skeleton
from keras_pose.training import coco
from keras_pose.training.looking import answering

sys.path.insert(0, str(ROOT / "benchmarks"))

import compare


def test_answers_find_their_key_points_by_name():
    own, wanted = Skeleton("own", ("a", "b", "c")), Skeleton("wanted", ("c", "d", "a"))
    points = np.arange(12.0).reshape(2, 3, 2)
    scores = np.arange(6.0).reshape(2, 3) + 1
    said, sure = answering(lambda patches: (points, scores), own, wanted)(None)
    assert np.array_equal(said[:, [0, 2]], points[:, [2, 0]]) and np.isnan(said[:, 1]).all()
    assert np.array_equal(sure, np.stack([scores[:, 2], [0, 0], scores[:, 0]], axis=1))


@pytest.fixture
def data(tmp_path):
    """(COCO folder, LSP folder) of the same pictures, on which every joint is a dot."""
    reader = dots.DotsReader(4, seed=3)
    lsp, root = dots.write(reader, tmp_path / "lsp"), tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    annotations = []
    for n, sample in enumerate(reader.samples):
        points = np.zeros((COCO17.count, 3))
        for k, name in enumerate(COCO17.keypoints):
            if (own := LSP14.index(name)) is not None and sample.visible[own]:
                points[k] = (*sample.keypoints[own], 2)
        points[0] = (*sample.keypoints[13], 2)  # a nose, which is not shared
        annotation = {"id": n + 1, "image_id": n, "category_id": 1, "bbox": sample.box.tolist()}
        annotations.append({**annotation, "keypoints": points.ravel().tolist()})
    annotations[-1]["keypoints"][3:] = [0] * 48  # nothing but a nose
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(4)]
    for n, sample in enumerate(reader.samples):
        cv2.imwrite(str(root / f"{n}.png"), reader.image(sample)[..., ::-1])
    category = {"id": 1, "name": "person", "keypoints": COCO17.keypoints}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (root / "annotations" / "val.json").write_text(json.dumps(content))
    return root, lsp


def compared(monkeypatch, data, out, *models):
    given = [*models, "--coco", data[0], "--lsp", data[1], "--table", out]
    monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, given)])
    compare.main()
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


def test_one_command_makes_one_table(data, tmp_path, monkeypatch):
    peer = shared("peers/movenet_lightning_fp16.tflite")
    for name in ("lsp14", "coco17"):
        (tmp_path / name).mkdir()
        tiny.TinyPose(name).save(tmp_path / name / "best.keras")
    models = [tmp_path / "lsp14" / "best.keras", tmp_path / "coco17" / "best.keras", peer]
    rows = compared(monkeypatch, data, tmp_path / "table.csv", *models)
    assert [r["model"] for r in rows] == ["lsp14/best.keras", "coco17/best.keras", peer.name]
    assert [r["maker"] for r in rows] == ["keras_pose", "keras_pose", "MoveNet"]
    assert [r["skeleton"] for r in rows] == ["lsp14", "coco17", "coco17"]
    for row in rows:
        assert row["key_points"] == "12" and row["command"].startswith("python benchmarks/compare")
        assert (row["coco_persons"], row["coco_pictures"]) == ("3", "4")
        assert 0 <= float(row["AP"]) <= 100 and 0 <= float(row["pck@0.2"]) <= 100


def test_models_are_scored_on_what_they_share(data, monkeypatch):
    """One that knows where the shared key points are, and nothing else, has 100 everywhere."""
    readers = [open_reader(folder, "val") for folder in data]
    asked = []

    def knows(patches):
        samples = readers[len(asked)].samples
        asked.append(len(patches))
        points = np.full((len(samples), 14, 2), 1e4)
        for point, sample in zip(points, samples, strict=True):
            skeleton, scale = readers[len(asked) - 1].skeleton, 64 / 1.25
            side = max(*sample.box[2:], 16 / 1.25)
            corner = sample.box[:2] + sample.box[2:] / 2 - side * 1.25 / 2
            for k, name in enumerate(LSP14.keypoints[:12]):
                place = sample.keypoints[skeleton.index(name)]
                point[k] = (place - corner) * (scale / side) - 0.5
        return points, np.ones((len(samples), 14))

    opened = (knows, LSP14, (64, 64), 1.25, "nobody")
    monkeypatch.setattr(compare, "opened", lambda model: opened)
    row = compare.score(data[0] / "0.png", *readers)
    assert asked == [4, 4]
    assert row["AP"] == row["AR"] == row["pck@0.2"] == row["pck@0.1"] == 100


def test_a_model_without_a_shared_key_point_is_refused(data, tmp_path, monkeypatch, capsys):
    tiny.TinyPose(tiny.CHAIN).save(tmp_path / "tiny.keras")
    with pytest.raises(SystemExit):
        compared(monkeypatch, data, tmp_path / "table.csv", tmp_path / "tiny.keras")
    assert "left_ankle" in capsys.readouterr().err
    blazepose = shared("peers/blazepose_landmark_lite.tflite")
    with pytest.raises(PoseError, match="MoveNet"):
        compare.opened(blazepose)
    with pytest.raises(PoseError, match="COCO's annotations"):
        coco.metric(open_reader(data[1], "val"), "oks")
