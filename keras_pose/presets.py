"""The trained networks that come with the project, by name.

A preset is a folder of the zoo with a card: zoo/<name>/ holds `card.yaml`, `model_int8.tflite`
and, where they are worth their size, the network's other files. In a checkout the zoo lies beside
this package, in an installed wheel inside it.
"""

import difflib
import os
from pathlib import Path

from keras_pose.errors import PoseError

INT8, FP16 = "model_int8.tflite", "model_fp16.tflite"
KERAS, CARD = "model.keras", "card.yaml"


def folder() -> Path:
    """The zoo: the package's own, as a wheel has it, or that of the checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "zoo"
    return inside if inside.is_dir() else package.parent / "zoo"


def names(zoo: Path | None = None) -> list[str]:
    """The presets, sorted; none where the zoo was left out. zoo: another folder of presets."""
    found = (card.parent.name for card in (zoo or folder()).glob(f"*/{CARD}"))
    return sorted(name for name in found if not name.startswith("."))


def find(name: str, file: str = INT8) -> Path:
    """The path of a preset's file, by default the one that runs on phones and CPUs.

    Raises PoseError, with the nearest name, for a name that no preset has, and for a file that the
    preset does without.
    """
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        raise PoseError(
            f"a file that exists, or a preset: {', '.join(known) or f'none in {folder()}'}",
            repr(name),
            f"Did you mean {close[0]}?" if close else "Check the path or the name.",
        )
    path = folder() / name / file
    if not path.is_file():
        held = ", ".join(sorted(p.name for p in path.parent.iterdir()))
        raise PoseError(
            f"a preset with {file}", f"{name}, with {held} only", "Give one of these by its path."
        )
    return path


def resolve(given: str | os.PathLike, file: str = INT8) -> Path:
    """The file that somebody means who writes a path or a preset's name.

    A file that exists wins; what has a separator or a suffix is a path, whether or not it leads
    anywhere; anything else is the name of a preset, of which `file` is meant.
    Raises PoseError as `find` does.
    """
    text, path = os.fspath(given), Path(given)
    if path.is_file() or path.suffix or any(s in text for s in {"/", os.sep}):
        return path
    return find(text, file)


def description(name: str) -> str:
    """The line that a preset's card begins with, `# <name>: <description>`; "" without one."""
    with find(name, CARD).open(encoding="utf-8") as card:
        start, colon, told = card.readline().partition(":")
    return told.strip() if colon and start == f"# {name}" else ""


def table() -> str:
    """One line of text for each preset: its name and what its card says first."""
    known = names()
    width = max(map(len, known), default=0)
    return "\n".join(f"{name:{width}}  {description(name)}".rstrip() for name in known)
