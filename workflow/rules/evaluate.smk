# runs -> metrics on the test split; and costs of each model


rule evaluate:
    input:
        weights=weights_of,
        selection=selection_for,
        manifest=f"data/processed/{SCALE}/{{dataset}}/manifest.json",
        arrays=arrays("train", "test"),
        lpips=ancient(LPIPS) if SETTINGS.evaluation.lpips else [],  # its checksum is fixed
    output:
        metrics=f"{RESULTS}/runs/{{dataset}}/{{run}}/metrics.json",
        per_frame=f"{RESULTS}/runs/{{dataset}}/{{run}}/per_frame.csv",
        per_sequence=f"{RESULTS}/runs/{{dataset}}/{{run}}/per_sequence.csv",
        on_training=f"{RESULTS}/runs/{{dataset}}/{{run}}/training_sequences.csv",
        examples=f"{RESULTS}/runs/{{dataset}}/{{run}}/examples.npz",
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{dataset}}/{{run}}.tsv"
    wildcard_constraints:
        dataset=any_of(PREDICTED),
    conda:
        "../envs/convttlstm.yml"
    threads: SETTINGS.compute.threads
    resources:
        mem_mb=per_attempt(8000 if GPUS else 2000),
        runtime=per_attempt(240),
        gpu=int(GPUS),
    params:
        config=CONFIG,
        model=model_flag,
        selection=selection_flag,
        data=subpath(input.manifest, parent=True),
        folder=subpath(output.metrics, parent=True),
        lpips=lambda wildcards, input: f"--lpips {input.lpips}" if input.lpips else "",
        settings=lambda wildcards: resolved(wildcards).evaluation.model_dump_json(
            exclude_defaults=True
        ),
        dataset=lambda wildcards: json.dumps(resolved(wildcards).dataset.stated()),
    message:
        "Evaluating {wildcards.run} on the test split of {wildcards.dataset}"
    shell:
        "python -m convttlstm evaluate"
        " --config {params.config}"
        " {params.model}"
        " {params.selection}"
        " --dataset {wildcards.dataset}"
        " --data {params.data}"
        " {params.lpips}"
        " --output {params.folder}"
        " {wildcards.run}"
        " 2>&1 | write_log {log}"


rule evaluate_recognizer:
    input:
        weights=weights_of,
        selection=selection_for,
        manifest=f"data/processed/{SCALE}/{{dataset}}/manifest.json",
        clips=clips_of,
    output:
        metrics=f"{RESULTS}/runs/{{dataset}}/{{run}}/metrics.json",
        predictions=f"{RESULTS}/runs/{{dataset}}/{{run}}/predictions.csv",
        examples=f"{RESULTS}/runs/{{dataset}}/{{run}}/examples.npz",
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{dataset}}/{{run}}.tsv"
    wildcard_constraints:
        dataset=any_of(RECOGNIZED),
    conda:
        "../envs/convttlstm.yml"
    threads: threads_of
    resources:
        mem_mb=per_attempt(8000 if GPUS else 2000),
        runtime=per_attempt(240),
        gpu=int(GPUS),
    params:
        config=CONFIG,
        selection=selection_flag,
        data=subpath(input.manifest, parent=True),
        folder=subpath(output.metrics, parent=True),
        settings=lambda wildcards: resolved(wildcards).evaluation.model_dump_json(
            exclude_defaults=True
        ),
    message:
        "Evaluating {wildcards.run} on the test clips of {wildcards.dataset}"
    shell:
        "python -m convttlstm evaluate"
        " --config {params.config}"
        " {params.selection}"
        " --dataset {wildcards.dataset}"
        " --data {params.data}"
        " --output {params.folder}"
        " {wildcards.run}"
        " 2>&1 | write_log {log}"


rule publish:
    input:
        weights=f"{RESULTS}/runs/{{dataset}}/{{run}}/best.safetensors",
        provenance=f"{RESULTS}/runs/{{dataset}}/{{run}}/provenance.json",
        metrics=f"{RESULTS}/runs/{{dataset}}/{{run}}/metrics.json",
    output:
        multiext(
            f"{RESULTS}/models/{{dataset}}/{{run}}/",
            *("model.safetensors", "model.json", "README.md"),
            *("config.json", "provenance.json"),
        ),
    log:
        f"{RESULTS}/logs/publish/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/publish/{{dataset}}/{{run}}.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
        gpu=0,
    params:
        run=subpath(input.weights, parent=True),
        folder=subpath(output[0], parent=True),
    message:
        "Exporting the weights of {wildcards.run} on {wildcards.dataset}"
    shell:
        "python -m convttlstm export-weights"
        " --output {params.folder}"
        " {params.run}"
        " 2>&1 | write_log {log}"


rule count_costs:
    output:
        systems=f"{RESULTS}/complexity.csv",
        orders=f"{RESULTS}/orders.csv",
    log:
        f"{RESULTS}/logs/count_costs.log",
    benchmark:
        f"{RESULTS}/benchmarks/count_costs.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
        gpu=0,
    params:
        configs=[f"config/{scale}.yaml" for scale in COUNTED],
        model=MODEL_FLAG,
        models=cost_digest(COUNTED),
    message:
        "Counting parameters and multiplications at the paper's and this scale's sizes"
    shell:
        "python -m convttlstm complexity"
        " --config {params.configs}"
        " {params.model}"
        " --output {output.systems}"
        " --orders {output.orders}"
        " 2>&1 | write_log {log}"
