"""README and docs: links lead somewhere, commands and settings are accepted, the README stays short."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from convttlstm.cli import make_parser
from convttlstm.config import load_settings

ROOT = Path(__file__).parents[2]
_LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
PAGES = [ROOT / name for name in _LISTED.stdout.split() if not name.startswith("results/")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(language: str) -> list[tuple[str, str]]:
    found = [(page, *block) for page in PAGES for block in BLOCK.findall(page.read_text())]
    return [(str(page.relative_to(ROOT)), content) for page, written, content in found if written == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def commands() -> list[str]:
    """Return the `convttlstm` commands of all pages, without comments and continuations."""
    lines = [line for _, block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    return sorted({line.split(" #")[0].strip() for line in lines if line.startswith("convttlstm ")})


@pytest.mark.parametrize("command", commands())
def test_commands_are_accepted(command: str) -> None:
    words = shlex.split(re.sub(r"<[^>]*>", "X", command).replace("$", ""))
    make_parser().parse_args(words[1:])  # exits with 2 where a command or an option does not exist


def test_scale_files_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
    scales = [block for _, block in blocks("yaml") if block.startswith("label:")]
    assert len(scales) >= 3
    for block in scales:
        (tmp_path / "mine.yaml").write_text(block)
        assert load_settings(tmp_path / "mine.yaml").label == yaml.safe_load(block)["label"]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


@pytest.mark.parametrize("page", ["README.md", "docs/models.md"])
def test_python_examples_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec("\n".join(content for name, content in blocks("python") if name == page), {})
