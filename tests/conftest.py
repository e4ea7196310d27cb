"""What all tests share: where the data at hand lies, quiet backends, and a process for JAX."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# the tests' networks run for milliseconds, and XLA would optimise them for seconds
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

ROOT = Path(__file__).resolve().parents[1]


def shared(path):
    """A path below ../shared, or a skip that says why."""
    found = ROOT.parent / "shared" / path
    if not found.exists():
        pytest.skip(f"../shared/{path} is not here (research pictures do not travel with the code)")
    return found


@pytest.fixture(scope="session")
def jax_steps(tmp_path_factory):
    """Training steps on JAX, see jax_steps.Steps."""
    from jax_steps import Steps

    steps = Steps(tmp_path_factory.mktemp("jax") / "errors.txt")
    yield steps
    steps.close()
