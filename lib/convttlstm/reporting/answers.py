"""Answers to the questions that open the page and the article, from the verdicts."""

import pandas as pd

from convttlstm.reporting.tables.claims import ASKED, counted_and_timed, opening


def answers(claims: pd.DataFrame, label: str) -> dict[str, str]:
    """Return a few sentences on each question.

    Args:
        claims: claims.csv, read as text.
        label: of the scale; see `source_label`.
    """
    papers = int((claims["topic"] != ASKED).sum())
    against = int((claims["paper_holds"] == "no").sum())
    claimed = (
        "Conv-TT-LSTM predicts video frames, and recognizes activities early, better than other models and "
        f"with fewer parameters: {papers} claims in all. The paper's own numbers contradict {against} of "
        "them."
    )
    return {
        "What is claimed": claimed,
        "What held here": f"{opening(claims, label)} {counted_and_timed(claims)}",
        "How sure": _how_sure(claims),
        "What was not tested": _untested(claims),
    }


def _how_sure(claims: pd.DataFrame) -> str:
    tested = claims[claims["group"].isin(["training", "asked"])]
    counts = "Counts are exact. Times were measured on the devices named, not on the authors' GPUs."
    if tested.empty:
        return f"{counts} Nothing is said about quality, as no claim about it was tested."
    seeds = sorted({int(cell) for cell in tested["seeds"] if cell})
    sequences = sorted({int(cell) for cells in tested["sequences"] for cell in cells.split()})
    return (
        f"Each model was trained with {in_words(seeds, 'seed')} and evaluated on "
        f"{in_words(sequences, 'test sequence')}; a claim is reproduced only if all its 95 % intervals "
        f"are wholly on its side. {counts}"
    )


def _untested(claims: pd.DataFrame) -> str:
    lacking = claims[(claims["group"] == "lacking") & (claims["topic"] != ASKED)]
    undecidable = int((claims["group"] == "undecidable").sum())
    topics = lacking.groupby("topic", sort=False).size()
    if lacking.empty:
        return f"Only {undecidable} claims, which no program can decide."
    of = ", ".join(f"{count} on {_TOPICS.get(topic, topic)}" for topic, count in topics.items())
    said = f"{in_words([len(lacking)], 'claim')} ({of}), as this scale is too small or lacks the runs, "
    said += f"or this project lacks the model, and {undecidable} that no program can decide."
    needs = lacking.loc[lacking["topic"] == "overall", "needs"]
    return said + (f" To test the broadest takes {needs.iloc[0]}." if len(needs) and needs.iloc[0] else "")


_TOPICS = {"overall": "several data sets", "training time": "time"}


def in_words(counts: list[int], thing: str) -> str:
    """Return the least and the greatest of ascending counts in words, such as "3 to 5 seeds"."""
    if not counts:
        return f"no {thing}s"
    ends = f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"
    return f"{ends} {thing}" + ("" if counts[-1] == 1 else "s")
