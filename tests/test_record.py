"""From a run to a line in the table of trainings and a preset with its card."""

import csv
import functools
import json
import os
import shutil
import subprocess
import sys
import zipfile

import dots
import numpy as np
import pytest
import train_worker
import yaml
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import card
import check_zoo
import lineage
import record

from keras_pose import export, presets
from keras_pose.errors import PoseError
from keras_pose.export import job
from keras_pose.models import half, network, start
from keras_pose.training import evaluate, run
from keras_pose.training import recipe as recipes


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data, a short run, a peer to compare with, and what `record` made of them."""
    home = tmp_path_factory.mktemp("home")
    data = home / "lspet"
    dots.write(dots.DotsReader(8), data / "train")
    dots.write(dots.DotsReader(6, seed=1), data / "val")
    best = run.train(train_worker.recipe(epochs=1), data, home / "runs" / "tiny", progress=False)
    peer = home / card.PEER
    peer.write_bytes(export.to_tflite(network.load(best)))
    (home / "training.csv").write_text("recipe,old,command\nearlier,1,python\n")
    given = [best.parent, "--data", data, "--device", "a core", "--note", "first, of many"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "RESULTS", home / "training.csv")
        patch.setattr(card, "ZOO", home / "zoo")
        for options in ([], ["--zoo", "tiny_lsp14", "--peer", peer]):
            patch.setattr(sys, "argv", ["record.py", *map(str, [*given, *options])])
            record.main()
    return home


@pytest.fixture
def preset(home, tmp_path, monkeypatch):
    """A copy of the preset, to spoil; its card as a dict."""
    monkeypatch.setattr(card, "ZOO", tmp_path / "zoo")
    folder = shutil.copytree(home / "zoo" / "tiny_lsp14", card.ZOO / "tiny_lsp14")
    return folder, card.read(folder)


def test_a_run_has_one_line_and_earlier_ones_stay(home):
    with open(home / "training.csv", newline="") as file:
        earlier, line = csv.DictReader(file)
    assert (earlier["recipe"], earlier["old"], earlier["note"]) == ("earlier", "1", "")
    assert (line["recipe"], line["old"], line["note"]) == ("tiny", "", "first, of many")
    assert "--zoo tiny_lsp14" in line["command"] and list(line)[-1] == "command"
    for name in ("pck@0.2", "pck12@0.1", "int8_pck12@0.2", "pck@0.2_flip"):
        assert 0 <= float(line[name]) <= 100


def test_the_card_is_of_the_files(preset, home):
    folder, told = preset
    assert check_zoo.problems() == []
    assert yaml.safe_load((folder / "card.yaml").read_text()) == told
    assert set(told["files"]) == {"model.keras", "model_int8.tflite", "model_fp16.tflite"}
    training = told["training"]
    assert training["note"] == "first, of many" and training["minutes_before"] == 0
    assert (told["data"]["name"], training["persons"]) == ("lspet", 8)
    assert training["origin"] == "random weights" and told["scored_on"].startswith("lspet, ")
    assert set(told["latency"]) == {"ratio_to", "threads", "int8", "fp16", "command"}
    for kind, file in (("float", "model.keras"), ("int8", "model_int8.tflite")):
        predict, skeleton, size, margin = evaluate.open_model(folder / file)
        found = evaluate.find(predict, record.open_reader(home / "lspet", "val"), size, margin)
        joints = told["scores"][kind]["pck@0.2"]
        assert joints["mean"] == pytest.approx(found.score().mean(), abs=0.01)
        twelve = found.score(skeleton.keypoints[:12])
        assert joints["mean_shared"] == pytest.approx(twelve.mean(), abs=0.01)
        assert set(skeleton.keypoints) < set(joints)


def test_the_zoo_is_small(preset, monkeypatch):
    (card.ZOO / ".left").mkdir()
    (card.ZOO / ".left" / "over").write_bytes(b"12345")
    size = 5 + sum(path.stat().st_size for path in preset[0].iterdir())
    monkeypatch.setattr(check_zoo, "LARGEST", size)
    assert check_zoo.problems() == []
    monkeypatch.setattr(check_zoo, "LARGEST", size - 1)
    assert [f"of {size - 1} at most" in line for line in check_zoo.problems()] == [True]


def test_a_file_that_is_missing_is_named(preset):
    (preset[0] / "model_int8.tflite").unlink()
    assert "without model_int8.tflite" in check_zoo.problems()[1]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"name": "other"}, "card is of other"),
        ({"files": {"model.keras": 1}}, "in the card"),
        ({"skeleton": "coco17"}, "coco17"),
        ({"latency": {"ratio_to": "other.tflite", "int8": 0.1}}, "ratio to other.tflite"),
        ({"latency": {}}, "incomplete card (KeyError('ratio_to'))"),
        ({"scores": None}, "incomplete card"),
    ],
)
def test_a_card_that_says_otherwise_is_told(preset, change, said):
    folder, told = preset
    card.write(folder, {**told, **change})
    assert any(said in line for line in check_zoo.problems())


def test_a_damaged_file_is_told_and_the_rest_is_looked_at(preset):
    folder, told = preset
    (folder / "model_int8.tflite").write_bytes(b"damaged")
    card.write(folder, {**told, "latency": {"ratio_to": "other.tflite"}})
    lines = "\n".join(check_zoo.problems())
    assert "flatbuffer" in lines and "other.tflite" in lines


def test_the_two_smallest_have_fp16(preset):
    folder, told = preset
    content = (folder / presets.INT8).read_bytes()
    (folder / presets.FP16).rename(folder.parent / "kept")

    def sized(name, more, fp16=True):
        """A preset whose int8 file has so many bytes more."""
        made, files = card.ZOO / name, {**told["files"], presets.INT8: len(content) + more}
        if not fp16:
            del files[presets.FP16]
        (made / presets.INT8).write_bytes(content + bytes(more))
        card.write(made, {**told, "name": name, "files": files})

    for name, more in (("b", 20), ("c", 30)):
        shutil.copytree(folder, card.ZOO / name)
        shutil.copyfile(folder.parent / "kept", card.ZOO / name / presets.FP16)
        sized(name, more)
    (folder.parent / "kept").unlink()
    sized(folder.name, 40, fp16=False)
    assert check_zoo.problems() == []
    sized(folder.name, 25, fp16=False)
    (line,) = check_zoo.problems()
    assert line.startswith(f"{folder.name}: without model_fp16.tflite")
    for name in "bc":
        shutil.rmtree(card.ZOO / name)
    assert check_zoo.problems() == []  # the only one


def test_a_card_begins_with_its_description(preset):
    path = preset[0] / "card.yaml"
    path.write_text("# another line\n" + path.read_text())
    assert "begins with '# another line'" in check_zoo.problems()[0]
    path.write_text("no card")
    assert "card.yaml" in check_zoo.problems()[0]


def test_int8_must_keep_up(preset, tmp_path):
    folder, told = preset
    told["scores"]["int8"]["pck@0.2"]["mean_shared"] -= 1.5
    files = [folder / name for name in told["files"]]
    with pytest.raises(PoseError, match="mean_shared"):
        card.publish("new", files, told)
    assert [p.name for p in card.ZOO.iterdir()] == [folder.name]
    card.write(folder, told)
    assert any("int8 loses 1.50" in line for line in check_zoo.problems())


@pytest.mark.parametrize("name", [".", "..", "/tmp/x", "a/b", "Tiny", "tiny.part", "tiny\n"])
def test_what_is_no_name_is_never_published(preset, name, monkeypatch, capsys):
    folder, told = preset
    with pytest.raises(PoseError, match="a preset's name"):
        card.publish(name, [folder / "model.keras"], told)
    given = ["nowhere", "--data", "lspet", "--device", "", "--zoo", name, "--peer", "x"]
    monkeypatch.setattr(sys, "argv", ["record.py", *given])
    with pytest.raises(SystemExit):
        record.main()
    assert "a preset's name" in capsys.readouterr().err
    assert check_zoo.problems() == []


def test_a_preset_is_replaced_by_renaming(preset, monkeypatch):
    """What is on its way there is no preset, nor what another program left in the zoo."""
    folder, told = preset
    seen, replace = [], os.replace

    def watched(source, target):
        seen.append(presets.names(card.ZOO))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    files = [folder / name for name in told["files"]]
    card.publish("tiny_lsp14", files[:2], told)
    assert seen[-1] == [] and [folder.name] in seen and {*map(len, seen)} == {0, 1}
    assert [p.name for p in card.ZOO.iterdir()] == presets.names(card.ZOO) == [folder.name]
    assert len(card.read(folder)["files"]) == 2
    shutil.copytree(folder, card.ZOO / ".tiny_lsp14.part")
    assert check_zoo.folders() == [folder]


def test_latencies_are_measured_again(preset, home):
    folder, told = preset
    told["latency"] = {"ratio_to": "nothing", "threads": 1, "int8": 1e6, "fp16": 1e6}
    card.write(folder, told)
    check_zoo.time_anew(home / card.PEER, rounds=3)
    now = card.read(folder)
    assert now["latency"].pop("ratio_to") == card.PEER and now["latency"]["int8"] < 1000
    assert {**now, "latency": 0} == {**told, "latency": 0}


def test_data_of_unknown_licence_are_refused():
    with pytest.raises(PoseError, match=r"card\.py"):
        card.about("holidays")


def test_what_weights_and_pictures_are_of_is_told():
    told = card.origin("weights/mobilenet_v2_movenet_lightning.npz")
    assert "trunk of MoveNet Lightning, Apache-2.0" in told
    assert card.origin("random weights") == "random weights"
    assert "research use and no part of the project" in card.about("lspet.pack")[2]


def recorded(home, monkeypatch, *options):
    """What `record` prints where it refuses; its table and its zoo are those of `home`."""
    given = [home / "runs" / "tiny", "--device", "a core", *options]
    monkeypatch.setattr(record, "RESULTS", home / "training.csv")
    monkeypatch.setattr(card, "ZOO", home / "zoo")
    monkeypatch.setattr(sys, "argv", ["record.py", *map(str, given)])
    with pytest.raises(SystemExit):
        record.main()


def test_what_cannot_be_published_is_said_before_the_work(home, monkeypatch, capsys):
    monkeypatch.setattr(record, "_exported", None)
    publish = ["--zoo", "tiny_lsp14", "--peer"]
    recorded(home, monkeypatch, "--data", home / "lspet", *publish, home / "gone.tflite")
    assert "gone.tflite" in capsys.readouterr().err
    recorded(home, monkeypatch, "--data", "figures", *publish, home / card.PEER)
    assert "--data like lspet" in capsys.readouterr().err


def test_what_a_network_cannot_say_is_empty_in_its_line(home, tmp_path, monkeypatch):
    """As a refiner, which is shown a person wherever it looks, of a person's presence."""
    row = {"recipe": "refining", "pck@0.2": 61.25, "presence_auc": float("nan")}
    monkeypatch.setattr(record, "_exported", lambda *given: [])
    monkeypatch.setattr(record, "_scored", lambda *given: (row, {}))
    monkeypatch.setattr(record, "RESULTS", tmp_path / "training.csv")
    given = [home / "runs" / "tiny", "--data", home / "lspet", "--device", "a core"]
    monkeypatch.setattr(sys, "argv", ["record.py", *map(str, given)])
    record.main()
    with open(tmp_path / "training.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["presence_auc"], line["pck@0.2"]) == ("", "61.25")


def test_what_was_refined_is_told_once():
    """The input poses are the same ones in a flip test."""
    tables = {"pck@0.2": {"mean": 61.254}, "input pck@0.2": {"mean": 50.0}}
    report = evaluate.Report(tables, persons=3, left_out=0)
    assert record._means(report) == {"pck@0.2": 61.25, "input pck@0.2": 50.0}
    assert record._means(report, "_flip") == {"pck@0.2_flip": 61.25}


def test_scores_are_kept_when_int8_fails(home, monkeypatch, capsys):
    before = (home / "training.csv").read_text()
    monkeypatch.setattr(card, "DROP", -200.0)
    options = ["--zoo", "tiny_lsp14", "--peer", home / card.PEER, "--note", "int8 too far off"]
    recorded(home, monkeypatch, "--data", home / "lspet", *options)
    assert "int8 within" in capsys.readouterr().err
    after = (home / "training.csv").read_text()
    assert "int8 too far off" in after and "int8 too far off" not in before


@pytest.mark.parametrize(("without", "written"), [(False, ["int8", "fp16"]), (True, ["int8"])])
def test_fp16_is_left_out_where_asked(without, written, monkeypatch, tmp_path):
    made = []

    def write(source, out, precision, **options):
        made.append(precision)
        out.write_bytes(b"a file")

    monkeypatch.setattr(job, "export", write)
    monkeypatch.setattr(half, "write", lambda best, source: None)
    files = record._exported(tmp_path, "lspet", tmp_path, True, without)
    assert made == written
    expected = [presets.KERAS, presets.INT8, presets.FP16][: 1 + len(written)]
    assert [file.name for file in files] == expected


def fake_run(folder, start, minutes=5.0):
    """What `lineage` reads of a run."""
    folder.mkdir(parents=True)
    notes = {"steps": 20, "start": start}
    with zipfile.ZipFile(folder / "best.keras", "w") as file:
        file.writestr("config.json", json.dumps({"config": {"notes": notes}}))
    lines = f"step,seconds\n10,1.0\n20,{60 * minutes}\n30,9999.0\n"
    (folder / "log.csv").write_text(lines)


def test_the_minutes_of_parents_count(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "ZOO", tmp_path / "zoo")
    fake_run(tmp_path / "a", "weights/trunk.npz", 10)
    fake_run(tmp_path / "b", "a/best.keras", 2.5)
    assert lineage.minutes(tmp_path / "b") == 2.5
    assert lineage.before("b/best.keras", tmp_path) == 12.5
    for trunk in ("random weights", "imagenet", "weights/trunk.npz"):
        assert lineage.before(trunk, tmp_path) == 0
    with pytest.raises(PoseError, match="--before"):
        lineage.before("c/best.keras", tmp_path)
    (tmp_path / "zoo" / "c").mkdir(parents=True)
    told = {
        "name": "c",
        "description": "",
        "files": {},
        "training": {"minutes": 3.0, "minutes_before": 4.5, "start": "weights/other.npz"},
    }
    card.write(tmp_path / "zoo" / "c", told)
    assert lineage.before("c/model.keras", tmp_path) == lineage.before("c", tmp_path) == 7.5
    assert lineage.before("backbone:c", tmp_path) == 7.5  # a preset's backbone
    assert lineage.origin("backbone:c", tmp_path) == "weights/other.npz"


def test_a_backbones_parents_count_too(tmp_path):
    fake_run(tmp_path / "a", "weights/trunk.npz", 10)
    fake_run(tmp_path / "b", start.short("/far/a/best.keras"), 2.5)
    fake_run(tmp_path / "c", start.short("backbone:/far/b/best.keras"), 1)
    assert start.short("backbone:/far/b/best.keras") == "backbone:b/best.keras"
    assert start.short("backbone:preset") == "backbone:preset"
    assert lineage.before("backbone:b/best.keras", tmp_path) == 12.5
    assert lineage.before("c/best.keras", tmp_path) == 13.5
    assert lineage.origin("c/best.keras", tmp_path) == "weights/trunk.npz"
    for unknown in ("backbone:gone/best.keras", "backbone:gone"):
        with pytest.raises(PoseError, match="--before"):
            lineage.before(unknown, tmp_path)
        assert "gone" in lineage.origin(unknown, tmp_path)


def test_a_run_of_the_same_name_elsewhere_is_asked_for(tmp_path):
    fake_run(tmp_path / "a", "a/best.keras")
    fake_run(tmp_path / "b", "c/best.keras")
    fake_run(tmp_path / "c", "b/best.keras")
    for name in "abc":
        with pytest.raises(PoseError, match="--before"):
            lineage.before(f"{name}/best.keras", tmp_path)


def save_recipe(folder, recipe):
    """What `lineage.settings` reads of a run."""
    np.savez(folder / "state.npz", position=np.array(json.dumps({"recipe": recipe})))
    (folder / "state.npz").rename(folder / "last.state")


def test_what_was_set_is_told(tmp_path):
    given = ["optimizer.rate=0.5", "network.weights=backbone:far/run/best.keras", "network.size=m"]
    recipe = recipes.load("repose_lite_figures", [*given, "augment.scale=(0.5,1.5)"])
    save_recipe(tmp_path, recipe.to_dict())
    told = lineage.settings(tmp_path).split()
    expected = {"optimizer.rate=0.5", "network.weights=backbone:run/best.keras", "network.size=m"}
    assert set(told) == expected | {"augment.scale=(0.5,1.5)"}
    assert "not known" in lineage.settings(tmp_path / "nowhere")


def test_what_only_the_recipe_has_is_told(tmp_path):
    recipe = recipes.load("repose_lite_figures").to_dict()
    recipe["network"] = {}
    del recipe["reach"]  # as in a state from before it existed
    save_recipe(tmp_path, recipe)
    assert lineage.settings(tmp_path) == "without network.size"


def test_a_run_is_compared_with_its_own_commits_recipe(tmp_path, monkeypatch):
    folder = tmp_path / "train" / "recipes"
    folder.mkdir(parents=True)
    text = "from keras_pose.training.recipe import Recipe\n"
    text += "recipe = Recipe('RePoseLite', {}, epochs=%d)"
    (folder / "mine.py").write_text(text % 3)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    (folder / "mine.py").write_text(text % 9)
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    monkeypatch.setattr(recipes, "FOLDER", folder)
    today = functools.partial(recipes.load, folder=folder)
    monkeypatch.setattr(recipes, "load", today)
    save_recipe(tmp_path, today("mine", ["epochs=5"]).to_dict())
    (tmp_path / "now").mkdir()
    save_recipe(tmp_path / "now", today("mine").to_dict())
    first = head.stdout.strip()
    assert lineage.settings(tmp_path, first) == lineage.settings(tmp_path) == "epochs=5"
    assert lineage.settings(tmp_path / "now", first) == "epochs=9"
    for commit in ("", "1234567"):  # unknown: today's file
        assert lineage.settings(tmp_path / "now", commit) == ""


def test_the_zoo_is_what_its_cards_say():
    assert check_zoo.folders() and check_zoo.problems() == []
