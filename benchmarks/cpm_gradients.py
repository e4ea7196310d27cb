"""Histograms of gradient magnitudes with and without intermediate supervision (CPM's figure 5).

    python benchmarks/cpm_gradients.py [--data DIR] [--at 1 2 3] [--set a.b=c] [--smoke]

Trains --recipe twice, with every stage supervised and with the last one alone, and looks at the
gradients of the run's first batch at the end of the epochs --at. Writes cpm_gradients.csv with
every layer, and cpm_gradients.png with a few, from the output to the input.
"""

import dataclasses

import numpy as np
import table
import trainings

from keras_pose.errors import PoseError, command_line

EDGES = np.linspace(-12, 4, 97)  # of the histograms, in powers of ten
SUPERVISED = {"all": "intermediate supervision", "last": "last stage alone"}
STAGES = 6
SHOWN = 6  # layers in the picture


class Collect:
    """A watch of training.run.Run: keeps histograms of every layer at the end of some epochs."""

    def __init__(self, epochs):
        self.epochs, self.batch = epochs, None

    def __call__(self, run):
        from keras_pose.training import gradients

        if run.step < run.loader.steps or run.epoch + 1 not in self.epochs:
            return
        if self.batch is None:
            self.batch = run.loader.batch(0, 0)
        layers = gradients.magnitudes(run.task, self.batch)
        np.savez(kept(run.out, run.epoch + 1), **{n: summary(v) for n, v in layers.items()})


def kept(out, epoch):
    """The file in which a run keeps what was collected, so that a later call can draw it."""
    return out / f"gradients_{epoch}.npz"


def summary(values):
    """Counts in EDGES, then the share of zeros, the root mean square and the variance."""
    counts, _ = np.histogram(np.log10(values[values > 0]).clip(EDGES[0], EDGES[-1]), EDGES)
    squares = np.square(values, dtype=np.float64).mean()
    return np.append(counts, [np.mean(values == 0), np.sqrt(squares), values.var(dtype=np.float64)])


def read(out, epochs):
    """Epoch to layer to summary. Raises PoseError where a run was trained without looking."""
    read = {}
    for epoch in epochs:
        if not kept(out, epoch).is_file():
            raise PoseError(
                f"a run that was looked at in epoch {epoch}",
                f"{out} without {kept(out, epoch).name}",
                "Choose another --out, or the --at that the run began with.",
            )
        with np.load(kept(out, epoch)) as arrays:
            read[epoch] = {name: arrays[name] for name in arrays.files}
    return read


def picture(found, path):
    """A row per epoch, a column per layer, the output at the left."""
    epochs = list(found["all"])
    names = list(found["all"][epochs[0]])[::-1]
    names = [names[i] for i in np.linspace(0, len(names) - 1, min(SHOWN, len(names))).astype(int)]
    middle = (EDGES[:-1] + EDGES[1:]) / 2
    figure, grid = trainings.plots(len(epochs), len(names), (2.6, 2.0), sharex=True, sharey=True)
    for plots, epoch in zip(grid, epochs, strict=True):
        for plot, name in zip(plots, names, strict=True):
            for supervised, label in SUPERVISED.items():
                counts = found[supervised][epoch][name][: len(middle)]
                plot.fill_between(
                    middle, counts / max(counts.sum(), 1), step="mid", alpha=0.5, label=label
                )
            if epoch == epochs[0]:
                plot.set_title(name.replace("_", " "), fontsize=9)
        plots[0].set_ylabel(f"epoch {epoch}\nshare of weights")
    for plot in grid[-1]:
        plot.set_xlabel("log10 |gradient|")
    grid[0][0].legend(fontsize=7)
    trainings.draw(figure, path)


@command_line
def main(arguments=None):
    parser = trainings.parser(__doc__.splitlines()[0], "runs/cpm_gradients", trainings.CPM)
    parser.add_argument("--at", nargs="+", type=int, default=[1, 2, 3], metavar="EPOCH")
    given = parser.parse_args(arguments)
    recipe, data, out, results = trainings.opened(given)
    at = [1] if given.smoke else sorted(set(given.at))
    if at[0] < 1:
        raise PoseError("epochs from 1", str(at[0]), "Write --at 1 2 3.")
    recipe = dataclasses.replace(recipe, epochs=at[-1])
    found, rows = {}, []
    for supervised in SUPERVISED:
        way = {"stages": 3 if given.smoke else STAGES, "supervised": supervised}
        varied = trainings.changed(recipe, way)
        run = out / f"supervised_{supervised}"
        trainings.trained(varied, data, run, [Collect(at)])
        found[supervised] = read(run, at)
        for epoch, layers in found[supervised].items():
            for depth, (name, values) in enumerate(layers.items(), 1):
                zeros, size, variance = values[-3:]
                rows.append(
                    {
                        "supervised": supervised, "epoch": epoch, "layer": name, "depth": depth,
                        "root_mean_square": f"{size:.3e}", "variance": f"{variance:.3e}",
                        "share_of_zeros": round(float(zeros), 4), "recipe": recipe.name,
                    }
                )  # fmt: skip
    table.write_with_command(results / "cpm_gradients.csv", rows, __file__)
    picture(found, results / "cpm_gradients.png")


if __name__ == "__main__":
    main()
