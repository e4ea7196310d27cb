"""Networks inside other networks: what they may be told there, and what of it is stored."""

import inspect

from keras_pose.errors import PoseError

SET = ("skeleton", "input_size", "weights")  # of a part's arguments, by the network around it


def checked(name, given, builder) -> dict:
    """The arguments of the network inside another one, as a dict.

    name: of the other one's argument that holds them; given: what it is, None for no arguments;
    builder: the function that builds what is inside. Raises PoseError for anything but a dict, and
    for names that are not the builder's or among SET.
    """
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise PoseError(
            f"{name} as a dict of arguments of {builder.__name__}",
            repr(given),
            "Leave it out for the defaults.",
        )
    known = inspect.signature(builder).parameters.keys() - set(SET)
    if unknown := set(given) - known:
        raise PoseError(
            f"{name} as arguments of {builder.__name__}, but for {', '.join(SET)}",
            ", ".join(sorted(map(str, unknown))),
            "The network around it has these three itself; the others are of what is inside.",
        )
    return dict(given)


def own(part) -> dict:
    """The arguments of a network inside another one, as `checked` takes them."""
    return {k: v for k, v in part.arguments.items() if k not in SET}
