"""Numbers of KTH's windows, against a walk over the single frames."""

import subprocess
import sys
from pathlib import Path

import pytest

from convttlstm.data.kth_windows import RULES, Rule, count_windows

LIST = """\
person01_boxing_d1\t\tframes\t1-45, 46-100, 130-150
person02_running_d1\t\tframes\t5-40, 60-61
person16_walking_d4\t\tframes\t1-19, 25-64
person17_jogging_d2\t\tframes\t1-33
person25_handwaving_d3\t\tframes\t10-29, 31-90
person13_handclapping_d3\t\tframes\t1-100
"""
BOUNDARIES = {
    "person01_boxing_d1": ((1, 45), (46, 100), (130, 150)),
    "person02_running_d1": ((5, 40), (60, 61)),
    "person16_walking_d4": ((1, 19), (25, 64)),
    "person17_jogging_d2": ((1, 33),),
    "person25_handwaving_d3": ((10, 29), (31, 90)),
    "person13_handclapping_d3": ((1, 100),),  # the video that is missing
}


def walked(rule: Rule, persons: range, steps: dict[str, int]) -> int:
    """Walk over frames from the last to the first; the result depends on their numbers alone."""
    found = 0
    for name, sequences in BOUNDARIES.items():
        person, action = int(name[6:8]), name.split("_")[1]
        if person not in persons or name.startswith("person13"):
            continue
        parts = [[t for first, last in sequences for t in range(first, last + 1)]]
        if not rule.merged:
            parts = [list(range(first, last + 1)) for first, last in sequences]
        for frames in parts:
            at = len(frames) - 1
            while at >= rule.frames - 1:
                if frames[at] - frames[at - rule.frames + 1] == rule.frames - 1:
                    found += 1
                    at -= (steps[action] or rule.frames) - 1
                at -= 1
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.loader)
def test_counts_are_those_of_a_walk_over_the_frames(rule: Rule) -> None:
    expected = walked(rule, rule.train, {**rule.train_step}), walked(rule, rule.test, {**rule.test_step})
    assert count_windows(BOUNDARIES, rule) == expected


def test_windows_cross_sequences_only_where_the_loader_lets_them() -> None:
    # 1-45 and 46-100 hold five windows of 20 as one run, and two each apart; 130-150 holds one.
    boundaries = {"person01_boxing_d1": BOUNDARIES["person01_boxing_d1"]}
    merged = next(rule for rule in RULES if rule.merged and rule.frames == 20)
    assert count_windows(boundaries, merged) == (5 + 1, 0)
    here = next(rule for rule in RULES if not rule.merged and rule.frames == 20)
    assert count_windows(boundaries, here) == (26 + 36 + 2, 0)


def test_the_table_is_printed_from_the_list(tmp_path: Path) -> None:
    path = tmp_path / "00sequences.txt"
    path.write_text(LIST)
    done = subprocess.run(
        [sys.executable, "-m", "convttlstm.data.kth_windows", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    train, test = count_windows(BOUNDARIES, RULES[0])
    assert f"| {RULES[0].loader} | 20 | {train:,} | {test:,} |" in done.stdout
    missing = [sys.executable, "-m", "convttlstm.data.kth_windows", str(tmp_path / "none")]
    failed = subprocess.run(missing, capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.startswith("Error: ") and failed.stderr.count("\n") == 1
