"""Error rates of intervals and verdicts under a known truth, and the table of them in the docs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibration import OUTPUT, SETTINGS, TRUTHS, coverage, coverage_of_shares, tables, verdicts

STATISTICS = Path(__file__).parents[2] / "docs/statistics.md"
REPETITIONS = 800
# A share of 0.95 of 800 falls below this once in 1,000 times.
LEAST = 0.925


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("setting", [s for s in SETTINGS if not s.skewed], ids=lambda setting: setting.name)
def test_intervals_cover_the_truth(setting, seeds: int) -> None:
    repetitions = REPETITIONS if setting.groups < 1_000 else 200
    found = coverage(setting, seeds, repetitions, np.random.default_rng(seeds))
    least = LEAST if repetitions == REPETITIONS else 0.90
    assert min(found.values()) >= least, found


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_shares_cover_the_truth(seeds: int) -> None:
    found = coverage_of_shares(0.2, 130, seeds, REPETITIONS, np.random.default_rng(seeds))
    assert min(found.values()) >= LEAST, found


@pytest.mark.slow
@pytest.mark.parametrize("comparisons", [1, 24])
def test_exact_ties_are_rarely_contradicted_or_reproduced(comparisons: int) -> None:
    found = verdicts(SETTINGS[0], 5, comparisons, TRUTHS[0], 300, np.random.default_rng(0))
    assert found.get("contradicted", 0) <= 0.06  # 0.025, and three standard errors of 300
    assert found.get("reproduced", 0) <= 0.06


@pytest.mark.slow
def test_leads_of_just_the_margin_are_rarely_called_no_difference() -> None:
    found = verdicts(SETTINGS[0], 5, 1, TRUTHS[2], 300, np.random.default_rng(0))
    assert found.get("no difference", 0) <= 0.06
    found = verdicts(SETTINGS[0], 5, 1, TRUTHS[1], 300, np.random.default_rng(0))
    assert found.get("no difference", 0) >= 0.5  # nor is it never found


def test_the_docs_show_the_simulated_rates() -> None:
    text = STATISTICS.read_text()
    for table in tables(pd.read_csv(OUTPUT)):
        assert table in text
