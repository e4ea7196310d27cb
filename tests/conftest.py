"""What all tests share: where the data at hand lies, and quiet backends."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]


def shared(path):
    """A path below ../shared, or a skip that says why."""
    found = ROOT.parent / "shared" / path
    if not found.exists():
        pytest.skip(f"../shared/{path} is not here (research pictures do not travel with the code)")
    return found
