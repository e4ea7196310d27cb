"""Graph-PCNN (Wang et al., 2020): stage 1 is any network of heatmaps, stage 2 moves its points.

Stage 1's answer for each key point is a guided point. Stage 2 looks at the features there, of a map
of its own from a second copy of stage 1's last stage (section 3.4), hears what neighbours along the
skeleton's edges say (equation 7), and adds an offset. In training it sees many points per key
point, drawn around the truth and where stage 1 responds (keras_pose.models.guided).

What the paper leaves open: neighbours are joined by the skeleton's edges; the dense layers behind
the graph are two of 256 with normalisation and ReLU; offsets are in cells of the map; neither
points nor gates carry a gradient.
"""

import functools
import importlib
import inspect

from keras_pose.codecs import RefinedPoints
from keras_pose.errors import PoseError
from keras_pose.models import branch, guided, parts, start
from keras_pose.models.network import PoseNetwork

COPY = "localisation_"  # what the names of the second copy's layers begin with


def GraphPCNN(
    base="SimpleBaseline",
    skeleton="coco17",
    input_size=(256, 192),
    base_arguments=None,
    channels=256,
    hidden=(256, 256),
    gating="full",
    threshold=0.85,
    points=None,
    proportion=(1, 1, 1),
    shuffle=True,
    offset_weight=16.0,
    stages=2,
    weights=None,
) -> PoseNetwork:
    """The two stages around any of this project's networks that has a `branch`.

    Input: image (B, H, W, 3) float32 RGB 0..255. Outputs, K = key points of the skeleton: those of
    the base, among them `heatmaps` (B, h, w, K), and `points` (B, K, 3): x and y normalised, and
    stage 1's heat as the score.

    base: name of a builder in keras_pose.models; base_arguments: a dict of its arguments, but for
    the skeleton, the input size and the weights. The defaults are the paper's ResNet-50.
    channels: of the graph convolution; hidden: of each dense layer behind it. gating: what of a
    neighbour counts (Table 2), see keras_pose.layers.graph; threshold: the heat above which a
    neighbour is relied on outside training (equation 12).
    For training alone: points: how many are drawn per key point (Figure 5, b), None for a sixteenth
    of the map's cells, the paper's 48, 192 and 432; proportion: relative numbers of those near the
    truth, far from it, and of high response (Figure 5, a); shuffle: False is GPR-vc of Table 2;
    offset_weight: lambda of equation 10.
    stages: 1 is the base alone. weights: what to begin with: anything the base may begin with (see
    keras_pose.models.start), from which the second copy begins too; or the `.keras` of a GraphPCNN
    built alike, whose stage 2 is left out where stages is 1.

    Raises PoseError for a base without a branch, for what the base refuses, for numbers out of
    range and weights that do not fit.
    """
    arguments = dict(locals())
    whole = _checked(arguments)
    first = _base(arguments, None if whole else weights)
    arguments |= {
        "skeleton": first.skeleton.to_dict(), "input_size": list(first.input_size), "weights": None,
        "base_arguments": parts.own(first),
    }  # fmt: skip
    if stages == 1:
        made = PoseNetwork(
            first.inputs[0], first.output, skeleton=first.skeleton, codec=first.codec,
            builder="GraphPCNN", arguments=arguments, criterion=first.criterion,
            floats=first.floats,
        )  # fmt: skip
        if whole:
            start.start_part(made, weights)
        return made

    maps, copy = first.output[first.prediction], first.branch(COPY)
    refiner = guided.Refiner(first.skeleton, first.codec, channels, hidden, gating, threshold)
    values = refiner.values(copy)
    criterion = functools.partial(_criterion, refiner, first, arguments)
    criterion()  # refuses now what cannot be trained
    made = PoseNetwork(
        first.inputs[0],
        {**first.output, RefinedPoints.head: refiner(maps, values)},
        skeleton=first.skeleton,
        codec=RefinedPoints(first.input_size),
        builder="GraphPCNN",
        arguments=arguments,
        learner={**first.output, guided.FEATURES: values},
        criterion=criterion,
        floats=(*first.floats, *refiner.FLOATS),
        codecs=dict.fromkeys(first.output, first.codec),
    )
    if whole:
        start.start(made, first.arguments.get("backbone"), weights)
    elif weights is not None:
        branch.begin(made, COPY)
    return made


def _criterion(refiner, first, arguments):
    names = ("points", "proportion", "shuffle", "offset_weight")
    return guided.GuidedLoss(refiner, first.criterion(), **{n: arguments[n] for n in names})


def _base(arguments, weights):
    """The base, which begins with `weights`."""
    name = arguments["base"]
    builder = getattr(importlib.import_module("keras_pose.models"), str(name), None)
    known = inspect.signature(builder).parameters if inspect.isfunction(builder) else {}
    if "skeleton" not in known or name == "GraphPCNN":
        raise PoseError(
            "the name of a network of heatmaps in keras_pose.models as base",
            repr(name),
            "Take HRNet, RePose, RePoseLite or SimpleBaseline.",
        )
    given = parts.checked("base_arguments", arguments["base_arguments"], builder)
    shared = {k: arguments[k] for k in ("skeleton", "input_size")}
    if "weights" in known:
        return builder(**given, **shared, weights=weights)
    made = builder(**given, **shared)
    if weights is not None:
        start.start(made, None, weights)
    return made


def _checked(arguments) -> bool:
    """Refuses what the parts do not refuse themselves. Returns whether the weights are those of
    two stages."""
    start.check({"frozen_norm": False, **arguments})
    for name in ("hidden", "proportion"):
        if isinstance(arguments[name], tuple):
            arguments[name] = list(arguments[name])  # as a file gives it back
    for name, good, wanted in (
        ("stages", arguments["stages"] in (1, 2), "1 or 2"),
        ("shuffle", isinstance(arguments["shuffle"], bool), "True or False"),
    ):
        if not good:
            raise PoseError(f"{name} as {wanted}", repr(arguments[name]), "Leave it out.")
    if arguments["weights"] is None:
        return False
    builder, told = start.told(arguments["weights"])
    return builder == "GraphPCNN" and told.get("stages") == 2
