# runs -> selection/<dataset>.json, by validation loss only


rule select:
    input:
        histories=histories_of,
        tried=tried_of,
    output:
        f"{RESULTS}/selection/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/select/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/select/{{dataset}}.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1500),
        runtime=per_attempt(30),
        gpu=0,
    params:
        config=CONFIG,
        runs=f"{RESULTS}/runs/{{dataset}}",
        points=lambda wildcards: grid_runs(SETTINGS, wildcards.dataset),
    message:
        "Choosing the best configuration for {wildcards.dataset} by validation loss"
    shell:
        "python -m convttlstm select"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --runs {params.runs}"
        " --tried {input.tried}"
        " --output {output}"
        " 2>&1 | write_log {log}"


# Successive halving, if a scale sets it. The runs of a round are known only after the round before is ranked,
# so the jobs are numbered by place.
rule try_place:
    input:
        manifest=f"data/processed/{SCALE}/{{dataset}}/manifest.json",
        arrays=arrays("train", "validation"),
        clips=clips_of,
        ranking=ranking_before,
    output:
        f"{RESULTS}/search/{{dataset}}/{{role}}/rung{{rung}}/{{place}}.json",
    log:
        f"{RESULTS}/logs/try/{{dataset}}/{{role}}/rung{{rung}}/{{place}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/try/{{dataset}}/{{role}}/rung{{rung}}/{{place}}.tsv"
    conda:
        "../envs/convttlstm.yml"
    threads: threads_of
    resources:
        **SEVERAL,
        mem_mb=per_attempt(DEVICES * (8000 if GPUS else 1500)),  # on each node
        runtime=2880,
        gpu=TRAINERS if GPUS else 0,
    params:
        config=CONFIG,
        data=subpath(input.manifest, parent=True),
        runs=f"{RESULTS}/runs/{{dataset}}",
        ranking=lambda wildcards, input: (
            f"--ranking {input.ranking}" if input.ranking else ""
        ),
        identities=lambda wildcards: [
            planned_run(SETTINGS, SCALE, wildcards.dataset, run).identity()
            for run in grid_runs(SETTINGS, wildcards.dataset, wildcards.role)
        ],
        rounds=lambda wildcards: str(rungs(SETTINGS, wildcards.dataset, wildcards.role)),
    message:
        "Training for round {wildcards.rung}, place {wildcards.place}: {wildcards.role} on {wildcards.dataset}"
    shell:
        "launch {threads} python -m convttlstm try"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --data {params.data}"
        " --runs {params.runs}"
        " --role {wildcards.role}"
        " --rung {wildcards.rung}"
        " --place {wildcards.place}"
        " {params.ranking}"
        " --output {output}"
        " 2>&1 | write_log {log}"


rule rank:
    input:
        tried=tried_of,
    output:
        f"{RESULTS}/search/{{dataset}}/{{role}}/rung{{rung}}.json",
    log:
        f"{RESULTS}/logs/rank/{{dataset}}/{{role}}/rung{{rung}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rank/{{dataset}}/{{role}}/rung{{rung}}.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1500),
        runtime=per_attempt(30),
        gpu=0,
    params:
        config=CONFIG,
        runs=f"{RESULTS}/runs/{{dataset}}",
    message:
        "Ranking round {wildcards.rung} of the search for {wildcards.role} on {wildcards.dataset}"
    shell:
        "python -m convttlstm select"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --runs {params.runs}"
        " --tried {input.tried}"
        " --output {output}"
        " 2>&1 | write_log {log}"
