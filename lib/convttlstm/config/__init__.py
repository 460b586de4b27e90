"""The one definition of every setting: its type, range, default and meaning.

`config/paper.yaml` holds the paper's catalogue. Every other file in that folder is an overlay: what
it names replaces the paper's value, everything else stays. The scale is the file's name.
"""

from convttlstm.config.catalogue import (
    Settings,
    json_schema,
    load_settings,
    settings_of_scale,
    with_model,
)
from convttlstm.config.counted import counted_models
from convttlstm.config.dataset import DatasetSettings, Split
from convttlstm.config.datasets import Dataset
from convttlstm.config.digests import cost_digest, digests, report_digest
from convttlstm.config.experiment import Halving
from convttlstm.config.moving_mnist import MovingMnist
from convttlstm.config.run_id import RunId, is_selected
from convttlstm.config.runs import (
    Run,
    Rung,
    ablation_runs,
    as_named_now,
    evaluated_runs,
    first_runs,
    grid_runs,
    planned_run,
    published_runs,
    read_run,
    read_winners,
    resolve_run,
    run_id,
    rungs,
    selected_runs,
    shown_runs,
    table_runs,
    trained_runs,
    write_run,
)
from convttlstm.config.something import Something
from convttlstm.config.training import (
    Compute,
    Evaluation,
    LearningRateDecay,
    ScheduledSampling,
    Training,
)
from convttlstm.config.videos import Kth, VideoDataset, Videos

__all__ = [
    "Compute",
    "Dataset",
    "DatasetSettings",
    "Evaluation",
    "Halving",
    "Kth",
    "LearningRateDecay",
    "MovingMnist",
    "Run",
    "RunId",
    "Rung",
    "ScheduledSampling",
    "Settings",
    "Something",
    "Split",
    "Training",
    "VideoDataset",
    "Videos",
    "ablation_runs",
    "as_named_now",
    "cost_digest",
    "counted_models",
    "digests",
    "evaluated_runs",
    "first_runs",
    "grid_runs",
    "is_selected",
    "json_schema",
    "load_settings",
    "planned_run",
    "published_runs",
    "read_run",
    "read_winners",
    "report_digest",
    "resolve_run",
    "run_id",
    "rungs",
    "selected_runs",
    "settings_of_scale",
    "shown_runs",
    "table_runs",
    "trained_runs",
    "with_model",
    "write_run",
]
