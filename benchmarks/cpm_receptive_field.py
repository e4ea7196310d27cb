"""Accuracy against the receptive field of the last stage on the picture (CPM's figure 4).

    python benchmarks/cpm_receptive_field.py [--by kernels|depth|scale] [--data DIR] [--smoke]

The paper varies the architecture "without significantly changing the number of parameters" and does
not say how. Here it is the side of the second stage's convolutions (`kernels`), their number
(`depth`), or the size of the crop that the same network looks at (`scale`); the table has the
parameters. Crops have 304 pixels as in the paper, whatever the recipe says: stage 1 sees 160 of
them, so in small ones there would be nothing left to see. One training per point. Writes
cpm_receptive_field_BY.csv and .png.
"""

import table
import trainings

from keras_pose.errors import command_line

SIDE = 304  # of the crop, in pixels
CENTER = 21 / 368  # of the crop's side: sigma of the map that marks its middle
# what is varied: arguments of the network
WAYS = {
    "kernels": [{"kernels": (side,) * 3} for side in (1, 3, 5, 7, 9, 11)],
    "depth": [{"kernels": (5,) * count} for count in (1, 2, 3, 4, 5, 6)],
    "scale": [{"input_size": (side, side)} for side in (128, 176, 240, 304, 368)],
}


def varied(recipe, way, side):
    """The recipe with two stages and one of WAYS, on crops of so many pixels unless that says it.

    Two stages, so that what is varied is all that sees far.
    """
    network = {"stages": 2, "input_size": (side, side)}
    if recipe.builder == "CPM":
        network["pooling"] = "paper"  # under which the paper counts what is seen
    if "kernels" not in way:
        network["kernels"] = (3, 3, 3)  # which see part of the larger crops alone
    network |= way
    return trainings.changed(recipe, {**network, "center_sigma": CENTER * network["input_size"][0]})


def measure(recipe, skeleton):
    """What a recipe's network sees and costs."""
    from keras_pose.models.counting import count
    from keras_pose.models.receptive import receptive_fields

    network = recipe.build(skeleton, start=False)
    field, counts = receptive_fields(network)[network.prediction], count(network)
    return {
        "receptive_field": field,
        "input_side": max(network.input_size),
        "share_of_input": round(field / max(network.input_size), 3),
        "parameters": counts.parameters,
        "gmac": round(counts.multiply_adds / 1e9, 4),
    }


def picture(rows, by, path):
    figure, ((plot,),) = trainings.plots()
    key = "share_of_input" if by == "scale" else "receptive_field"
    for name in ("pck@0.2", "pck@0.1"):
        plot.plot([row[key] for row in rows], [row[name] for row in rows], ".-", label=name)
    unit = ", of the crop's side" if by == "scale" else ", input pixels"
    plot.set(xlabel=f"receptive field of the last stage{unit}", ylabel="PCK, %")
    plot.legend()
    plot.grid(alpha=0.3)
    trainings.draw(figure, path)


@command_line
def main(arguments=None):
    parser = trainings.parser(__doc__.splitlines()[0], "runs/cpm_receptive_field", trainings.CPM)
    parser.add_argument("--by", choices=sorted(WAYS), default="kernels", help="what is varied")
    given = parser.parse_args(arguments)
    recipe, data, out, results = trainings.opened(given)
    from keras_pose.data.open import open_reader

    skeleton = open_reader(data, "val").skeleton
    ways = WAYS[given.by][:2] if given.smoke else WAYS[given.by]
    side = recipe.input_size[0] if given.smoke else SIDE
    rows = []
    for way in ways:
        own = varied(recipe, way, side)
        ((name, value),) = way.items()
        best = trainings.trained(own, data, out / f"{name}_{'x'.join(map(str, value))}")
        rows.append(
            {
                "by": given.by, "setting": f"{name}={value}", "recipe": recipe.name,
                "epochs": recipe.epochs, **measure(own, skeleton),
                **trainings.scored(best, data, own),
            }
        )  # fmt: skip
        print(f"{rows[-1]['receptive_field']} pixels: {rows[-1]['pck@0.2']} PCK@0.2")
    stem = f"cpm_receptive_field_{given.by}"
    table.write_with_command(results / f"{stem}.csv", rows, __file__)
    picture(rows, given.by, results / f"{stem}.png")


if __name__ == "__main__":
    main()
