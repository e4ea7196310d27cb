"""What the benchmarks share when they write: a table, its names, and the command that made it."""

import csv
import os
import shlex
import sys
from pathlib import Path


def command(script) -> str:
    """How a script of this folder was called, as one would type it."""
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *sys.argv[1:]])


def name_of(model) -> str:
    """What a model is called: its file's name, that of a run's best.keras with the run's, and a
    preset's as it is."""
    path = Path(model)
    return "/".join(path.parts[-2:]) if path.suffix == ".keras" else path.name


def write(path, rows):
    """Writes rows, dicts with the keys of the first, as CSV, and says where."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"written to {os.path.relpath(path)}")


def write_with_command(path, rows, script):
    """The same with one more column: the command that can make the table again."""
    write(path, [{**row, "command": command(script)} for row in rows])
