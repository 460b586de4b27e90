# The whole reproduction. `snakemake` runs the demo on this machine, `snakemake --profile slurm all`
# the paper on a cluster; `--config scale=NAME` chooses another file of config/.
from snakemake.utils import min_version

from convttlstm.records import keep
from convttlstm.slurm import cancel_orphans

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/select.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


# What needs the network, which a cluster's nodes may not have.
localrules:
    all,
    mnist,
    kth,
    lpips_weights,


# Of a Snakemake that was killed: two jobs would wait for each other at one run's folder.
onstart:
    cancel_orphans(Path.cwd())


onsuccess:
    keep(Path.cwd(), SCALE)


onerror:
    keep(Path.cwd(), SCALE)


# The stages of dvc.yaml, and the last of them is `all`.
rule prepared:
    input:
        [f"data/processed/{SCALE}/{dataset}/manifest.json" for dataset in DATASETS],


rule trained:
    input:
        f"{RESULTS}/weights.json",
        selections_of(SEARCHED),


rule evaluated:
    input:
        rules.count_costs.output,
        [metrics_of(dataset) for dataset in DATASETS],
        rules.summary.output,
        [weights for dataset in DATASETS for weights in published_weights(dataset)],


# Tables and pictures are in git and what they are made from is not, and a missing intermediate file
# alone would not make Snakemake train or count: so all of these stand here by name.
rule all:
    default_target: True
    input:
        f"{RESULTS}/index.html",
        rules.trained.input,
        rules.evaluated.input,
