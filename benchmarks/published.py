"""Networks counted beside the numbers of their papers: what the tables of counts share."""

import dataclasses
import inspect

from keras_pose.models.counting import count


@dataclasses.dataclass(frozen=True)
class Row:
    """One line: (parameters in millions, operations in units of 10^9), None where nothing is said.

    arguments: of the builder. published: the paper's. expected: derived by hand from the layers'
    shapes. digits: how far the expected number of parameters is written out.
    """

    table: str
    setting: str
    arguments: dict
    published: tuple[float | None, float | None]
    expected: tuple[float | None, float | None]
    digits: int = 3


class Counter:
    """Counts of a builder's networks, each built once.

    ignored: arguments that no count depends on. measure: what is counted of a network.
    """

    def __init__(self, builder, ignored=(), measure=count):
        self.builder, self.ignored, self.measure = builder, ignored, measure
        self._defaults = inspect.signature(builder).parameters
        self._known = {}

    def __call__(self, arguments):
        plain = {k: v for k, v in arguments.items() if k not in self.ignored}
        key = str({k: v for k, v in plain.items() if v != self._defaults[k].default})
        if key not in self._known:
            self._known[key] = self.measure(self.builder(**arguments))
        return self._known[key]


def percent(measured, reference):
    """How far a number is above its reference; None where there is none."""
    # + 0.0: there is no -0.0 %
    return None if reference is None else round(100 * (measured / reference - 1), 2) + 0.0


def verdict(good):
    return "ok" if good else "NOT AS EXPECTED"


def cell(value, form=""):
    """A number on the screen."""
    return "-" if value is None else format(value, form)
