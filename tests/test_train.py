"""A run, killed and resumed, ends as one that was not; on TensorFlow and on JAX."""

import csv
import dataclasses
import json
import os
import runpy
import subprocess
import sys

import dots
import keras
import numpy as np
import pytest
import tiny
import train_worker
from conftest import ROOT

from keras_pose import geometry, models
from keras_pose.errors import PoseError
from keras_pose.models import network
from keras_pose.training import evaluate, run, state
from keras_pose.training.ema import Average
from keras_pose.training.history import History


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """An LSP folder of 26 training and 6 validation persons: 6 steps of 4, and 2 left over."""
    folder = tmp_path_factory.mktemp("data")
    dots.write(dots.DotsReader(26, (240, 300), seed=1), folder / "train", ".jpg")
    dots.write(dots.DotsReader(6, (240, 300), seed=2), folder / "val", ".jpg")
    return folder


def _worker(backend, out, data, *settings):
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "tests/train_worker.py"), str(out), str(data)]
    return subprocess.run(
        [*command, *settings], env=environment, capture_output=True, text=True, cwd=ROOT / "tests"
    )


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory):
    """One uninterrupted run per backend, shared by the tests below."""
    runs = {}

    def get(backend):
        if backend not in runs:
            out = tmp_path_factory.mktemp(backend) / "run"
            done = _worker(backend, out, data)
            assert done.returncode == 0, done.stderr[-2000:]
            runs[backend] = out, json.loads(done.stdout.splitlines()[-1])
        return runs[backend]

    return get


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_killed_and_resumed_equals_uninterrupted(backend, data, whole_run, tmp_path):
    whole, _ = whole_run(backend)
    out = tmp_path / "run"
    killed = _worker(backend, out, data, "kill=9")  # in the second epoch; last state at step 8
    assert killed.returncode == -9, killed.stderr[-2000:]
    position = state.read_position(out / "last.state")
    assert (position["epoch"], position["step"]) == (1, 2)
    resumed = _worker(backend, out, data, "resume=1")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    with np.load(whole / "last.state") as a, np.load(out / "last.state") as b:
        assert set(a.files) == set(b.files)
        for name in set(a.files) - {"position"}:
            np.testing.assert_allclose(a[name], b[name], atol=1e-5, err_msg=name)
    logs = [(folder / "log.csv").read_text().splitlines() for folder in (whole, out)]
    rows = [list(csv.DictReader(log)) for log in logs]
    for one, two in zip(*rows, strict=True):
        assert float(one["loss"]) == pytest.approx(float(two["loss"]), rel=1e-4)
        assert one["pck@0.2"] == two["pck@0.2"]


def test_a_run_leaves_its_files(whole_run):
    out, report = whole_run("tensorflow")
    assert report == {"replicas": 1, "steps": 12}
    names = {p.name for p in out.iterdir()}
    assert names == {
        "best.keras",
        "last.keras",
        "last.state",
        "log.csv",
        "curve.png",
        "tensorboard",
    }
    assert list((out / "tensorboard").iterdir())


def test_the_saved_network_is_the_average(whole_run):
    out, _ = whole_run("tensorflow")
    saved = network.load(out / "last.keras")
    with np.load(out / "last.state") as arrays:
        for i, weight in enumerate(saved.get_weights()):
            assert np.array_equal(weight, arrays[f"average{i}"])
        raw = arrays["variable0"]
    assert not np.array_equal(raw, saved.get_weights()[0])
    assert saved.notes["recipe"] == "tiny" and saved.notes["steps"] == 12
    assert saved.notes["start"] == "random weights"
    assert saved.notes["persons"] == 26 and saved.notes["data"].startswith("data")


NAMES = ("alone", "run")


