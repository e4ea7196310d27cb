"""Scores of what refines poses: which poses it is shown, in which crops, and before and after."""

import dataclasses
import json
import re
import sys

import cv2
import keras
import numpy as np
import pytest
import tiny
import tiny_refiner
from conftest import ROOT
from dots import DotsReader

from keras_pose import export, geometry
from keras_pose.data.coco import CocoReader
from keras_pose.data.results_file import write_results
from keras_pose.errors import PoseError
from keras_pose.metadata import GROWN
from keras_pose.metrics.coco_format import entry
from keras_pose.models import network
from keras_pose.runtime.refiner import around
from keras_pose.skeletons import LSP14
from keras_pose.training import coco, diagnosis, evaluate, refining, run
from keras_pose.training.flip import flipping
from keras_pose.training.looking import Refining
from keras_pose.training.recipe import Recipe

SIZE = (64, 48)


def echo(seen=None):
    """Answers with the pose that it is shown, and the middle of the patch where there is none."""

    def answer(patches, poses):
        if seen is not None:
            seen.append((patches, poses))
        points = np.where(poses[..., 2:] > 0, poses[..., :2], 0.5)
        return geometry.denormalise(points, patches.shape[1:3]), np.full(points.shape[:2], 0.7)

    return Refining(answer)


def knowing(reader, margin=1.25):
    """Answers with the truth, whatever it is shown: it knows the crops' order."""
    samples = iter(reader.samples)

    def answer(patches, poses):
        found = []
        for _, sample in zip(patches, samples, strict=False):
            box = geometry.crop_box(sample.box, SIZE, margin)
            found.append(geometry.apply(geometry.box_to_size(box, SIZE), sample.keypoints))
        return np.stack(found), np.ones((len(found), 14))

    return Refining(answer)


def test_drawn_poses_are_what_is_scored_before():
    """What answers with its input has the scores of the input, what knows the truth has 100."""
    reader = DotsReader(12)
    same = evaluate.evaluate(echo(), reader, SIZE, presence=True)
    assert same.refined == "drawn, seed 0" and same.unposed == 0
    before = same.tables["input pck@0.2"]
    assert 30 < before["mean"] < 95
    everybody = same.tables["pck@0.2"]["mean"]
    assert before["mean"] <= everybody <= before["mean"] + 5  # the middle may be near
    assert np.isnan(same.presence) and np.isnan(same.threshold)
    best = evaluate.evaluate(knowing(reader), reader, SIZE)
    assert best.tables["pck@0.2"]["mean"] > 99.9
    assert best.tables["input pck@0.2"] == before
    assert best.summary()["input pck@0.2"] == round(before["mean"], 4)
    table = best.table()
    assert "drawn, seed 0, 0 of them empty" in table and "input pck@0.2" in table.splitlines()[1]
    told = json.loads(best.to_json())
    assert told["refined"] == "drawn, seed 0" and told["input pck@0.1"] < told["pck@0.1"]


def test_every_evaluation_draws_the_same_poses():
    seen = []
    for _ in range(2):
        evaluate.find(echo(seen), DotsReader(4), SIZE)
    evaluate.find(echo(seen), DotsReader(4), SIZE, limit=2)
    (_, first), (_, again), (_, few) = seen
    assert np.array_equal(first, again)
    assert np.array_equal(few[0], first[0])
    there = first[..., 2] > 0
    assert there.sum() > 40 and set(np.unique(first[..., 2])) <= {0, 1}
    assert (first[there][:, :2] > -1).all() and (first[there][:, :2] < 2).all()
    assert not first[~there].any()


@pytest.mark.parametrize("grown", [1.0, 1.2])
def test_given_poses_are_looked_at_in_crops_of_their_own(grown):
    reader, seen = DotsReader(3), []
    poses = np.stack([np.column_stack([s.keypoints + 3, np.full(14, 0.4)]) for s in reader.samples])
    poses[1, 5:] = 0
    poses[2] = 0
    predict = dataclasses.replace(echo(seen), grown=grown)
    assert flipping(predict, reader.skeleton, "mean").grown == grown
    found = evaluate.find(predict, reader, SIZE, poses=poses)
    (_, shown), *_ = seen
    for n, (pose, sample) in enumerate(zip(poses, reader.samples, strict=True)):
        there = pose[:, 2] > 0
        box = around(pose[there, :2], grown) if there.any() else sample.box
        crop = geometry.crop_box(box, SIZE, 1.25)
        places = geometry.apply(geometry.box_to_size(crop, SIZE), pose[there, :2])
        np.testing.assert_allclose(shown[n, there, :2], geometry.normalise(places, SIZE), atol=1e-5)
        np.testing.assert_array_equal(shown[n, :, 2], there)
        np.testing.assert_allclose(found.predicted[n, there], pose[there, :2], atol=1e-2)
    report = found.score()
    assert report.refined == "given" and report.unposed == 1
    assert report.tables["input pck@0.2"]["mean"] < report.tables["pck@0.2"]["mean"] + 1e-9
    assert found.samples == tuple(reader.samples)
    with pytest.raises(PoseError, match=r"\(3, 14, 3\)"):
        evaluate.find(echo(), reader, SIZE, poses=poses[:2])


