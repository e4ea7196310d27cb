"""Graph-PCNN's two stages, its base alone, and DARK, side by side (the paper's table 3).

    python benchmarks/graph_pcnn.py runs/A runs/B .. --data DIR [--limit N]

Each run is one of a GraphPCNN or of a network of heatmaps, and is scored on the validation persons
in every way that its answer can be read: stage 1's maps at the highest cell, with the quarter
offset, which is where stage 2 begins, and by DARK; and stage 2, as it is and deaf to neighbours.
Writes graph_pcnn.csv.
"""

import argparse
from pathlib import Path

import lineage
import table
import trainings

from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet

DECODERS = ("argmax", "quarter", "dark")
DEAF = "stage 2, neighbours not heard"
_NEVER = 2.0  # a threshold that no heat is above


def ways(network):
    """What a network's answer can be read from: (name, its output, a decoder of maps or "").

    Raises PoseError for a network without maps, and for one whose maps are of a refined pose.
    """
    refines = network.extra_inputs or network.builder == "EndToEnd"
    if refines or "heatmaps" not in network.output:
        raise PoseError(
            "a network with heatmaps of the picture alone",
            f"a {network.builder} with {', '.join(network.output)}",
            "Give a run of GraphPCNN, or of a network that may be its base.",
        )
    stage = "stage 1" if network.prediction != "heatmaps" else "base alone"
    found = [(f"{stage}, {decoder}", "heatmaps", decoder) for decoder in DECODERS]
    if network.prediction != "heatmaps":
        found += [("stage 2", network.prediction, ""), (DEAF, network.prediction, "")]
    return found


def deaf(network, path):
    """A GraphPCNN of that file in which no neighbour is ever relied on."""
    from keras_pose.models import GraphPCNN

    return GraphPCNN(**{**network.arguments, "threshold": _NEVER, "weights": str(path)})


def rows(run, reader, limit=0):
    """A line for every way to read the best.keras of a run."""
    from keras_pose.models import network
    from keras_pose.training import evaluate, state

    path = Path(run) / "best.keras"
    model = network.load(path)
    evaluate.check_skeleton(model.skeleton, reader.skeleton, path)
    recipe = state.read_position(Path(run) / "last.state")["recipe"]
    about = {
        "run": Path(run).name, "seed": recipe["seed"], "epochs": recipe["epochs"],
        "settings": lineage.settings(run, model.notes["commit"]),
        "start": model.notes.get("start", lineage.RANDOM),
    }  # fmt: skip
    for name, output, decoder in ways(model):
        read = deaf(model, path) if name == DEAF else model
        predict = evaluate.of_network(read, output, decoder=decoder)
        margin = model.notes["crop_margin"]
        report = evaluate.find(predict, reader, model.input_size, margin, limit).score()
        scores = trainings.pck(report)
        yield {"read": name, **scores, "persons": report.persons - report.left_out, **about}


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument("--data", required=True, help="its validation split is scored")
    parser.add_argument("--limit", type=int, default=0, help="at most so many persons")
    parser.add_argument(
        "--results", default=trainings.RESULTS, type=Path, help="folder of the table"
    )
    given = parser.parse_args(arguments)
    with quiet():  # TensorFlow greets from C++
        from keras_pose.data.open import open_reader
    reader = open_reader(given.data, "val")
    made = []
    for run in given.runs:
        for row in rows(run, reader, given.limit):
            made.append(row)
            print(f"{row['run']}: {row['read']}: {row['pck@0.2']} / {row['pck@0.1']}", flush=True)
    table.write_with_command(given.results / "graph_pcnn.csv", made, __file__)


if __name__ == "__main__":
    main()
