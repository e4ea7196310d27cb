"""From what a user writes after --data to a reader."""

from pathlib import Path

from keras_pose.data.packed import SUFFIX, PackReader
from keras_pose.errors import PoseError

_FIGURES = {"train": (4000, 0), "val": (400, 1_000_000)}  # persons by default, first seed
_SPLITS = ("train", "val")
# MPII's one file, where its archive or a user puts it
_MPII = [
    f"{folder}mpii_human_pose_v1_u12_1.mat"
    for folder in ("", "mpii_human_pose_v1_u12_2/", "mpii_human_pose_v1_u12_1/", "annot/")
]
# what code bases call the JSON list of its validation persons
_VALID = ["annot/valid.json", "annotations/valid.json", "valid.json"]


def open_reader(where, split: str = "train", pictures: bool = True):
    """A reader of labelled persons.

    where: "figures" or "figures:N" (rendered on the fly, N of them); a folder of LSP or LSP
    Extended (joints.mat in it, or train/ and val/ each with one); a COCO folder
    (annotations/person_keypoints_<split>2017.json and <split>2017/, or the plain names
    annotations/<split>.json or <split>.json and <split>/ or images/); a folder of MPII (its .mat,
    or annot/train.json and annot/valid.json) or FLIC (examples.mat) with images/; one file of any
    of these, told apart by what is in it; or a .pack that train/pack.py wrote.
    split: "train" or "val"; a folder or file that is not divided is read whole for both.
    pictures: False for what needs the annotations alone, which only COCO's can do without pictures.
    Raises PoseError that lists what was looked for.
    """
    if split not in _SPLITS:
        raise PoseError('split "train" or "val"', repr(split), "Choose one of the two.")
    if str(where).partition(":")[0] == "figures":
        return _figures(str(where), split)
    path = Path(where)
    if path.suffix.lower() == ".json":
        return _json(path, split, pictures)
    if path.suffix.lower() == ".mat":
        return _mat(path, split)
    if path.suffix.lower() == SUFFIX:
        return PackReader(path, split)
    names = [
        "joints.mat",
        f"{split}/joints.mat",
        "examples.mat",
        f"annot/{split}.json",
        f"annotations/mpii_{split}.json",
        *(_VALID if split == "val" else ()),
        *_MPII,
        f"annotations/person_keypoints_{split}2017.json",
        f"annotations/{split}.json",
        f"{split}.json",
    ]
    for name in names:
        if (path / name).is_file():
            return open_reader(path / name, split, pictures)
    looked = ", ".join(names)
    raise PoseError(
        'a data folder, a .json, a .mat, a .pack or "figures"',
        f"{path}, {'in which there is none of ' + looked if path.is_dir() else 'no such folder'}",
        'Give COCO, MPII, LSP or FLIC data with --data, or "figures" to render some.',
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


def _mat(path, split):
    """The reader of the data set whose array a Matlab file holds."""
    from keras_pose.data import matlab  # a machine that trains from a .pack needs no scipy
    from keras_pose.data.flic import FlicReader
    from keras_pose.data.lsp import LspReader
    from keras_pose.data.mpii import MpiiReader

    content = matlab.names(path)
    if "joints" in content:
        return LspReader(path, split)
    if "examples" in content:
        return FlicReader(path, split)
    if "RELEASE" in content:
        return MpiiReader(path, [f / "images" for f in (path.parent, path.parent.parent)], split)
    raise PoseError(
        "a .mat file with `joints` (LSP), `examples` (FLIC) or `RELEASE` (MPII)",
        f"{path} with {content}",
        "Use the file as its authors released it.",
    )


def _json(path, split, pictures):
    """A list of persons is MPII's layout, an object COCO's."""
    try:
        with path.open(encoding="utf-8") as file:  # its head alone: COCO's is 200 MB in one line
            first = file.read(4096).lstrip()[:1]
    except (OSError, ValueError):
        first = ""  # refused below, with the reason
    if first != "[":
        return _coco(path, split, pictures)
    from keras_pose.data.mpii_json import MpiiJsonReader

    root = path.parent.parent if path.parent.name in ("annot", "annotations") else path.parent
    return MpiiJsonReader(path, [root / "images", root])


def _coco(path, split, pictures):
    """A CocoReader with the folders in which its pictures may lie."""
    from keras_pose.data.coco import CocoReader

    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    stem = path.stem.rpartition("_")[2]  # "val2017" of person_keypoints_val2017
    names = dict.fromkeys([stem, f"{split}2017", split])
    folders = [root / n for n in names] + [root / "images" / n for n in names]
    return CocoReader(path, [*folders, root / "images", root, path.parent], pictures=pictures)
