# Names, settings and functions that the rules share.
import json
import shlex

from convttlstm.config import (
    cost_digest,
    evaluated_runs,
    grid_runs,
    is_selected,
    planned_run,
    published_runs,
    report_digest,
    rungs,
    settings_of_scale,
    with_model,
)
from convttlstm.deployment import is_clone, supply
from convttlstm.files import UserError
from convttlstm.records import restore
from convttlstm.reporting import find_reports
from convttlstm.reporting.report import predicted, recognized, searched
from convttlstm.results import Scale

if unknown := sorted(set(config) - {"scale", "model"}):
    sys.exit(f"Error: --config {unknown[0]}: unknown; use scale or model")
SCALE = config.get("scale", "demo")
if not isinstance(SCALE, str):  # Snakemake reads 007 as 7
    sys.exit(
        f"Error: --config scale={SCALE}: not read as text; rename the scale's file"
    )
CONFIG = f"config/{SCALE}.yaml"
RESULTS = f"results/{SCALE}"
LPIPS = "data/raw/lpips/alexnet.safetensors"

# Your own model, `--config model=path/to/file.py:Class`: one more row in every Table 2.
MODEL = str(config.get("model", ""))
MODEL_FLAG = f"--model {shlex.quote(MODEL)}" if MODEL else ""

try:
    # If the workflow is deployed to another folder, copy the files that its rules read.
    if workflow.is_main_process:
        supply(Path.cwd())
    SETTINGS = settings_of_scale(SCALE)
    SETTINGS = with_model(SETTINGS, MODEL) if MODEL else SETTINGS
except UserError as error:
    sys.exit(f"Error: {error}")

# The rule count_costs counts the models of these scales.
COUNTED = {"paper": settings_of_scale("paper"), SCALE: SETTINGS}

# Snakemake's records, which come with results that were made elsewhere.
MADE = [RESULTS, f"data/processed/{SCALE}", "data/raw"]
RECORDS = Path.cwd(), f"{RESULTS}/records.json", MADE
if workflow.is_main_process:
    restore(*RECORDS)

DATASETS = list(SETTINGS.experiments)
GENERATED = [name for name, found in SETTINGS.datasets.items() if found.generated]
LABELLED = [name for name, found in SETTINGS.datasets.items() if found.recognition]
# Files of labels in which clips must be listed.
LICENSED_LABELS = sorted(
    {
        labels
        for name in LABELLED
        if SETTINGS.datasets[name].raw_rule == "something"
        for labels in (
            SETTINGS.datasets[name].train_labels,
            SETTINGS.datasets[name].test_labels,
        )
    }
)
VIDEOS = [name for name in SETTINGS.datasets if name not in GENERATED + LABELLED]
# Data sets for recognition, and for prediction of frames.
RECOGNIZED, PREDICTED = recognized(SETTINGS), predicted(SETTINGS)
GROUPED = [name for name in DATASETS if SETTINGS.datasets[name].grouped]
SEARCHED = searched(SETTINGS)
# Each report becomes a rule.
REPORTS = find_reports()
RESULTS_OF_SCALE = Scale(SCALE, SETTINGS, Path(RESULTS))
GPUS = SETTINGS.compute.accelerator != "cpu"
# Processes that train one run. On one machine the first process starts the others; on Slurm, srun does.
DEVICES, NODES = SETTINGS.compute.devices, SETTINGS.compute.nodes
TRAINERS = DEVICES * NODES
SEVERAL, LAUNCH = {}, ""
if TRAINERS > 1:
    SEVERAL = {"mpi": "srun", "tasks": TRAINERS, "nodes": NODES, "tasks_per_gpu": 0}
    LAUNCH = (
        f"${{{{SLURM_JOB_ID:+srun --nodes={NODES} --ntasks-per-node={DEVICES}"
        " --cpus-per-task=$1 --kill-on-bad-exit}}"
    )

# A rule's conda environment does not include the package itself, so set PYTHONPATH. Signals to save and stop
# reach all processes of a job; the one that writes the log must ignore them. `launch` is no parameter of rules:
# another number of processes makes no run outdated.
shell.prefix(
    f"set -euo pipefail;{' export PYTHONPATH=lib;' if is_clone(Path.cwd()) else ''}"
    " write_log() {{ trap '' INT TERM USR1; exec tee \"$@\"; }};"
    ' append_log() {{ write_log --append "$@"; }};'
    f' launch() {{{{ exec {LAUNCH} "${{{{@:2}}}}"; }}}}; '
)


wildcard_constraints:
    dataset="|".join(SETTINGS.datasets),
    run="[A-Za-z0-9_-]+",


def per_attempt(amount):
    """Return a resource that grows with every attempt, since too little of it may have killed the job."""
    return lambda wildcards, attempt: attempt * amount


def resolved(wildcards):
    try:
        return planned_run(SETTINGS, SCALE, wildcards.dataset, wildcards.run)
    except UserError as error:
        sys.exit(f"Error: {error}")


