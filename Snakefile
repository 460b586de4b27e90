# The whole reproduction. `snakemake` runs the demo on this machine, `snakemake --profile slurm all`
# the paper on a cluster; `--config scale=NAME` chooses another file of config/.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/select.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    mnist,
    lpips_weights,


# Every run's metrics.json stands here by name: results/ is in git and runs are not, and a missing
# intermediate file alone would not make Snakemake train.
rule all:
    default_target: True
    input:
        f"{RESULTS}/index.html",
        [metrics_of(dataset) for dataset in DATASETS],
        [selection_of(dataset) for dataset in DATASETS],
