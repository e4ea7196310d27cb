"""From what a user writes after --data to a reader."""

from pathlib import Path

from keras_pose.data.packed import SUFFIX, PackReader
from keras_pose.errors import PoseError

_FIGURES = {"train": (4000, 0), "val": (400, 1_000_000)}  # persons by default, first seed
_SPLITS = ("train", "val")


def open_reader(where, split: str = "train"):
    """A reader of labelled persons.

    where: "figures" or "figures:N" (rendered on the fly, N of them); a folder of LSP or LSP
    Extended (joints.mat in it, or train/ and val/ each with one); a COCO folder
    (annotations/person_keypoints_<split>2017.json and <split>2017/, or the plain names
    annotations/<split>.json or <split>.json and <split>/ or images/); one COCO JSON file; or a
    .pack that train/pack.py wrote.
    split: "train" or "val"; a folder or file that is not divided is read whole for both.
    Raises PoseError that lists what was looked for.
    """
    if split not in _SPLITS:
        raise PoseError('split "train" or "val"', repr(split), "Choose one of the two.")
    if str(where).partition(":")[0] == "figures":
        return _figures(str(where), split)
    path = Path(where)
    if path.suffix.lower() == ".json":
        return _coco(path, split)
    if path.suffix.lower() == SUFFIX:
        return PackReader(path, split)
    for folder in (path, path / split):
        if (folder / "joints.mat").is_file():
            from keras_pose.data.lsp import LspReader

            return LspReader(folder, split)
    names = [
        f"annotations/person_keypoints_{split}2017.json",
        f"annotations/{split}.json",
        f"{split}.json",
    ]
    for name in names:
        if (path / name).is_file():
            return _coco(path / name, split)
    looked = ", ".join(["joints.mat", f"{split}/joints.mat", *names])
    raise PoseError(
        'a data folder, a COCO .json, a .pack or "figures"',
        f"{path}, {'in which there is none of ' + looked if path.is_dir() else 'no such folder'}",
        'Give LSP or COCO data with --data, or "figures" to render some.',
    )


def name_of(where) -> str:
    """What data are called in a run's notes and in tables: the last part of what was opened."""
    return Path(where).resolve().name


def _figures(where, split):
    count, seed = _FIGURES[split]
    _, colon, number = where.partition(":")
    if colon:
        if not number.isdigit() or int(number) == 0:
            raise PoseError('"figures:N" with N at least 1', repr(where), "Write figures:2000.")
        count = int(number)
    from keras_pose.data.figure_reader import FigureReader

    return FigureReader(count, seed)


def _coco(path, split):
    """A CocoReader with the folders in which its pictures may lie."""
    from keras_pose.data.coco import CocoReader

    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    stem = path.stem.rpartition("_")[2]  # "val2017" of person_keypoints_val2017
    names = dict.fromkeys([stem, f"{split}2017", split])
    folders = [root / n for n in names] + [root / "images" / n for n in names]
    return CocoReader(path, [*folders, root / "images", root, path.parent])
