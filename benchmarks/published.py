"""Networks counted beside the numbers of their papers: what the tables of counts share."""

import dataclasses
import inspect
import sys

import table

from keras_pose.models.counting import count

TOLERANCE = 0.01
_FITS = "within_1_%"


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


def compared(row, parameters, work):
    """A line of a table of multiply-adds. parameters: those that are trained; work: multiply-adds
    for one picture."""
    found = (parameters / 1e6, work / 1e9)
    off = [percent(value, wanted) for value, wanted in zip(found, row.expected, strict=True)]
    return {
        "table": row.table,
        "setting": row.setting,
        "parameters_expected_M": row.expected[0],
        "parameters_published_M": row.published[0],
        "parameters": parameters,
        "parameters_difference_%": off[0],
        "parameters_against_published_%": percent(found[0], row.published[0]),
        "gmac_expected": row.expected[1],
        "gmac_published": row.published[1],
        "gmac": round(found[1], 4),
        "gmac_difference_%": off[1],
        "gmac_against_published_%": percent(found[1], row.published[1]),
        _FITS: "yes" if all(o is None or abs(o) <= 100 * TOLERANCE for o in off) else "NO",
    }


def report(lines, results, script):
    """Prints each of the lines (`compared`) as it comes, writes all of them to `results`, and
    leaves with status 1 where one is further from what was expected than TOLERANCE."""
    head, kept = " expected publ. counted diff.% ", []
    print(f"{'table setting':52}{head + '(millions)':>44}{head + '(GMAC)':>40}")
    for line in lines:
        kept.append(line)
        print(
            f"{line['table']:12}{line['setting']:40}"
            f"{cell(line['parameters_expected_M']):>8} {cell(line['parameters_published_M']):>6} "
            f"{line['parameters'] / 1e6:>8.3f} {line['parameters_difference_%']:>+6.2f}     "
            f"{cell(line['gmac_expected']):>8} {cell(line['gmac_published']):>6} "
            f"{line['gmac']:>8.3f} {cell(line['gmac_difference_%'], '+.2f'):>6}   {line[_FITS]}",
            flush=True,
        )
    table.write_with_command(results, kept, script)
    sys.exit(0 if all(line[_FITS] == "yes" for line in kept) else 1)


def percent(measured, reference):
    """How far a number is above its reference; None where there is none."""
    # + 0.0: there is no -0.0 %
    return None if reference is None else round(100 * (measured / reference - 1), 2) + 0.0


def verdict(good):
    return "ok" if good else "NOT AS EXPECTED"


def cell(value, form=""):
    """A number on the screen."""
    return "-" if value is None else format(value, form)
