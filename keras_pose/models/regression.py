"""What Poseur and PoseurMobile share: from maps to a network that knows how it is trained."""

import functools

from keras_pose import losses, skeletons
from keras_pose.codecs import Coordinates, SoftmaxHeatmap
from keras_pose.codecs.coordinates import SCORES
from keras_pose.errors import PoseError
from keras_pose.layers import NoisyReferences
from keras_pose.models.encoder import INITIAL, QUERIES, TAUGHT, Guess, guess
from keras_pose.models.network import PoseNetwork, sides
from keras_pose.models.start import check, start

# the layers whose numbers are coordinates, indices of the table, or what they are made of: int8
# would round a point to 1/256 of the crop, and an index to another row
FLOATS = ("coarse", "guess", "noise", "encoder", "reference_logit", "layer", "sampled_heads")

_SIGMA = 6.0  # input pixels, of maps that guide or that the guess is read from, as RePoseLite's


def network(builder, image, pooled, values, encoder, decoder, dense, skeleton, arguments, finest):
    """A PoseNetwork of a coarse branch on `pooled` features (B, C) and a decoder over a table.

    builder: "Poseur" or "PoseurMobile"; arguments: what it was called with. values: the table.
    encoder, decoder: KeypointEncoder and QueryDecoder; dense: the kind of layer that guesses the
    coarse locations. finest: the features (B, h, w, C) of which a guess that is read from maps
    makes them. Where the arguments have a `map_weight`, those are taught, or else some of `finest`.
    """
    heatmap, guiding = None, {losses.WithMaps.FEATURES: finest}
    if arguments.get("map_weight"):
        heatmap = SoftmaxHeatmap(arguments["input_size"], finest.shape[1:3], _SIGMA)
    outputs, location, maps = guess(
        arguments["initial"], finest, pooled, skeleton.count, dense, heatmap
    )
    if maps is not None:
        guiding = {losses.WithMaps.MAPS: maps}
    if location is None:
        reference = encoder.references(values)
    else:
        reference = Guess(dtype="float32", name="guess")(location)

    def decoded(points):
        predictions = decoder(*encoder(points), points, values)
        names = [f"layer{i}" for i in range(1, len(predictions))]
        return dict(zip([*names, Coordinates.head], predictions, strict=True))

    learner, groups = None, arguments["noise_groups"]
    if groups:
        noisy = NoisyReferences(groups, dtype="float32", name="noise")(reference)
        learner = outputs | decoded(noisy)
    elif heatmap:
        learner = outputs | decoded(reference)
    criterion = functools.partial(losses.RLE, skeleton.count, arguments["residual"])
    if heatmap:
        learner |= guiding
        criterion = functools.partial(
            _with_maps, criterion, heatmap, skeleton.count, arguments["map_weight"]
        )
    made = PoseNetwork(
        image,
        outputs | decoded(reference),
        skeleton=skeleton,
        codec=Coordinates(tuple(arguments["input_size"]), arguments["score"]),
        builder=builder,
        arguments={**arguments, "weights": None},
        learner=learner,
        criterion=criterion,
        floats=FLOATS,
        codecs={losses.WithMaps.MAPS: heatmap},
    )
    if arguments["weights"] is not None:
        start(made, arguments.get("backbone", "mobilenet_v2"), arguments["weights"])
    return made


def _with_maps(criterion, codec, count, weight):
    return losses.WithMaps(criterion(), codec, count, weight)


def checked(arguments):
    """(skeleton, input size) of a builder's arguments.

    Raises PoseError for choices that do not exist and numbers that cannot be built.
    """
    initial = (*INITIAL, TAUGHT) if "map_weight" in arguments else INITIAL
    choices = {
        "initial": initial, "query": QUERIES, "score": SCORES, "residual": tuple(losses.RESIDUALS)
    }  # fmt: skip
    for name, known in choices.items():
        if name in arguments and arguments[name] not in known:
            raise PoseError(f"{name} among {known}", repr(arguments[name]), "Choose one of them.")
    for name in ("channels", "decoder_layers", "heads", "points", "feed_forward", "noise_groups"):
        least = 0 if name == "noise_groups" else 1
        value = arguments[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise PoseError(f"{name} as a whole number from {least}", repr(value), "Change it.")
    check(arguments)
    for name in ("shared", "self_attention"):
        if not isinstance(arguments[name], bool):
            raise PoseError(f"{name} True or False", repr(arguments[name]), "Change it.")
    dropout, map_weight = arguments.get("dropout", 0.0), arguments.get("map_weight", 0.0)
    if not isinstance(map_weight, int | float) or not 0 <= map_weight < float("inf"):
        raise PoseError("map_weight from 0", repr(map_weight), "Leave it out for no maps.")
    if arguments["initial"] == TAUGHT and not map_weight:
        raise PoseError(
            f"a map_weight above 0 beside initial={TAUGHT!r}: nothing else teaches its maps",
            repr(map_weight),
            "Take map_weight=1.0.",
        )
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise PoseError("dropout from 0 to below 1", repr(dropout), "Change it.")
    channels, heads = arguments["channels"], arguments["heads"]
    if channels % heads or channels % 8:
        raise PoseError(
            "channels that the heads divide, and 8 (groups that are normalised together)",
            f"channels={channels}, heads={heads}",
            "Change one of them.",
        )
    return skeletons.get(arguments["skeleton"]), sides(arguments["input_size"])