def test_poses_of_some_persons_follow_them():
    reader, seen = DotsReader(5, broken=[4]), []
    poses = np.stack([np.column_stack([s.keypoints, np.ones(14)]) for s in reader.samples])
    found = evaluate.find(echo(seen), reader, SIZE, limit=3, poses=poses)  # 0, 2 and 4
    np.testing.assert_allclose(found.predicted, poses[[0, 2], :, :2], atol=1e-2)
    assert found.score().tables["input pck@0.1"]["mean"] == 100


def test_poses_are_refused_by_what_looks_at_the_picture_alone():
    with pytest.raises(PoseError, match="picture alone"):
        evaluate.find(lambda patches: None, DotsReader(1), SIZE, poses=np.zeros((1, 14, 3)))
    with pytest.raises(PoseError, match="refines poses"):
        evaluate.of_network(tiny_refiner.TinyRefiner(), scales=(0.8, 1.0))


def test_mirror_images_have_mirrored_poses():
    rng, mirror = np.random.default_rng(0), list(LSP14.mirror)
    poses = rng.uniform(0, 1, (2, 14, 3)).astype(np.float32)
    poses[..., 2] = rng.random((2, 14)) < 0.8
    poses *= poses[..., 2:]
    patches, seen = rng.integers(0, 255, (2, *SIZE, 3)).astype(np.uint8), []
    both = flipping(echo(seen), LSP14, "mean")
    assert isinstance(both, Refining)
    points, _ = both(patches, poses)
    (_, plain), (turned, shown) = seen
    assert plain is poses and np.array_equal(turned, patches[:, :, ::-1])
    np.testing.assert_allclose(shown[:, mirror, 0], (1 - poses[..., 0]) * poses[..., 2], atol=1e-6)
    np.testing.assert_array_equal(shown[:, mirror, 1:], poses[..., 1:])
    there = poses[..., 2] > 0
    expected = geometry.denormalise(poses[..., :2], SIZE)
    np.testing.assert_allclose(points[there], expected[there], atol=1e-4)


def test_a_network_and_its_file_are_the_same_refiner(tmp_path):
    keras.utils.set_random_seed(0)
    refiner = tiny_refiner.TinyRefiner(LSP14, (32, 24), early=True)
    refiner.save(tmp_path / "refiner.keras")
    (tmp_path / "refiner.tflite").write_bytes(export.to_tflite(refiner))
    reader = DotsReader(4)
    found = []
    for name in ("refiner.keras", "refiner.tflite"):
        predict, skeleton, size, margin = evaluate.open_model(tmp_path / name)
        assert isinstance(predict, Refining) and skeleton == LSP14 and size == (32, 24)
        found.append(evaluate.find(predict, reader, size, margin).predicted)
    np.testing.assert_allclose(*found, atol=0.2)
    other, *_ = evaluate.open_model(tmp_path / "refiner.keras", "early")
    assert np.abs(evaluate.find(other, reader, (32, 24)).predicted - found[0]).max() > 1


@pytest.fixture
def pictures(tmp_path):
    """A COCO folder of two persons beside each other in each of three blank pictures."""
    rng = np.random.default_rng(0)
    names = [f"{side}_{n}" for n in ("hip", "knee") for side in ("left", "right")]
    images, persons = [], []
    (tmp_path / "images").mkdir()
    for n in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"{n}.png"), np.zeros((200, 300, 3), np.uint8))
        images.append({"id": n, "file_name": f"{n}.png", "width": 300, "height": 200})
        for left in (20, 160):
            points = rng.uniform((left, 20), (left + 100, 180), (4, 2)).round(2)
            box = [*points.min(axis=0), *np.ptp(points, axis=0)]
            triples = np.column_stack([points, np.full(4, 2)])
            persons.append({
                "id": len(persons), "image_id": n, "category_id": 1, "iscrowd": 0, "bbox": box,
                "num_keypoints": 4, "area": 0.6 * box[2] * box[3],
                "keypoints": triples.ravel().tolist(),
            })  # fmt: skip
    category = {"id": 1, "name": "legs", "keypoints": names, "skeleton": []}
    path = tmp_path / "val.json"
    content = {"images": images, "annotations": persons, "categories": [category]}
    path.write_text(json.dumps(content))
    return CocoReader(path, tmp_path / "images")


