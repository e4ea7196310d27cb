"""JSON files, with errors that name the file."""

import json
from pathlib import Path

from keras_pose.errors import PoseError


def read(path, what="a COCO JSON file"):
    """What is in a JSON file. what: it should be, for the error.

    Raises PoseError for a file that is missing, empty or no JSON.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
        return json.loads(text)
    except OSError as error:
        raise PoseError(what, f"{path} ({error.strerror})", "Check the path.") from error
    except ValueError as error:
        raise PoseError(
            f"valid JSON in {what}", f"{path}: {error}", "Write or export the file again."
        ) from error


def write(path, text: str):
    """Writes text and a last line break. Raises PoseError for a path that cannot be written."""
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise PoseError(
            "a path that can be written", f"{path} ({error.strerror})", "Choose another path."
        ) from error
