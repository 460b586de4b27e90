"""Results of finished runs, read from their folders and checked once."""

from convttlstm.results.files import read_checked, read_csv, read_table
from convttlstm.results.predictions import (
    GROUP,
    Interval,
    Metrics,
    Result,
    across_seeds,
    load_result,
    seed_by_seed,
    source_label,
)
from convttlstm.results.recognitions import Recognition, RecognitionMetrics, load_recognition
from convttlstm.results.scale import Scale
from convttlstm.results.search import Selection, read_selection

__all__ = [
    "GROUP",
    "Interval",
    "Metrics",
    "Recognition",
    "RecognitionMetrics",
    "Result",
    "Scale",
    "Selection",
    "across_seeds",
    "load_recognition",
    "load_result",
    "read_checked",
    "read_csv",
    "read_selection",
    "read_table",
    "seed_by_seed",
    "source_label",
]