def results_of(reader, shift=0.0, score=0.5):
    return [
        entry(s.picture, 1, s.keypoints + shift, np.full(4, 0.3), score - 0.01 * n)
        for n, s in enumerate(reader.samples)
    ]


def test_oks_of_drawn_poses_before_and_after(pictures):
    report = coco.evaluate(echo(), pictures, SIZE)
    assert report.refined == "drawn, seed 0" and report.poses == 6
    assert 0 <= report.before["AP"] < 0.95
    summary = report.summary()
    assert summary["input AP"] == round(100 * report.before["AP"], 4)
    assert abs(report.scores["AP"] - report.before["AP"]) < 0.2
    assert "input AP" in report.table() and "boxes" not in report.table()
    with pytest.raises(PoseError, match="detections"):
        coco.evaluate(echo(), pictures, SIZE, detections="boxes.json")


def test_oks_of_a_file_keeps_scores_and_refines_everybody_in_it(pictures, tmp_path):
    results, path = results_of(pictures), tmp_path / "in.json"
    extra = entry(0, 1, np.full((4, 2), 90.0), np.full(4, 0.1), 0.05)  # of nobody: refined too
    empty = {**extra, "keypoints": [0.0] * 12, "score": 0.01}
    write_results(path, [*results, extra, empty])
    seen = []
    report = coco.evaluate(echo(seen), pictures, SIZE, poses=path)
    assert sum(len(p) for p, _ in seen) == 7
    assert report.refined == "in.json" and report.unposed == 1 and report.poses == 8
    assert report.before["AP"] == report.scores["AP"] == 1.0
    given = {r["score"]: r["keypoints"] for r in [*results, extra, empty]}
    assert {r["score"] for r in report.results} == set(given)
    for result in report.results:
        np.testing.assert_allclose(result["keypoints"], given[result["score"]], atol=0.02)


def test_poses_in_a_picture_that_is_gone_are_counted(pictures, tmp_path):
    path = tmp_path / "in.json"
    write_results(path, results_of(pictures))
    (tmp_path / "images" / "1.png").unlink()
    reader = CocoReader(tmp_path / "val.json", tmp_path / "images")
    skipped = reader.skips.count
    report = coco.evaluate(echo(), reader, SIZE, poses=path)
    assert report.poses == 4 and report.pictures == 2 and reader.skips.count == skipped + 2
    assert report.before["AP"] == report.scores["AP"] == 1.0


def test_the_better_of_the_two_is_said(pictures, tmp_path):
    path = tmp_path / "in.json"
    write_results(path, results_of(pictures, shift=8.0))

    def moved_back(patches, poses):
        points = poses[..., :2]
        return geometry.denormalise(points, SIZE) - moved, poses[..., 2]

    extent = [around(s.keypoints) for s in pictures.samples]
    scales = np.array([SIZE[0] / geometry.crop_box(box, SIZE, 1.25)[3] for box in extent])
    moved = 8 * scales[:, None, None]
    report = coco.evaluate(Refining(moved_back), pictures, SIZE, poses=path)
    assert report.scores["AP"] > 0.99 > 0.8 > report.before["AP"]


def test_pck_of_a_file_by_whom_its_poses_are_of(pictures, tmp_path):
    path = tmp_path / "in.json"
    results = results_of(pictures)[::-1]
    del results[2]
    write_results(path, results)
    poses = diagnosis.of_everybody(path, pictures)
    gone = 6 - 1 - 2
    assert not poses[gone].any()
    for n, sample in enumerate(pictures.samples):
        if n != gone:
            np.testing.assert_allclose(poses[n, :, :2], sample.keypoints, atol=1e-2)
    report = evaluate.evaluate(echo(), pictures, SIZE, poses=poses)
    assert report.unposed == 1
    assert report.tables["input pck@0.2"]["mean"] == pytest.approx(100 * 5 / 6)


