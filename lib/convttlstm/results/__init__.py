"""What finished runs left in their folders, read and checked once."""

from convttlstm.results.files import check_columns, read_checked, read_csv, read_table
from convttlstm.results.predictions import (
    GROUP,
    EvaluatedBy,
    Interval,
    Metrics,
    Provenance,
    Result,
    across_seeds,
    load_result,
    seed_by_seed,
    source_label,
)
from convttlstm.results.recognitions import Recognition, RecognitionMetrics, load_recognition
from convttlstm.results.scale import Scale
from convttlstm.results.search import Candidate, Selection, Winner, read_selection

__all__ = [
    "GROUP",
    "Candidate",
    "EvaluatedBy",
    "Interval",
    "Metrics",
    "Provenance",
    "Recognition",
    "RecognitionMetrics",
    "Result",
    "Scale",
    "Selection",
    "Winner",
    "across_seeds",
    "check_columns",
    "load_recognition",
    "load_result",
    "read_checked",
    "read_csv",
    "read_selection",
    "read_table",
    "seed_by_seed",
    "source_label",
]
