# data/processed -> runs
#
# The checkpoint is not an output: Snakemake deletes outputs when a job fails, but a failed run must be able to
# resume. It deletes logs when a job starts again: the run's folder keeps a log of all attempts.


rule train:
    input:
        manifest=f"data/processed/{SCALE}/{{dataset}}/manifest.json",
        arrays=arrays("train", "validation"),
        clips=clips_of,
        selection=selection_for,
    output:
        f"{RESULTS}/runs/{{dataset}}/{{run}}/best.safetensors",
        f"{RESULTS}/runs/{{dataset}}/{{run}}/history.csv",
        f"{RESULTS}/runs/{{dataset}}/{{run}}/provenance.json",
    log:
        f"{RESULTS}/logs/train/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{dataset}}/{{run}}.tsv"
    # The longest jobs first, so that none is left alone at the end.
    priority: lambda wildcards: resolved(wildcards).training.samples
    conda:
        "../envs/convttlstm.yml"
    threads: threads_of
    resources:
        **SEVERAL,
        mem_mb=per_attempt(DEVICES * (8000 if GPUS else 1500)),  # on each node
        # Minutes. Jobs resume after the time limit; keep it below the partition's.
        runtime=2880,
        gpu=TRAINERS if GPUS else 0,
    params:
        config=CONFIG,
        model=model_flag,
        selection=selection_flag,
        data=subpath(input.manifest, parent=True),
        folder=subpath(output[0], parent=True),
        # The settings that decide the weights: only a change of these trains again. More epochs resume from
        # the checkpoint.
        identity=lambda wildcards: resolved(wildcards).identity(),
        epochs=lambda wildcards: resolved(wildcards).training.epochs,
    message:
        "Training {wildcards.run} on {wildcards.dataset} (from its checkpoint, if there is one)"
    shell:
        "launch {threads} python -m convttlstm train"
        " --config {params.config}"
        " {params.model}"
        " {params.selection}"
        " --dataset {wildcards.dataset}"
        " --data {params.data}"
        " --output {params.folder}"
        " {wildcards.run}"
        " 2>&1 | append_log {log} {params.folder}/train.log"
