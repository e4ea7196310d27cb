"""Checks the zoo: every preset is what its card says, and all of it is small.

python benchmarks/check_zoo.py                                     exit 1 with what is wrong
python benchmarks/check_zoo.py --peer FILE.tflite [--rounds 100]   time all presets anew first

Ratios measured while a machine does other work are off: time them again when it is idle.
"""

import argparse
import sys
from pathlib import Path

import card
import table

from keras_pose import metadata, presets
from keras_pose.errors import PoseError, command_line

LARGEST = 20_000_000  # bytes of the whole zoo
NEEDED = (presets.INT8, presets.KERAS)


def folders() -> list[Path]:
    """The presets' folders."""
    return [card.ZOO / name for name in presets.names(card.ZOO)]


def problems() -> list[str]:
    """What is wrong with the zoo, one line each."""
    found = [f"{folder.name}: {line}" for folder in folders() for line in _lines(_wrong, folder)]
    found += _lines(_without_fp16)
    size = sum(path.stat().st_size for path in card.ZOO.rglob("*") if path.is_file())
    if size > LARGEST:
        found.append(f"the whole zoo: {size} bytes, of {LARGEST} at most")
    return found


def _lines(check, *given):
    """What a check finds; where it cannot go on, it says why."""
    found = []
    try:
        for line in check(*given):
            found.append(line)
    except PoseError as error:
        found.append(str(error))
    except (KeyError, TypeError, AttributeError) as error:
        found.append(f"an incomplete card ({error!r})")
    return found


def _wrong(folder):
    told = card.read(folder)
    first = (folder / presets.CARD).read_text().splitlines()[0]
    if (told["name"], first) != (folder.name, f"# {folder.name}: {told['description']}"):
        yield f"the card is of {told['name']}, and begins with {first!r}"
    here = {p.name: p.stat().st_size for p in folder.iterdir() if p.name != presets.CARD}
    if here != told["files"]:
        yield f"files {here}, in the card {told['files']}"
    missing = [name for name in NEEDED if name not in here]
    if missing:
        yield f"without {', '.join(missing)}"
    for path in sorted(folder.glob("*.tflite")):
        yield from _lines(_other_skeleton, path, told)
    drop, _ = card.lost(told["scores"])
    if drop > card.DROP:
        yield f"int8 loses {drop:.2f} of PCK@0.2"
    if told["latency"]["ratio_to"] != card.PEER:
        yield f"latency as a ratio to {told['latency']['ratio_to']}, not to {card.PEER}"


def _other_skeleton(path, told):
    skeleton = metadata.read(path).skeleton
    if (skeleton.name, list(skeleton.keypoints)) != (told["skeleton"], told["key_points"]):
        yield f"{path.name} of {skeleton.name}, in the card {told['skeleton']}"


def _without_fp16():
    """The two smallest files of those that were trained on photographs have an fp16 one beside."""
    cards = [card.read(folder) for folder in folders()]
    real = [told for told in cards if "photographs" in card.about(told["data"]["name"])[0]]
    real.sort(key=lambda told: told["files"][presets.INT8])
    for told in real[: 2 if len(real) > 1 else 0]:
        if presets.FP16 not in told["files"]:
            yield f"{told['name']}: without {presets.FP16}, which the two smallest have"


def time_anew(peer, rounds):
    """Measures every preset's latency again and writes it into its card."""
    for folder in folders():
        files = sorted(folder.glob("*.tflite"), reverse=True)
        ratios = card.latency(files, peer, table.command(__file__), rounds)
        print(folder.name, ratios)
        card.write(folder, {**card.read(folder), "latency": ratios})


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", metavar="FILE.tflite", help="compare latencies with it")
    parser.add_argument("--rounds", type=int, default=100, help="timed runs of each")
    given = parser.parse_args()
    if given.peer:
        time_anew(given.peer, given.rounds)
    found = problems()
    if found:
        sys.exit("error: " + "\n       ".join(found))
    print(f"{len(folders())} presets, as their cards say")


if __name__ == "__main__":
    main()
