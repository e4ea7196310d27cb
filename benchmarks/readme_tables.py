"""Writes the README's tables from the files in benchmarks/results.

python benchmarks/readme_tables.py           rewrite the tables
python benchmarks/readme_tables.py --check   exit 1 when they are not what the files say

A table stands between `<!-- table: FILE.csv -->` and `<!-- end -->`; COLUMNS says what it shows.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
COLUMNS = {
    "training.csv": {
        "recipe": "recipe", "network": "network", "parameters": "parameters",
        "minutes": "minutes", "device": "on", "data": "data", "pck@0.2": "PCK@0.2",
        "pck@0.1": "PCK@0.1", "presence_auc": "presence AUC",
    },
    "latency.csv": {"file": "file", "about": "format", "ratio": "latency / MoveNet Lightning"},
    "int8.csv": {
        "network": "network", "fp32_pck": "fp32 PCK@0.2", "int8_pck": "int8 PCK@0.2",
        "drop": "lost", "int8_kib": "int8 size, KiB",
    },
}  # fmt: skip
MARK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(name):
    """A Markdown table of a results file."""
    rows = list(csv.DictReader((HERE / "results" / name).read_text().splitlines()))
    columns = COLUMNS[name]
    lines = [f"| {' | '.join(columns.values())} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(row[key] for key in columns)} |" for row in rows]
    return "\n".join(lines) + "\n"


def filled(text):
    """The README's text with every table made anew."""
    return MARK.sub(lambda m: m[1] + table(m[2]) + m[3], text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    text = README.read_text()
    if not parser.parse_args().check:
        README.write_text(filled(text))
    elif filled(text) != text:
        sys.exit("error: README.md is behind; run python benchmarks/readme_tables.py")


if __name__ == "__main__":
    main()
