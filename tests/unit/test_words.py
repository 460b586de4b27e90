"""Private words stay out of docstrings, comments, messages and names; docs/glossary.md has better ones."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".smk", ".yaml", ".yml", ".html", ".js", ".css", ""}
PLACES = [
    "lib",
    "tests",
    "workflow",
    "benchmarks",
    "profiles",
    "Snakefile",
    "Makefile",
    "dvc.yaml",
    "params.yaml",
    ".ci",
]
# This file lists the words; the links in bin are to tests/preloaded/client.py.
EXCLUDED = ("tests/unit/test_words.py", "tests/preloaded/bin/")
# A method of Python's files.
ALLOWED = re.compile(r"\.tell\(\)")
WORDS = {
    r"judg(e|es|ed|ing|ement\w*)": "evaluate, decide, verdict",
    r"beside": "next to, with",
    r"besides? each other": "next to each other",
    r"trainings": "runs",
    r"anew": "again",
    r"(tell|tells|told)": "say, show, distinguish",
    r"(go|goes|going|went|gone) on": "resume, continue",
    r"beneath": "below",
    r"(take|takes|taking|taken|took) (it |them )?up": "resume, use",
    r"whoever": "the person or job that is meant",
    r"one's own": "your own",
    r"mend(s|ed|ing|able)?": "fix",
    r"recognis\w+": "recognize, recognizer",
}
PRIVATE = re.compile(rf"(?<![a-z])({'|'.join(WORDS)})(?![a-z])", re.IGNORECASE)
# A docstring whose first words make a noun of "what".
NOUN = re.compile(r'"""((Return|Yield|Write|Say) )?what\b', re.IGNORECASE)


def private_words(path: Path) -> list[str]:
    """Return path, line number and word of each private word in a file."""
    lines = enumerate(path.read_text().splitlines(), start=1)
    return [
        f"{path}:{number}: {match[0]}"
        for number, line in lines
        for match in [*PRIVATE.finditer(ALLOWED.sub("", line)), *NOUN.finditer(line)]
    ]


def files_below(root: Path) -> list[Path]:
    """Return the files that are checked."""
    found = [path for place in PLACES for path in [root / place, *(root / place).rglob("*")]]
    return [
        path
        for path in sorted(found)
        if path.is_file() and path.suffix in SUFFIXES
        if not path.relative_to(root).as_posix().startswith(EXCLUDED)
    ]


def test_the_private_vocabulary_stays_out():
    files = files_below(ROOT)
    assert len(files) > 60
    assert [word for path in files for word in private_words(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        '"""Return how a run is judged."""',
        "# Two trainings go on\n",
        'print("give the command anew")',
        '"""What a run leaves."""',
        "def recogniser(): ...",
    ],
)
def test_a_private_word_is_found(tmp_path: Path, line: str):
    written = tmp_path / "lib/convttlstm/training/new.py"
    written.parent.mkdir(parents=True)
    written.write_text(f"import os\n\n{line}\n")
    found = [word for path in files_below(tmp_path) for word in private_words(path)]
    assert found and all(word.startswith(f"{written}:3: ") for word in found)


def test_other_words_are_allowed(tmp_path: Path):
    written = tmp_path / "words.smk"
    written.write_text("# besides, somewhat, retell, recommend\n")
    assert private_words(written) == []