def test_several_devices_are_used_together(data, tmp_path):
    done = _worker("tensorflow", tmp_path / "run", data, "devices=2", "drop=0")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"replicas": 2, "steps": 12}
    alone = _worker("tensorflow", tmp_path / "alone", data, "drop=0")
    assert alone.returncode == 0, alone.stderr[-2000:]
    rows = [csv.DictReader((tmp_path / n / "log.csv").read_text().splitlines()) for n in NAMES]
    one, two = (float(next(row)["loss"]) for row in rows)
    assert one == pytest.approx(two, rel=0.2)  # each device normalises by its half of the batch


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_and_saves_float32(precision, data, tmp_path):
    recipe = train_worker.recipe(drop=0.0, epochs=1, precision=precision)
    job = run.Run(recipe, data, tmp_path / "run", False, False)
    scaled = isinstance(job.task.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    half = precision.removeprefix("mixed_")
    assert half in {layer.compute_dtype for layer in job.network.layers}
    assert job.task.compute_dtype == "float32" and keras.config.dtype_policy().name == "float32"
    saved = network.load(job.go())
    assert {str(w.dtype) for w in saved.get_weights()} == {"float32"}
    assert saved.layers[2].compute_dtype == "float32"


def test_resume_and_new_runs_do_not_mix(data, whole_run, tmp_path):
    out, _ = whole_run("tensorflow")
    recipe = train_worker.recipe()
    with pytest.raises(PoseError, match="--resume"):
        run.train(recipe, data, out)
    with pytest.raises(PoseError, match="without --resume"):
        run.train(recipe, data, tmp_path, resume=True)
    with pytest.raises(PoseError, match="network"):
        run.train(train_worker.recipe(drop=0.5), data, out, resume=True)
    with pytest.raises(PoseError, match="26 training persons"):
        run.train(recipe, data / "val", out, resume=True)


def _stopped(recipe, data, out):
    """A run that ends after its first epoch, as one that was killed."""
    job = run.Run(recipe, data, out, False, False)
    job.average.update(1)
    job.epoch = 1
    job._save(0.0)
    return job


def _started(input_size=(16, 16), weights=None, **arguments):
    made = tiny.TinyPose(input_size=input_size, **arguments)
    if weights:
        made.set_weights(network.load(weights).get_weights())
    return made


def test_a_resumed_run_does_not_need_the_weights_that_it_began_with(data, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "StartedPose", _started, raising=False)
    tiny.TinyPose("lsp14").save(tmp_path / "begin.keras")
    recipe = dataclasses.replace(
        train_worker.recipe(), builder="StartedPose",
        network={"weights": str(tmp_path / "begin.keras")},
    )  # fmt: skip
    begun = _stopped(recipe, data, tmp_path / "run")
    np.testing.assert_array_equal(
        begun.network.get_weights()[0],
        network.load(tmp_path / "begin.keras").get_weights()[0],
    )
    (tmp_path / "begin.keras").unlink()
    job = run.Run(recipe, data, tmp_path / "run", True, False)
    for one, two in zip(begun.network.get_weights(), job.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    job.go()
    assert network.load(tmp_path / "run/best.keras").notes["start"].endswith("begin.keras")
    other = dataclasses.replace(recipe, network={"weights": None})
    with pytest.raises(PoseError, match="network"):
        run.Run(other, data, tmp_path / "run", True, False)


def test_seconds_of_a_broken_off_epoch_count(data, tmp_path):
    job = run.Run(train_worker.recipe(), data, tmp_path, False, False)
    after_step = job.after_step

    def step(logs):
        after_step(logs)
        if job.done == 3:  # the last state is of step 2
            raise KeyboardInterrupt

    job.after_step = step
    with pytest.raises(KeyboardInterrupt):
        job.go()
    assert state.read_position(tmp_path / "last.state")["seconds"] > 0


def test_a_run_from_before_a_setting_existed_can_be_resumed(data, tmp_path):
    _stopped(train_worker.recipe(), data, tmp_path)
    with np.load(tmp_path / "last.state") as arrays:
        kept = dict(arrays)
    position = json.loads(str(kept["position"]))
    del position["recipe"]["reach"], position["recipe"]["optimizer"]["slow"]
    kept["position"] = np.array(json.dumps(position))
    with open(tmp_path / "last.state", "wb") as file:
        np.savez(file, **kept)
    assert run.Run(train_worker.recipe(), data, tmp_path, True, False).epoch == 1
    optimizer = dataclasses.replace(train_worker.recipe().optimizer, slow=("conv",))
    with pytest.raises(PoseError, match="optimizer"):
        run.Run(
            dataclasses.replace(train_worker.recipe(), optimizer=optimizer),
            data, tmp_path, True, False,
        )  # fmt: skip


def test_only_coordinates_reach_beyond_the_crop(data, tmp_path):
    reaching = dataclasses.replace(train_worker.recipe(), reach=0.25)
    with pytest.raises(PoseError, match="with TinyPose"):
        run.Run(reaching, data, tmp_path / "maps", False, False)
    points = dataclasses.replace(reaching, builder="TinyPoints", network={})
    assert run.Run(points, data, tmp_path / "points", False, False).loader.reach == 0.25


@pytest.mark.parametrize("content", [b"PK\x03\x04 half a file", b""])
def test_a_torn_state_is_refused(tmp_path, content):
    (tmp_path / "last.state").write_bytes(content)
    with pytest.raises(PoseError, match="resume"):
        state.read_position(tmp_path / "last.state")


def test_average_follows_the_weights():
    net = tiny.TinyPose()
    average = Average(net, decay=0.5)
    net.set_weights([np.ones_like(w) for w in net.get_weights()])
    for step in range(1, 60):
        average.update(step)
    assert all(np.allclose(v, 1.0, atol=1e-4) for v in average.values)


def test_rare_updates_of_the_average_have_the_same_time_constant():
    net = tiny.TinyPose()
    start = [np.zeros_like(w) for w in net.get_weights()]
    net.set_weights([np.ones_like(w) for w in start])
    means = []
    for every in (1, 10):
        average = Average(net, 0.99, every)
        average.values = [v.copy() for v in start]
        for step in range(1001, 1101):
            average.update(step)
        means.append(average.values[0].mean())
    assert means[0] == pytest.approx(means[1], rel=1e-4) and 0.5 < means[0] < 0.7


@pytest.mark.parametrize("save_every", [2, 100])
def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path, save_every):
    recipe = dataclasses.replace(train_worker.recipe(), save_every=save_every)
    job = run.Run(recipe, data, tmp_path / "run", False, False)
    job.network.layers[-1].kernel.assign(job.network.layers[-1].kernel * np.nan)
    with pytest.raises(PoseError, match="finite"):
        job.go()
    assert not {"last.state", "last.keras", "best.keras"} & set(os.listdir(tmp_path / "run"))


def test_what_could_not_be_scored_is_left_blank(tmp_path):
    history = History(tmp_path)
    for epoch, score in ((1, None), (2, 40.0)):
        history.add({"epoch": epoch, "step": epoch, "loss": 0.5, "pck@0.2": score})
    history.curve()
    assert (tmp_path / "log.csv").read_text().splitlines()[1] == "1,1,0.5,"
    assert (tmp_path / "curve.png").exists()


def _oracle(reader, size, wrong=0.0):
    """A predictor that knows the answer: it looks the patches up in order."""
    answers = iter(reader.samples)

    def predict(patches):
        points = []
        for _ in patches:
            sample = next(answers)
            box = geometry.crop_box(sample.box, size)
            points.append(geometry.apply(geometry.box_to_size(box, size), sample.keypoints) + wrong)
        return np.stack(points), np.ones((len(patches), 14), np.float32)

    return predict


def test_evaluation_maps_crops_back_to_pictures(data):
    reader = dots.DotsReader(40)
    report = evaluate.evaluate(_oracle(reader, (64, 64)), reader, (64, 64))
    assert report.mean() == report.mean("pck@0.1") == report.mean("pckh@0.5") == 100.0
    assert report.persons == 40
    assert evaluate.evaluate(_oracle(reader, (64, 64), 50), reader, (64, 64)).mean() == 0.0


@pytest.mark.parametrize("flip", ["", "weighted"])
def test_a_report_says_how_it_was_asked(flip):
    reader, seen = dots.DotsReader(4), []

    def predict(patches):
        seen.append(len(patches))
        return np.zeros((len(patches), 14, 2), np.float32), np.ones((len(patches), 14), np.float32)

    report = evaluate.evaluate(predict, reader, (32, 32), flip=flip)
    told = json.loads(report.to_json())
    assert (told["flip"], told["output"]) == (flip, "") and sum(seen) == (8 if flip else 4)
    with pytest.raises(PoseError, match="agreeing"):
        evaluate.evaluate(predict, reader, (32, 32), flip="median")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "tiny.keras"
    tiny.TinyPoints("lsp14").save(path)
    return path


@pytest.mark.parametrize(
    "given, fusion",
    [
        ([], ""),
        (["--flip"], "agreeing"),
        (["--flip", "--fusion", "mean"], "mean"),
        (["--fusion", "weighted"], "weighted"),
    ],
)
def test_the_script_scores_what_it_is_asked_for(
    saved, data, tmp_path, monkeypatch, capsys, given, fusion
):
    script = runpy.run_path(str(ROOT / "train" / "evaluate.py"))["main"]
    out = tmp_path / "report.json"
    arguments = [*given, saved, "--data", data, "--output", "coarse", "--json", out]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    script()
    assert f"output: coarse, flip test: {fusion or 'none'}\n" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert (report["flip"], report["output"], report["persons"]) == (fusion, "coarse", 6)


def test_an_intermediate_prediction_is_scored(saved):
    patches = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    last, first = (evaluate.open_model(saved, output)[0](patches) for output in ("", "coarse"))
    assert last[0].shape == first[0].shape == (2, 14, 2) and not np.array_equal(last[0], first[0])


@pytest.mark.parametrize(
    "model, output, said", [("tiny.keras", "middle", "coarse"), ("tiny.tflite", "coarse", ".keras")]
)
def test_a_prediction_that_is_not_there_is_refused(saved, model, output, said):
    with pytest.raises(PoseError, match=said):
        evaluate.open_model(saved.parent / model, output)


def test_evaluation_counts_unreadable_pictures(data):
    reader = dots.DotsReader(5, broken=[2])
    report = evaluate.evaluate(lambda p: (np.zeros((len(p), 14, 2)), np.zeros((len(p), 14))),
                               reader, (64, 64))  # fmt: skip
    assert report.persons == 4 and reader.skips.count == 1
    with pytest.raises(PoseError, match="readable"):
        evaluate.evaluate(None, dots.DotsReader(2, broken=[0, 1]), (64, 64))


def test_validation_on_training_persons_is_told(data, tmp_path, capsys):
    run.Run(train_worker.recipe(), data, tmp_path / "two", False, False)
    assert "validation" not in capsys.readouterr().out
    run.Run(train_worker.recipe(), data / "val", tmp_path / "one", False, False)
    assert "6 of 6 validation persons" in capsys.readouterr().out


def test_presence_tells_a_detector_from_a_guesser():
    reader = dots.DotsReader(60)
    everything = np.ones(14, bool)  # a dot that is not annotated would light up the background
    reader.samples = [
        dataclasses.replace(s, visible=everything, box=geometry.extent(s.keypoints))
        for s in reader.samples
    ]

    def predict(patches):
        light = np.ptp(patches, axis=-1).max(axis=(1, 2)) / 255.0  # only a dot has a colour
        return None, np.repeat(light[:, None], 14, axis=1)

    auc, threshold = evaluate.measure_presence(predict, reader, (64, 64))
    assert auc > 0.95 and 0.0 < threshold < 1.0
    assert evaluate.measure_presence(
        lambda p: (None, np.ones((len(p), 14))), reader, (64, 64)
    )[0] == 0.5  # fmt: skip


def test_a_model_of_another_skeleton_is_refused():
    with pytest.raises(PoseError, match="3"):
        evaluate.check_skeleton(tiny.CHAIN, dots.LSP14, "model.tflite")
