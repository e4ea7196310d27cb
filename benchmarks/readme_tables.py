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
        "int8_pck@0.2": "int8 PCK@0.2", "int8_kib": "int8 KiB",
    },
    "latency.csv": {
        "file": "file", "model": "network and format", "bytes": "bytes",
        "ratio_to_first": "latency against MoveNet Lightning fp16",
    },
}  # fmt: skip
MARK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(name):
    """A Markdown table of a results file."""
    lines = (HERE / "results" / name).read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
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
