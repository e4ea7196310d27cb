"""What PoseFix's tables and figures are made from: whose poses, what counts, before and after."""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import train_worker
from conftest import ROOT
from dots import DotsReader

sys.path.insert(0, str(ROOT / "benchmarks"))

import compare
import posefix_e2e
import posefix_helps
import posefix_oks
import posefix_pipelines
import refined
import trainings

from keras_pose import geometry, models
from keras_pose.data.coco import CocoReader
from keras_pose.data.results_file import write_results
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_format import entry
from keras_pose.skeletons import COCO17, LSP14
from keras_pose.training.looking import Refining
from keras_pose.training.recipe import load

SIZE = (64, 48)
SHARED = [n for n in LSP14.keypoints if n in COCO17.keypoints]


def refiner(shift=0.0):
    """What `open_model` gives: answers with the pose that it is shown, moved by pixels of the
    crop; the upper left corner where there is none."""

    def answer(patches, poses):
        points = geometry.denormalise(poses[..., :2], SIZE) + shift
        return points, np.ones(points.shape[:2])

    return Refining(answer), LSP14, SIZE, 1.25


def knowing(reader, skeleton, wrong=0.0):
    """An estimator of a skeleton, as compare.opened gives it, that knows the crops' order."""
    samples = iter(reader.samples)

    def predict(patches):
        found = np.zeros((len(patches), skeleton.count, 2))
        for row, sample in zip(found, samples, strict=False):
            box = geometry.crop_box(sample.box, SIZE, 1.25)
            points = geometry.apply(geometry.box_to_size(box, SIZE), sample.keypoints)
            for name, point in zip(LSP14.keypoints, points, strict=True):
                if skeleton.index(name) is not None:
                    row[skeleton.index(name)] = point + wrong
        return found, np.full(found.shape[:2], 0.5)

    return lambda model: (predict, skeleton, SIZE, 1.25, "somebody")


@pytest.fixture
def reader():
    return DotsReader(5)


def test_an_estimator_of_other_key_points_leaves_those_out_that_it_lacks(reader, monkeypatch):
    monkeypatch.setattr(compare, "opened", knowing(reader, COCO17))
    poses, only, file = refined.estimated("movenet.tflite", reader)
    assert list(only) == SHARED and len(SHARED) == 12 and file.name == "movenet.tflite"
    known = np.isin(LSP14.keypoints, SHARED)
    assert not poses[:, ~known].any() and (poses[:, known, 2] == 0.5).all()
    truth = np.stack([s.keypoints for s in reader.samples])
    np.testing.assert_allclose(poses[:, known, :2], truth[:, known], atol=1e-2)
    one = refined.refined(refiner(), reader, "movenet", poses, only)
    assert one.pck() == {
        "before_pck@0.2": 100, "pck@0.2": 100, "before_pck@0.1": 100, "pck@0.1": 100
    }  # fmt: skip
    for diagnosis in one.diagnoses(reader):
        visible = np.stack([s.visible for s in reader.samples])
        assert (diagnosis.codes[:, ~known] == -1).all()
        assert ((diagnosis.codes == 0) == (visible & known)).all()
    for oks in one.oks():
        np.testing.assert_allclose(oks, 1, atol=1e-4)


def test_persons_beyond_the_limit_are_not_asked(reader, monkeypatch):
    monkeypatch.setattr(compare, "opened", knowing(DotsReader(5), LSP14))
    poses, only, _ = refined.estimated("ours.keras", reader, limit=2)
    assert poses.any(axis=(1, 2)).tolist() == [True, False, False, False, True]
    assert only == LSP14.keypoints
    one = refined.refined(refiner(), reader, "ours", poses, only, limit=2)
    assert len(one.before) == 2


def test_what_refines_is_no_estimator(reader, monkeypatch):
    monkeypatch.setattr(compare, "opened", lambda model: (*refiner(), "keras_pose"))
    with pytest.raises(PoseError, match="--model"):
        refined.estimated("posefix.keras", reader)
    with pytest.raises(PoseError, match="picture alone"):
        refined.refined((lambda patches: None, LSP14, SIZE, 1.25), reader, "nobody")


