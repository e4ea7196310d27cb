"""What the benchmarks share: tables with their command, networks counted once."""

import csv
import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import published
import table


def test_a_table_says_how_it_was_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/some/where/throughput.py", "--data", "my pictures"])
    path = tmp_path / "new" / "rows.csv"
    rows = [{"a": 1, "b": None}, {"a": "x, y", "b": 2.5}]
    table.write_with_command(path, rows, "/some/where/throughput.py")
    with open(path, newline="") as file:
        read = list(csv.DictReader(file))
    command = "python benchmarks/throughput.py --data 'my pictures'"
    assert read == [
        {"a": "1", "b": "", "command": command},
        {"a": "x, y", "b": "2.5", "command": command},
    ]
    assert "command" not in rows[0] and "rows.csv" in capsys.readouterr().out


def test_models_are_called_by_their_files_and_runs():
    given = ("some/where/movenet.tflite", "runs/first/best.keras", "best.keras", "a_preset")
    expected = ["movenet.tflite", "first/best.keras", "best.keras", "a_preset"]
    assert [table.name_of(model) for model in given] == expected


def test_a_network_is_built_once():
    built = []

    def builder(width=3, sigma=1.0):
        built.append(width)
        return width

    counted = published.Counter(builder, ignored=("sigma",), measure=lambda width: 10 * width)
    assert [counted({}), counted({"width": 3, "sigma": 9.0}), counted({"width": 4})] == [30, 30, 40]
    assert built == [3, 4]


def test_percentages():
    assert published.percent(1.01, 1.0) == 1.0 and published.percent(0.5, 2.0) == -75.0
    assert published.percent(1.0, None) is None and published.cell(None, "+.2f") == "-"


def committed(name):
    with open(ROOT / "benchmarks" / "results" / name, newline="") as file:
        return list(csv.DictReader(file))


def test_poseurs_committed_counts_are_as_expected():
    lines = committed("poseur_counts.csv")
    assert len(lines) > 10 and {line["within_1_%"] for line in lines} == {"yes"}
    base = next(line for line in lines if line["setting"] == "layers 3")
    assert base["parameters"] == "28898326"


def test_the_heatmap_networks_committed_counts_are_as_expected():
    lines = committed("heatmap_counts.csv")
    assert {line["within_1_%"] for line in lines} == {"yes"}
    found = {f"{line['table']} {line['setting']}": int(line["parameters"]) for line in lines}
    assert found["SB ResNet-50"] == 33_999_697 and found["HRNet W32"] == 28_536_113
    assert found["Graph-PCNN ResNet-50, before refinement"] == 59_451_729
    assert found["PoseFix ResNet-50"] == 34_053_009
    assert len([name for name in found if name.startswith("CPM")]) == 5


def test_decoders_as_committed_come_closer_one_after_the_other():
    """Mean error in cells, on maps without noise, of both of the codecs that have maps."""
    lines = [line for line in committed("decoding.csv") if float(line["noise"]) == 0]
    for codec in ("gaussian", "softmax"):
        errors = {
            line["decoder"]: float(line["mean_cells"]) for line in lines if line["codec"] == codec
        }
        assert errors["argmax"] > errors["quarter"] > errors["dark"]
        assert errors["dark"] < 0.1


def test_scoring_as_committed_is_fast_and_agrees():
    (line,) = committed("coco_speed.csv")
    assert int(line["pictures"]) == 5000 and float(line["times_faster"]) >= 2
    assert float(line["largest_difference"]) <= 1e-9


def test_a_count_is_compared_with_what_was_expected_and_published():
    row = published.Row("1", "all", {}, (2.0, None), (2.02, 4.0))
    line = published.compared(row, 2_000_000, 4.05e9)
    assert (line["parameters_difference_%"], line["parameters_against_published_%"]) == (-0.99, 0.0)
    assert (line["gmac_difference_%"], line["gmac_against_published_%"]) == (1.25, None)
    assert line["within_1_%"] == "NO"
    assert published.compared(row, 2_000_000, 4.03e9)["within_1_%"] == "yes"
