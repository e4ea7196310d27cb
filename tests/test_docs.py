"""What the documents say exists."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_scripts_exist(page):
    for script in re.findall(r"\b((?:train|convert|apps|benchmarks)/\w+\.py)", page.read_text()):
        assert (ROOT / script).is_file(), f"{page.name} names {script}"


def test_tables_are_those_of_the_results():
    command = [sys.executable, "benchmarks/doc_tables.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