@pytest.mark.parametrize("name", ["fast.tflite", "run/best.keras"])
def test_two_models_of_one_name_are_refused(name, reader):
    models = [f"a/{name}", "other_preset", f"b/{name}"]
    with pytest.raises(PoseError, match=f"a/{name}, b/{name}, each called {name}"):
        next(refined.of_estimators(refiner(), models, reader))
    other = ["b/fast.tflite", "a/run/best.keras", "other_preset"]
    assert list(refined.named(other)) == ["fast.tflite", "run/best.keras", "other_preset"]
    assert list(refined.named(other).values()) == other


def test_a_line_says_what_refining_does(reader):
    """A refiner that moves everything by a third of the crop undoes what was right."""
    hips = [LSP14.index(f"{side}_hip") for side in ("left", "right")]
    reader.samples[1].visible[hips] = False  # no torso, no PCK
    truth = refined.true(reader)
    for shift, better in ((0.0, True), (SIZE[0] / 3, False)):
        one = refined.refined(refiner(shift), reader, refined.TRUTH, truth)
        line = posefix_helps.row(one, reader, one.diagnoses(reader))
        assert line["before_pck@0.1"] == 100 and (line["pck@0.1"] > 99) == better
        annotated = sum(s.visible.sum() for s in reader.samples)
        assert line["before_good"] == annotated and (line["good"] == annotated) == better
        assert sum(line[kind] for kind in ("good", "jitter", "inversion", "swap", "miss")) == (
            annotated
        )
        assert (line["persons"], line["diagnosed"]) == (4, 5)
        assert line["key_points"] == 14 and line["empty"] == 0
        rows = posefix_oks.points(one)
        before, after = posefix_oks.pairs(rows, refined.TRUTH)
        assert (before > 0.999).all() and ((after > 0.99).all() == better)
        told = posefix_oks.summary(rows)
        assert "of 5 poses" in told and ("worse in 100.0 %" in told) == (not better)
    drawn = refined.refined(refiner(), reader, refined.DRAWN)
    assert 20 < drawn.pck()["before_pck@0.1"] < 95


def test_a_refiners_time_is_told_in_that_of_the_estimator(monkeypatch):
    """None for what is no .tflite, and no place moves because of it."""
    medians = {"refiner.tflite": 2.0, "slow.tflite": 8.0, "fast.tflite": 0.5}
    asked = []

    def timed(paths, threads, rounds):
        asked.append([Path(path).name for path in paths])
        return [SimpleNamespace(median=medians[name]) for name in asked[-1]]

    monkeypatch.setattr("keras_pose.runtime.benchmark.compare", timed)
    files = [Path("slow.tflite"), Path("best.keras"), None, Path("fast.tflite")]
    assert posefix_helps.ratios("refiner.tflite", files, 3) == [0.25, None, None, 4.0]
    assert asked == [["refiner.tflite", "slow.tflite", "fast.tflite"]]
    assert posefix_helps.ratios("best.keras", files, 3) == [None] * 4
    assert posefix_helps.ratios("refiner.tflite", files[1:3], 3) == [None] * 2
    assert len(asked) == 1


def test_a_pictures_name_is_part_of_a_path():
    assert posefix_helps.plain("run/best.keras") == "run_best_keras"
    assert posefix_helps.plain(refined.DRAWN) == "drawn_errors"
    assert posefix_helps.plain("poseur_mobile_lsp14") == "poseur_mobile_lsp14"


def test_a_key_point_that_was_not_given_is_far_from_everything(reader):
    poses = refined.true(reader)
    poses[0, 3:] = 0
    visible = reader.samples[0].visible
    before, _ = refined.refined(refiner(), reader, "few", poses).oks()
    assert before[0] == pytest.approx(visible[:3].sum() / visible.sum(), abs=1e-3)
    np.testing.assert_allclose(before[1:], 1, atol=1e-4)


@pytest.fixture
def people(tmp_path):
    """COCO annotations of two persons in each of two pictures that are not there."""
    rng, persons = np.random.default_rng(0), []
    names = [f"{side}_{n}" for n in ("hip", "knee") for side in ("left", "right")]
    for n in range(4):
        points = rng.uniform((200 * (n % 2), 0), (200 * (n % 2) + 100, 150), (4, 2)).round(2)
        box = [*points.min(axis=0), *np.ptp(points, axis=0)]
        triples = np.column_stack([points, np.full(4, 2)])
        persons.append({
            "id": n, "image_id": n // 2, "category_id": 1, "iscrowd": 0, "bbox": box,
            "num_keypoints": 4, "area": 0.6 * box[2] * box[3],
            "keypoints": triples.ravel().tolist(),
        })  # fmt: skip
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 400, "height": 200} for n in range(2)]
    category = {"id": 1, "name": "legs", "keypoints": names, "skeleton": []}
    path = tmp_path / "val.json"
    path.write_text(
        json.dumps({"images": images, "annotations": persons, "categories": [category]})
    )
    return CocoReader(path, [tmp_path], pictures=False)


