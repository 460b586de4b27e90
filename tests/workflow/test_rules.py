"""docs/rules.md shows the rules as Snakemake has them."""

import re
import subprocess
from pathlib import Path

import pytest

from convttlstm.reporting import report_names

ROOT = Path(__file__).parents[2]


def dependencies(graph: str) -> set[tuple[str, str]]:
    """Return which rule feeds which, from Snakemake's graph; all reports but the page are one."""
    names = dict(re.findall(r'(\d+)\[label = "(\w+)', graph))
    merged = {name: "reports" for name in report_names() if name != "page"}
    pairs = [
        [merged.get(names[end], names[end]) for end in pair] for pair in re.findall(r"(\d+) -> (\d+)", graph)
    ]
    return {(first, second) for first, second in pairs if first != second}


@pytest.mark.slow
def test_the_graph_equals_snakemakes() -> None:
    command = ["snakemake", "--config", "scale=demo", "--rulegraph", "dot"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "docs/rules.md").read_text()
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", page, re.M))
    assert drawn == dependencies(done.stdout) and len(drawn) > 20


def test_the_table_names_every_rule() -> None:
    page = (ROOT / "docs/rules.md").read_text()
    files = (ROOT / "workflow/rules").glob("*.smk")
    rules = {name for path in files for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)}
    assert len(rules) > 12
    assert rules <= set(re.findall(r"\w+", page))
