"""Model cards: what is known of a preset, written beside its files as zoo/<preset>/card.yaml."""

import os
import re
import shutil
from pathlib import Path

import yaml

from keras_pose import presets
from keras_pose.errors import PoseError

ZOO = presets.folder()
PEER = "movenet_lightning_fp16.tflite"  # what latencies are compared with
METRICS = ("pck@0.2", "pck@0.1")
DROP = 1.0  # points of PCK@0.2 that int8 may lose
# by the beginning of the data's name: in words, their licence, and what follows from them
DATA = {
    "lspet": (
        "sports photographs",
        "Leeds Sports Pose Extended: for research use; no part of the project",
        "One person per crop. Trained on parkour, gymnastics and athletics photographs of single "
        "persons, and scored on such; everyday scenes, crowds and hidden bodies were not measured. "
        "The pictures are for research use and no part of the project.",
    ),
    "figures": (
        "rendered figures",
        "rendered by the project itself: Apache-2.0",
        "One person per crop. Trained on rendered figures alone: expect little on photographs.",
    ),
}
# what a trunk's file is, and its licence
TRUNKS = {
    "mobilenet_v2_movenet_lightning.npz": "the MobileNetV2 trunk of MoveNet Lightning, Apache-2.0",
    "movenet.npz": "the feature extractor of MoveNet Lightning (train/movenet.py), Apache-2.0",
}


def origin(start) -> str:
    """What a network's first weights are, with their licence where the file is known."""
    known = TRUNKS.get(start.rpartition("/")[2])
    return f"{start}: {known}" if known else start


def about(data) -> tuple[str, str, str]:
    """(words, licence, limits) of a data set by its name. Raises PoseError for an unknown one."""
    for beginning, known in DATA.items():
        if data.startswith(beginning):
            return known
    raise PoseError(
        f"data whose licence is known, which begin with {' or '.join(DATA)}",
        repr(data),
        "Add them to DATA in benchmarks/card.py.",
    )


def scores(every, some) -> dict:
    """The part of a card that two reports fill: means, then each key point.

    every, some: training.evaluate.Report of all key points, and of the shared ones.
    """
    return {
        name: means(every, some, name)
        | {k: round(v, 2) for k, v in every.tables[name].items() if k != "mean"}
        for name in METRICS
    }


def means(every, some, name) -> dict:
    """The means of one metric in two reports, as in `scores`."""
    return {"mean": round(every.mean(name), 2), "mean_shared": round(some.mean(name), 2)}


def lost(scores) -> tuple[float, str]:
    """(points of PCK@0.2 that int8 loses, over which key points); the worse of both means.

    scores: those of a card.
    """
    whole, int8 = (scores[kind]["pck@0.2"] for kind in ("float", "int8"))
    return max((round(whole[mean] - int8[mean], 2), mean) for mean in ("mean", "mean_shared"))


def latency(files, peer, command, rounds=100) -> dict:
    """Latency of `.tflite` files as ratios to a peer's: one thread, interleaved with it.

    files: paths whose names are model_<precision>.tflite; command: what the card is to say of how
    they were measured.
    """
    from keras_pose.runtime import benchmark

    timings = benchmark.compare([peer, *files], threads=1, rounds=rounds)[1:]
    ratios = {
        path.stem.removeprefix("model_"): round(timing.ratio, 3)
        for path, timing in zip(files, timings, strict=True)
    }
    return {"ratio_to": Path(peer).name, "threads": 1, **ratios, "command": command}


def read(folder) -> dict:
    """A preset's card. Raises PoseError when it is missing or no card."""
    path = Path(folder) / presets.CARD
    try:
        card = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise PoseError("a model card", f"{path} ({error})", "Publish the preset again.") from error
    if not isinstance(card, dict) or "files" not in card:
        raise PoseError("a model card that names files", f"{path}", "Publish the preset again.")
    return card


def write(folder, card):
    """Writes a card in one go; its first line is `# <name>: <description>`."""
    text = f"# {card['name']}: {card['description']}\n"
    text += yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
    part = Path(folder) / "card.yaml.part"
    part.write_text(text)
    os.replace(part, Path(folder) / presets.CARD)


def folder(name) -> Path:
    """Where a preset of this name is published. Raises PoseError for what is no plain name."""
    if not re.fullmatch("[a-z0-9_]+", name):
        raise PoseError(
            "a preset's name of small letters, digits and _",
            repr(name),
            "Write it like repose_lite_s_lsp14; it becomes a folder of the zoo.",
        )
    return ZOO / name


def publish(name, files, card):
    """Replaces a preset: copies its files, and writes its card, which lists their sizes.

    Raises PoseError when int8 lost too much, with the old preset left as it was.
    """
    place = folder(name)
    drop, mean = lost(card["scores"])
    if drop > DROP:
        raise PoseError(
            f"int8 within {DROP:g} of float in PCK@0.2",
            f"a loss of {drop:.2f} ({mean})",
            "Calibrate it otherwise, or train on.",
        )
    staging = place.parent / ".staging"  # two folders deep, where no card is looked for
    part, old = (staging / f"{name}.{state}" for state in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in files:
        shutil.copyfile(path, part / path.name)
    write(part, {**card, "files": {path.name: path.stat().st_size for path in files}})
    if place.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(place, old)
    os.replace(part, place)
    shutil.rmtree(staging)