def results(reader, shift):
    return [
        entry(s.picture, 1, s.keypoints + shift, np.full(4, 0.3), 0.9 - 0.1 * n)
        for n, s in enumerate(reader.samples)
    ]


def test_two_files_are_compared_pose_by_pose(people, tmp_path, monkeypatch):
    before, after = results(people, 6.0)[::-1], results(people, 1.0)[::-1]
    del before[1], after[1]  # nobody has found person 2
    paths = [tmp_path / f"{n}.json" for n in ("before", "after")]
    for path, content in zip(paths, (before, after), strict=True):
        write_results(path, content)
    one = refined.of_files(*paths, people)
    assert {s.label for s in one.found.samples} == {0, 1, 3}
    first, second = one.oks()
    assert (first < second).all() and (second > 0.98).all() and (first < 0.97).all()
    data, folder = str(tmp_path / "val.json"), str(tmp_path)
    posefix_oks.main(["--files", *map(str, paths), "--data", data, "--results", folder])
    with open(tmp_path / "posefix_oks.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["after"]) for line in lines] == pytest.approx(second.tolist(), abs=1e-4)
    assert (tmp_path / "posefix_oks.png").stat().st_size > 1000
    write_results(paths[1], after[::-1])
    with pytest.raises(PoseError, match="in their order"):
        refined.of_files(*paths, people)
    for path in paths:
        write_results(path, results(people, 5000.0))
    with pytest.raises(PoseError, match=r"fits an annotated person\. Received 4 in"):
        refined.of_files(*paths, people)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--data, the COCO data"),
        (["--data", "coco", "--limit", "3"], "received --limit"),
        (["--data", "coco", "--smoke", "--model", "m.keras"], "received --model, --smoke"),
    ],
    ids=str,
)
def test_what_files_cannot_go_with_is_refused(given, said, capsys):
    with pytest.raises(SystemExit):
        posefix_oks.main(["--files", "a.json", "b.json", *given])
    assert said in capsys.readouterr().err


def test_poses_without_an_annotated_key_point_have_no_figure(reader, monkeypatch, capsys, tmp_path):
    for sample in reader.samples:
        sample.visible[LSP14.index("neck")] = False
    one = refined.refined(refiner(), reader, "neck", refined.true(reader), only=("neck",))
    monkeypatch.setattr(refined, "opened", lambda given: (None, [], reader, 0, tmp_path))
    monkeypatch.setattr(refined, "of_estimators", lambda *given: [one])
    with pytest.raises(SystemExit):
        posefix_oks.main([])
    assert "none among 5" in capsys.readouterr().err


@pytest.fixture
def untrained(monkeypatch, reader, tmp_path):
    """Runs that are their beginnings, on crops of dots; yields what was asked for."""
    asked = {}

    def begun(recipe, data, out, watches=()):
        asked[out.name] = recipe
        out.mkdir(parents=True, exist_ok=True)
        recipe.build(LSP14).save(out / "best.keras")
        (out / "log.csv").write_text("seconds\n90\n")
        return out / "best.keras"

    network = (
        "backbone=mobilenet_v2", "alpha=0.35", "level=8", "deconvolutions=1", "filters=8",
        "pose_stride=2", "blocks=0",
    )  # fmt: skip
    small = (*trainings.POSEFIX.smoke, *(f"network.{each}" for each in network), "validate=2")
    recipe = load("posefix_mobile_lsp", small)
    monkeypatch.setattr(trainings, "trained", begun)
    monkeypatch.setattr(
        trainings, "opened", lambda given: (recipe, "dots", tmp_path / "r", tmp_path)
    )
    monkeypatch.setattr("keras_pose.data.open.open_reader", lambda data, split: reader)
    return asked


