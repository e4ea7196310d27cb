"""Arrows between rooms point one way, and what must be light is light."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "keras_pose"
NUMPY, KERAS = {"numpy"}, {"numpy", "keras"}
GROUND = (
    "errors", "presets", "skeletons", "geometry", "results", "json_file", "metadata", "codecs",
    "metrics",
)  # fmt: skip
# in order: a room may import rooms of its own line and of the lines above it
LINES = [
    (GROUND, NUMPY),
    (("runtime",), NUMPY | {"cv2", "ai_edge_litert"}),
    (("layers", "backbones", "models", "losses", "task", "warp"), KERAS),
    (("data",), NUMPY | {"cv2", "scipy"}),
    (("training",), KERAS | {"matplotlib", "tqdm"}),
    (("export",), KERAS | {"ai_edge_litert", "litert_quantizer", "flatbuffers", "tqdm"}),
    (("demo",), NUMPY | {"cv2"}),
]
# the few files that may know one thing more, and why
EXCEPTIONS = {
    "codecs/xp.py": {"keras"},  # the shim's second implementation, imported when first needed
    "metrics/coco_ap.py": {"faster_coco_eval", "pycocotools"},  # imported when first needed
    "warp.py": {"tensorflow"},  # the backend switch
    "models/half.py": {"h5py"},  # what Keras writes weights with
    "models/stored.py": {"h5py"},  # likewise
    "data/tfdata.py": {"tensorflow"},
    "data/pydataset.py": {"keras"},
    "training/strategy.py": {"tensorflow"},
    "training/gradients.py": {"tensorflow", "jax"},  # what differentiates
    "training/history.py": {"tensorboard"},
    "export/convert.py": {"tensorflow"},
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            if node.module == "keras_pose":
                yield from (f"keras_pose.{alias.name}" for alias in node.names)
            else:
                yield node.module


def _line(room):
    return next(i for i, (rooms, _) in enumerate(LINES) if room in rooms)


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_up(path):
    inside = path.relative_to(PACKAGE)
    line = _line(inside.parts[0].removesuffix(".py"))
    allowed = LINES[line][1] | EXCEPTIONS.get(inside.as_posix(), set())
    for name in _imports(path):
        top, *rest = name.split(".")
        if top == "keras_pose":
            assert not rest or _line(rest[0]) <= line, f"{inside} imports {name}, a lower room"
        elif top not in sys.stdlib_module_names:
            assert top in allowed, f"{inside} imports {name}; this room knows {sorted(allowed)}"


def test_files_are_small():
    long = {
        str(p.relative_to(ROOT)): n
        for folder in ("keras_pose", "train", "convert", "apps", "tests", "benchmarks")
        for p in (ROOT / folder).rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 450
    }
    assert not long


@pytest.mark.parametrize("app", sorted((ROOT / "apps").glob("*.py")), ids=lambda p: p.name)
def test_apps_use_the_runtime_alone(app):
    known = {"keras_pose.runtime", "keras_pose.errors", "keras_pose.presets"}
    for name in _imports(app):
        if name.startswith("keras_pose"):
            assert any(name.startswith(k) for k in known), f"{app.name} imports {name}"
        else:
            assert name.split(".")[0] in sys.stdlib_module_names


def _loaded(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in result.stdout.split()}


def test_importing_the_package_is_light():
    assert not _loaded("import keras_pose") & {"keras", "tensorflow", "cv2", "scipy", "numpy"}


def test_the_runtime_needs_neither_keras_nor_tensorflow():
    loaded = _loaded("import keras_pose.runtime")
    assert not loaded & {"keras", "tensorflow", "jax", "scipy", "matplotlib"}