def selection_for(wildcards):
    """Return the file that says which configuration won, for a selected run."""
    path = f"{RESULTS}/selection/{wildcards.dataset}.json"
    return path if is_selected(wildcards.run) else []


def selection_flag(wildcards, input):
    return f"--selection {input.selection}" if input.selection else ""


def model_flag(wildcards):
    return MODEL_FLAG if resolved(wildcards).model.name == MODEL else ""


def run_files(name, runs):
    def paths(wildcards):
        folder = f"{RESULTS}/runs/{wildcards.dataset}"
        return [f"{folder}/{run}/{name}" for run in runs(SETTINGS, wildcards.dataset)]

    return paths


def metrics_of(dataset):
    runs = evaluated_runs(SETTINGS, dataset)
    return [f"{RESULTS}/runs/{dataset}/{run}/metrics.json" for run in runs]


def published_weights(dataset):
    folder = f"{RESULTS}/models/{dataset}"
    runs = published_runs(SETTINGS, dataset)
    return [f"{folder}/{run}/model.safetensors" for run in runs]


def selections_of(datasets):
    return [f"{RESULTS}/selection/{dataset}.json" for dataset in datasets]


def histories_of(wildcards):
    """Return the histories that a full search of the grid compares; halving has other files."""
    if SETTINGS.experiments[wildcards.dataset].halving:
        return []
    return run_files("history.csv", grid_runs)(wildcards)


def tried_of(wildcards):
    """Return the results of all rounds of successive halving, or up to the round in the wildcards."""
    experiment = SETTINGS.experiments[wildcards.dataset]
    if not experiment.halving:
        return []
    roles = [wildcards.role] if "role" in wildcards.keys() else experiment.roles()
    last = int(wildcards.get("rung", 99))
    folder = f"{RESULTS}/search/{wildcards.dataset}"
    return [
        f"{folder}/{role}/rung{number}/{place}.json"
        for role in roles
        for number, rung in enumerate(rungs(SETTINGS, wildcards.dataset, role))
        for place in range(rung.places)
        if number <= last
    ]


def ranking_before(wildcards):
    number = int(wildcards.rung) - 1
    folder = f"{RESULTS}/search/{wildcards.dataset}/{wildcards.role}"
    return [] if number < 0 else f"{folder}/rung{number}.json"


def log_name(report):
    """Return the name of a report's log, with a wildcard if it is made for each data set."""
    return f"{report.name}_{{dataset}}" if report.each else report.name


def inputs_of(report):
    return lambda wildcards: [
        str(path)
        for path in report.inputs(RESULTS_OF_SCALE, wildcards.get("dataset", ""))
    ]


def outputs_of(report):
    """Return a report's files; Snakemake's own report shows the first of each table and figure."""
    first, *others = [
        f"{RESULTS}/{name}" for name in report.files(SETTINGS, "{dataset}")
    ]
    if not report.folder:
        return [first, *others]
    category = report.folder.capitalize()
    shown = workflow.globals["report"](
        first, caption="../report/caption.rst", category=category
    )
    return [shown, *others]


def any_of(names):
    return "|".join(names) or "(?!)"  # (?!) matches nothing


def raw_files(wildcards):
    dataset = SETTINGS.datasets[wildcards.dataset]
    made_by = dataset.raw_rule
    files = dataset.raw_files()
    return [*getattr(rules, made_by).output, *files] if made_by else files


def preparation_settings(wildcards):
    """Return the settings that a data set is made from, without paths of videos; see `videos_of`."""
    dataset = SETTINGS.datasets[wildcards.dataset]
    places = set() if dataset.raw_rule else set(dataset.places)
    return dataset.model_dump_json(exclude=places, exclude_defaults=True)


def videos_of(wildcards):
    """Return checksums of your own videos, wherever they are; KTH's are in archives.json instead."""
    if wildcards.dataset in GROUPED:
        return ""
    from convttlstm.data.inventory import inventory

    folder = f"data/processed/{SCALE}/{wildcards.dataset}"
    return inventory(
        SETTINGS.datasets[wildcards.dataset], Path(folder, "manifest.json")
    )


def threads_of(wildcards):
    decoding = SETTINGS.compute.workers if wildcards.dataset in LABELLED else 0
    return SETTINGS.compute.threads + decoding


def clips_of(wildcards):
    """Return the raw clips, which training decodes; the manifest holds their checksums."""
    return ancient(raw_files(wildcards) if wildcards.dataset in LABELLED else [])


def categories_of(wildcards):
    return SETTINGS.datasets[wildcards.dataset].categories


def arrays(*splits):
    """Return a function for a data set's arrays; ancient, since the manifest holds their checksums."""

    def paths(wildcards):
        made = splits if wildcards.dataset in GENERATED else []
        folder = f"data/processed/{SCALE}/{wildcards.dataset}"
        return ancient([f"{folder}/{split}.npy" for split in made])

    return paths


def weights_of(wildcards):
    folder = f"{RESULTS}/runs/{wildcards.dataset}/{wildcards.run}"
    return f"{folder}/best.safetensors" if resolved(wildcards).trained else []