def test_every_pipeline_is_trained_and_scored_alike(untrained, reader, monkeypatch, tmp_path):
    monkeypatch.setattr(compare, "opened", knowing(DotsReader(5), COCO17, wrong=2.0))
    posefix_pipelines.main(["--pipelines", "F2F", "C2C", "--estimators", "movenet.tflite"])
    assert {name: recipe.network["pipeline"] for name, recipe in untrained.items()} == {
        "F2F": "F2F", "C2C": "C2C"
    }  # fmt: skip
    first, second = untrained.values()
    assert dataclasses.replace(second, network={**second.network, "pipeline": "F2F"}) == first
    with open(tmp_path / "posefix_pipelines.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["pipeline"], line["poses"]) for line in lines] == [
        (name, poses) for name in ("F2F", "C2C") for poses in (refined.DRAWN, "movenet.tflite")
    ]
    assert lines[0]["before_pck@0.1"] == lines[2]["before_pck@0.1"]
    assert {line["minutes"] for line in lines} == {"1.5"}
    assert (tmp_path / "posefix_pipelines.png").stat().st_size > 1000


def test_the_two_ways_begin_with_the_same_estimator(untrained, tmp_path):
    posefix_e2e.main([])
    estimator, both, alone = (untrained[n] for n in ("estimator", "end_to_end", "model_agnostic"))
    assert estimator.builder == "SimpleBaseline" and estimator.network["loss"] == "softmax"
    assert (both.builder, alone.builder) == ("EndToEnd", "PoseFix")
    assert both.network["weights"] == str(tmp_path / "r" / "estimator" / "best.keras")
    for other in (estimator, alone):
        own = {"builder": other.builder, "network": other.network}
        assert dataclasses.replace(both, **own) == other
    made = models.load(tmp_path / "r" / "end_to_end" / "best.keras").arguments
    fixed = models.load(tmp_path / "r" / "model_agnostic" / "best.keras").arguments
    own = {k: v for k, v in fixed.items() if k not in ("skeleton", "input_size", "weights")}
    assert made["refiner"] == own
    with open(tmp_path / "posefix_e2e.csv", newline="") as file:
        lines = {line["way"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["estimator", "estimator in E2E-refine", "E2E-refine", "MA-refine"]
    first, again = (lines[n]["pck@0.1"] for n in ("estimator", "estimator in E2E-refine"))
    assert first == again and lines["estimator"]["change_pck@0.1"] == "0.0"
    with pytest.raises(PoseError, match="a SimpleBaseline for crops of"):
        posefix_e2e.joined(alone, tmp_path / "r" / "model_agnostic" / "best.keras")


def test_a_change_is_what_training_added():
    recipe = SimpleNamespace(name="a recipe", epochs=3)
    scores, before = ({"pck@0.2": x, "pck@0.1": y} for x, y in ((60.5, 30.0), (58.0, 31.25)))
    assert posefix_e2e.line("E2E-refine", scores, before, recipe, 1.5) == {
        "way": "E2E-refine", "recipe": "a recipe", "epochs": 3, "pck@0.2": 60.5, "pck@0.1": 30.0,
        "change_pck@0.2": 2.5, "change_pck@0.1": -1.25, "minutes": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("network", "fields", "said"),
    [
        ({}, {"frozen": ("nothing",)}, "layers with weights in frozen"),
        ({"frozen_norm": True}, {}, "weights for a backbone"),
        ({"corner": True}, {}, "False with C2C"),
    ],
    ids=["frozen", "normalisation", "the last pipeline"],
)
def test_what_cannot_be_built_is_refused_before_any_training(
    untrained, network, fields, said, monkeypatch, capsys
):
    recipe, *rest = trainings.opened(None)
    other = trainings.changed(recipe, network, **fields)
    monkeypatch.setattr(trainings, "opened", lambda given: (other, *rest))
    mains = [lambda: posefix_pipelines.main(["--pipelines", "F2F", "C2C"])]
    if "corner" not in network:
        mains.append(lambda: posefix_e2e.main([]))
    for main in mains:
        with pytest.raises(SystemExit):
            main()
        assert said in capsys.readouterr().err
    assert not untrained


def test_an_estimator_that_cannot_be_joined_is_refused_before_any_training(
    untrained, tmp_path, capsys
):
    recipe = posefix_e2e.estimator_of(trainings.opened(None)[0])
    taught = trainings.changed(recipe, {"loss": "mse"}).build(LSP14)
    taught.save(tmp_path / "mse.keras")
    with pytest.raises(SystemExit):
        posefix_e2e.main(["--estimator", str(tmp_path / "mse.keras")])
    assert "network.loss=softmax" in capsys.readouterr().err and not untrained


def test_other_recipes_are_refused():
    with pytest.raises(PoseError, match="posefix_mobile_lsp"):
        posefix_pipelines.check(train_worker.recipe())
