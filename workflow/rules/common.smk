# Names and settings that all rules share.
from convttlstm.config import grid_runs, resolve_run, settings_of_scale, table_runs
from convttlstm.files import UserError

SCALE = config.get("scale", "demo")
CONFIG = f"config/{SCALE}.yaml"
RESULTS = f"results/{SCALE}"
LPIPS = "data/raw/lpips/alexnet.safetensors"

try:
    SETTINGS = settings_of_scale(SCALE)
except UserError as error:
    sys.exit(f"Error: {error}")

DATASETS = list(SETTINGS.experiments)
GPUS = 0 if SETTINGS.compute.accelerator == "cpu" else SETTINGS.compute.devices

# PYTHONPATH also serves a rule's conda environment, where the package itself is not installed. Signals
# that ask a job to save and stop reach all its processes; what writes its log must outlive the job.
shell.prefix(
    "set -euo pipefail; export PYTHONPATH=lib;"
    " write_log() {{ trap '' INT TERM USR1; exec tee \"$1\"; }}; "
)


wildcard_constraints:
    dataset="|".join(SETTINGS.datasets),
    run="[A-Za-z0-9_-]+",


def resolved(wildcards):
    return resolve_run(SETTINGS, SCALE, wildcards.dataset, wildcards.run)


def run_files(name, runs):
    def paths(wildcards):
        folder = f"{RESULTS}/runs/{wildcards.dataset}"
        return [f"{folder}/{run}/{name}" for run in runs(SETTINGS, wildcards.dataset)]

    return paths


def metrics_of(dataset):
    runs = table_runs(SETTINGS, dataset)
    return [f"{RESULTS}/runs/{dataset}/{run}/metrics.json" for run in runs]


def selection_of(dataset):
    searched = grid_runs(SETTINGS, dataset)
    return [f"{RESULTS}/selection/{dataset}.json"] if searched else []


def raw_files(dataset):
    return rules.mnist.output if dataset.digits == "mnist" else []


def weights_of(wildcards):
    folder = f"{RESULTS}/runs/{wildcards.dataset}/{wildcards.run}"
    return f"{folder}/best.safetensors" if resolved(wildcards).trained else []
