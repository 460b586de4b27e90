"""How many windows of KTH the published loaders cut, counted from its list of sequences.

    python -m convttlstm.data.kth_windows data/raw/kth/00sequences.txt

prints a line for each rule. docs/kth_windows.md says where the rules come from.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convttlstm.config.videos import ACTIONS
from convttlstm.data.kth import NAME, parse_boundaries
from convttlstm.data.layout import KTH_MISSING
from convttlstm.files import UserError

Boundaries = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class Rule:
    """How a loader cuts windows.

    Attributes:
        loader: whose it is.
        frames: of a window.
        train: persons.
        test: persons.
        train_step: frames from one window to the next, by action; 0 for one window after the other.
        test_step: the same.
        merged: whether a window may span two sequences without a gap between them.
    """

    loader: str
    frames: int
    train: range
    test: range
    train_step: Mapping[str, int]
    test_step: Mapping[str, int]
    merged: bool = False


FOURTEEN, SIXTEEN, NINE = range(1, 15), range(1, 17), range(17, 26)  # 15 and 16 validate here
FAST: dict[str, int] = {action: 3 if action in ("jogging", "running") else 0 for action in ACTIONS}
EACH: dict[str, int] = {action: 1 for action in ACTIONS}
APART: dict[str, int] = {action: 0 for action in ACTIONS}
RULES = [
    *(
        Rule(f"PredRNN, OpenSTL: {length - 10} predicted", length, SIXTEEN, NINE, FAST, FAST, merged=True)
        for length in (20, 30, 50)
    ),
    *(
        Rule(f"here, within sequences: {length - 10} predicted", length, FOURTEEN, NINE, EACH, APART)
        for length in (20, 30, 50)
    ),
]


def count_windows(boundaries: Boundaries, rule: Rule) -> tuple[int, int]:
    """Return the numbers of training and of test windows.

    Args:
        boundaries: first and last frame of each sequence, counted from 1, by the video's name.
        rule: of the loader.
    """
    totals = []
    for persons, steps in ((rule.train, rule.train_step), (rule.test, rule.test_step)):
        total = 0
        for name, sequences in boundaries.items():
            found = NAME.fullmatch(name)
            if found and name != KTH_MISSING and int(found[1]) in persons:
                step = steps[found[2]] or rule.frames
                runs = _runs(sequences) if rule.merged else sequences
                total += sum(len(range(first, last - rule.frames + 2, step)) for first, last in runs)
        totals.append(total)
    return totals[0], totals[1]


def _runs(sequences: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges of frames that sequences cover without a gap."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(sequences):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = runs[-1][0], max(last, runs[-1][1])
        else:
            runs.append((first, last))
    return runs


def main(path: Path) -> None:
    """Print a Markdown table of the counts.

    Raises:
        UserError: the list is missing or damaged.
    """
    boundaries = parse_boundaries(path)
    print("| Loader | Frames | Training | Test |\n|---|---:|---:|---:|")
    for rule in RULES:
        train, test = count_windows(boundaries, rule)
        print(f"| {rule.loader} | {rule.frames} | {train:,} | {test:,} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Error: name KTH's 00sequences.txt")
    try:
        main(Path(sys.argv[1]))
    except UserError as error:
        sys.exit(f"Error: {error}")