def test_a_run_draws_from_a_file_what_is_not_annotated(pictures, tmp_path):
    """Of some of the persons, in the order of the run's, one of whom the file does not know."""
    content = json.loads((tmp_path / "val.json").read_text())
    for person in content["annotations"]:
        person["keypoints"][3:6], person["num_keypoints"] = [0, 0, 0], 3
    (tmp_path / "val.json").write_text(json.dumps(content))
    path = tmp_path / "in.json"
    results = results_of(pictures)
    del results[5]
    write_results(path, results)
    recipe = Recipe(
        "PoseFix", network={"input_size": (32, 32), "backbone": "mobilenet_v2", "alpha": 0.35},
        samples=3, epochs=1, batch_size=3, intact=0.5, errors=(("miss", 2.0),), stand_in=str(path),
    )  # fmt: skip
    made = run.Run(recipe, tmp_path / "val.json", tmp_path / "run", False, False)
    assert (made.loader.intact, made.loader.errors) == (0.5, (("miss", 2.0),))
    assert made.train_reader.places.tolist() == [0, 2, 5]
    expected = np.array([pictures.samples[n].keypoints for n in (0, 2, 5)])
    np.testing.assert_allclose(made.loader.stand_in[:2, :, :2], expected[:2], atol=1e-2)
    assert made.loader.stand_in[:2, :, 2].all() and not made.loader.stand_in[2].any()
    with pytest.raises(PoseError, match="COCO data"):
        recipe = dataclasses.replace(recipe, data="figures:8", samples=0)
        run.Run(recipe, "figures:8", tmp_path / "other", False, False)


def test_the_command_says_before_and_after(pictures, tmp_path, monkeypatch, capsys):
    sys.path.insert(0, str(ROOT / "train"))
    import evaluate as command

    path, poses = tmp_path / "refiner.keras", tmp_path / "in.json"
    tiny_refiner.TinyRefiner(pictures.skeleton, (16, 16)).save(path)
    write_results(poses, results_of(pictures))
    data = ["--data", str(tmp_path / "val.json")]

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluate.py", str(path), *data, *arguments])
        command.main()
        return capsys.readouterr().out

    drawn, given = called(), called("--poses", str(poses), "--metric", "pck")
    assert "drawn, seed 0" in drawn and "input AP" in drawn
    assert "in.json, 0 of them empty" in given and "input pck@0.2" in given
    assert re.search(r"^input AP +100\.0$", called("--poses", str(poses)), re.M)
    path = tmp_path / "tiny.keras"
    tiny.TinyPose(pictures.skeleton).save(path)
    with pytest.raises(SystemExit):
        called("--poses", str(poses))


def test_a_crop_around_a_pose_is_as_large_as_those_of_training():
    """Of persons whose boxes are 1.5 times as long as the extent of their key points."""
    persons = DotsReader(9).samples
    assert refining.grown(persons) == 1.0
    wide = [dataclasses.replace(s, box=around(s.keypoints[s.visible], 1.5)) for s in persons]
    assert refining.grown(wide) == 1.5
    few = [dataclasses.replace(s, visible=np.arange(14) < 10) for s in wide]
    assert refining.grown(few) == refining.grown([]) == GROWN
    assert refining.grown([*few, *wide[:1]]) == 1.5


def test_diagnosis_of_a_refiner_says_that_poses_were_drawn(pictures, tmp_path):
    tiny_refiner.TinyRefiner(pictures.skeleton, (16, 16)).save(tmp_path / "refiner.keras")
    found = diagnosis.of_model(tmp_path / "refiner.keras", pictures)
    assert "poses refined: drawn, seed 0" in found.notes and len(found.codes) == 6


def test_training_asks_for_poses_and_is_scored_on_drawn_ones(monkeypatch, tmp_path):
    readers = {"train": DotsReader(8), "val": DotsReader(4, seed=1)}
    monkeypatch.setattr(run, "open_reader", lambda data, split: readers[split])
    recipe = Recipe("TinyRefiner", {"input_size": (16, 16)}, epochs=1, batch_size=4, workers=1)
    started = run.Run(recipe, "anything", tmp_path, False, False)
    assert started.loader.poses and isinstance(started.predict, Refining)
    trained = network.load(started.go())
    notes = trained.notes
    names = {"pck@0.2", "pck@0.1", "pckh@0.5"}
    assert notes["validation"].keys() == names | {f"input {name}" for name in names}
    assert "threshold" not in notes  # there is no presence to measure
    # what the crops of training showed goes with the network, and into its file
    assert notes["grown"] == evaluate.of_network(trained).grown == 1.0
    path = tmp_path / "refiner.tflite"
    path.write_bytes(export.to_tflite(trained))
    assert evaluate.open_model(path)[0].grown == 1.0
    plain = dataclasses.replace(recipe, builder="TinyPose")
    assert not run.Run(plain, "anything", tmp_path / "plain", False, False).loader.poses
