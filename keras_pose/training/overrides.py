"""`--set a.b=value`: a dataclass with one value deep inside exchanged for one of the same type."""

import ast
import dataclasses
import difflib

from keras_pose.errors import PoseError


def applied(recipe, override, parameters):
    """A copy of a recipe with one value exchanged.

    override: "a.b=value"; parameters: function of a builder's name to its parameters, whose
    defaults say of what types the network's arguments are. Raises PoseError for an unknown key or
    another type.
    """
    path, equals, value = override.partition("=")
    if not equals:
        raise PoseError("an override key=value", repr(override), "Write --set optimizer.rate=3e-4.")
    path = path.strip()
    key, *rest = path.split(".")
    if key == "network" and rest:
        network = _network(recipe.network, parameters(recipe.builder), path, rest, _value(value))
        return dataclasses.replace(recipe, network=network)
    return _replace(recipe, path, [key, *rest], _value(value))


def _value(text):
    """A Python literal, true or false as one writes them elsewhere, or the text itself."""
    if text.strip() in ("true", "false"):
        return text.strip() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _replace(owner, path, keys, value):
    """A copy of a dataclass with one value deep inside exchanged."""
    key, rest = keys[0], keys[1:]
    _known(path, key, [f.name for f in dataclasses.fields(owner)])
    old = getattr(owner, key)
    if rest and not dataclasses.is_dataclass(old):
        raise _too_deep(path, rest)
    new = _replace(old, path, rest, value) if rest else _fitting(path, old, value)
    return dataclasses.replace(owner, **{key: new})


def _network(arguments, parameters, path, keys, value):
    """The network's arguments with one exchanged, of the type of the builder's own default."""
    key, rest = keys[0], keys[1:]
    _known(path, key, set(parameters) - {"skeleton"})
    if len(rest) == 1 and isinstance(arguments.get(key), dict):  # a base's arguments
        return {**arguments, key: {**arguments[key], rest[0]: value}}
    if rest:
        raise _too_deep(path, rest)
    default = parameters[key].default
    if default is not None:  # None stands for anything, as the weights to begin with
        value = _fitting(path, default, value)
    return {**arguments, key: value}


def _too_deep(path, rest):
    plain = path[: -sum(len(key) + 1 for key in rest)]
    return PoseError(f"a plain key {plain!r}", repr(path), f"Write --set {plain}=value.")


def _known(path, key, known):
    if key not in known:
        raise PoseError(f"a key among {sorted(known)}", repr(path), nearest(key, known))


def nearest(key, known):
    """The advice that names the known key most like this one."""
    close = difflib.get_close_matches(key, list(known), 1, 0.0)
    return f"Did you mean {close[0]!r}?" if close else "Look into train/recipes."


def _fitting(path, old, new):
    """`new` as the type of `old`; an int may stand for a float, a list for a tuple."""
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
        new = float(new)
    if isinstance(old, tuple) and isinstance(new, list):
        new = tuple(new)
    if type(old) is not type(new) or dataclasses.is_dataclass(old):
        raise PoseError(
            f"a {type(old).__name__} for {path!r}, like {old!r}", repr(new), "Change the value."
        )
    return new
