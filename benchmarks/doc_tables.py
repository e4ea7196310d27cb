"""Writes the tables of README.md and docs from benchmarks/results and the zoo's cards.

python benchmarks/doc_tables.py           rewrite the tables
python benchmarks/doc_tables.py --check   exit 1 when they are not what the files say

A table stands between `<!-- table: FILE.csv -->` and `<!-- end -->`; COLUMNS says what it shows.
The one called zoo is made of the presets' cards, after the rows of peers.csv.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

import card
import check_zoo

from keras_pose import presets

HERE = Path(__file__).resolve().parent
PAGES = [HERE.parent / "README.md", *sorted((HERE.parent / "docs").glob("*.md"))]
COLUMNS = {
    "zoo": {
        "name": "preset", "network": "network", "input": "input", "data": "scored on",
        "float": "PCK@0.2 / @0.1", "int8": "int8 PCK@0.2 / @0.1",
        "latency": "latency of int8", "bytes": "bytes of int8",
    },
    "latency.csv": {
        "file": "file", "model": "network and format", "bytes": "bytes",
        "ratio_to_first": "latency against MoveNet Lightning fp16",
    },
    "cpm_schemes.csv": {
        "scheme": "", "how": "scheme", "pck@0.2": "PCK@0.2", "pck@0.1": "PCK@0.1"
    },
    "graph_pcnn.csv": {
        "run": "run", "read": "read", "pck@0.2": "PCK@0.2", "pck@0.1": "PCK@0.1", "seed": "seed"
    },
    "posefix_helps.csv": {
        "poses": "poses", "key_points": "key points", "before_pck@0.2": "PCK@0.2 before",
        "pck@0.2": "after", "before_pck@0.1": "PCK@0.1 before", "pck@0.1": "after",
        "before_jitter": "jitter before", "jitter": "after",
        "before_inversion": "inversion before", "inversion": "after",
        "before_miss": "miss before", "miss": "after",
    },
}  # fmt: skip
MARK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(name):
    """A Markdown table of a results file, or of the zoo."""
    rows = _zoo() if name == "zoo" else _results(name)
    columns = COLUMNS[name]
    lines = [f"| {' | '.join(columns.values())} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(str(row[key]) for key in columns)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _results(name):
    lines = (HERE / "results" / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _zoo():
    """Other people's models, then the presets; PCK is over the key points that both know."""
    for row in _results("peers.csv"):
        yield {
            **row,
            "name": row["file"].removesuffix(".tflite"),
            "network": "",
            "float": f"{float(row['pck@0.2']):.1f} / {float(row['pck@0.1']):.1f}",
            "int8": "",
            "latency": f"{float(row['latency_ratio']):.2f} (fp16)",
            "bytes": f"{row['bytes']} (fp16)",
        }
    for folder in check_zoo.folders():
        told = card.read(folder)
        scores = {
            kind: " / ".join(
                f"{table.get('mean_shared', table['mean']):.1f}"
                for table in (told["scores"][kind][metric] for metric in card.METRICS)
            )
            for kind in ("float", "int8")
        }
        yield {
            **told,
            **scores,
            "name": f"[{folder.name}](zoo/{folder.name}/card.yaml)",
            "data": told["data"]["name"],
            "latency": f"{told['latency']['int8']:.2f}",
            "bytes": told["files"][presets.INT8],
        }


def filled(text):
    """A page's text with every table made anew."""
    return MARK.sub(lambda m: m[1] + table(m[2]) + m[3], text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    behind = {page: new for page in PAGES if (new := filled(old := page.read_text())) != old}
    if check and behind:
        names = ", ".join(page.name for page in behind)
        sys.exit(f"error: {names} behind the results; run python benchmarks/doc_tables.py")
    for page, text in behind.items():
        page.write_text(text)


if __name__ == "__main__":
    main()
