# data/raw -> data/processed


rule mnist:
    output:
        "data/raw/mnist/train-images-idx3-ubyte.gz",
    log:
        "data/raw/mnist/download.log",
    benchmark:
        f"{RESULTS}/benchmarks/mnist.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(60),
        gpu=0,
    params:
        folder=subpath(output[0], parent=True),
    message:
        "Downloading MNIST, whose digits the sequences show"
    shell:
        "python -m convttlstm fetch mnist"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


rule lpips_weights:
    output:
        LPIPS,
    log:
        "data/raw/lpips/download.log",
    benchmark:
        f"{RESULTS}/benchmarks/lpips_weights.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(60),
        gpu=0,
    message:
        "Fetching AlexNet's weights for LPIPS"
    shell:
        "python -m convttlstm fetch lpips"
        " --output {output}"
        " 2>&1 | write_log {log}"


# The archives themselves are not outputs: Snakemake would delete archives that a user put there.
rule kth:
    output:
        "data/raw/kth/archives.json",
    log:
        "data/raw/kth/download.log",
    benchmark:
        f"{RESULTS}/benchmarks/kth.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(240),
        gpu=0,
    params:
        folder=subpath(output[0], parent=True),
    message:
        "Fetching KTH's archives, unless they are there"
    shell:
        "python -m convttlstm fetch kth"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


rule synthetic_kth:
    output:
        f"data/raw/synthetic/{SCALE}/{{dataset}}/00sequences.txt",
    log:
        f"{RESULTS}/logs/synthetic_kth/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/synthetic_kth/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=any_of(GROUPED),
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(60),
        gpu=0,
    params:
        config=CONFIG,
        folder=subpath(output[0], parent=True),
        settings=preparation_settings,
    message:
        "Drawing and encoding synthetic videos in place of KTH"
    shell:
        "python -m convttlstm synthesize"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


# Clips and labels need a license: users put them there, so they are not an output.
rule something:
    output:
        "data/raw/something/clips.json",
    log:
        "data/raw/something/check.log",
    benchmark:
        f"{RESULTS}/benchmarks/something.tsv"
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(240),
        gpu=0,
    params:
        folder=subpath(output[0], parent=True),
        labels=LICENSED_LABELS,
    message:
        "Checking Something-Something V2's clips and labels, extracting what is missing"
    shell:
        "python -m convttlstm fetch something"
        " --labels {params.labels:q}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


rule synthetic_something:
    input:
        categories_of,
    output:
        f"data/raw/synthetic/{SCALE}/{{dataset}}/clips.json",
    log:
        f"{RESULTS}/logs/synthetic_something/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/synthetic_something/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=any_of(LABELLED),
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(60),
        gpu=0,
    params:
        config=CONFIG,
        folder=subpath(output[0], parent=True),
        settings=preparation_settings,
    message:
        "Drawing and encoding synthetic clips in place of Something-Something V2"
    shell:
        "python -m convttlstm synthesize"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


# Training decodes clips each time: all decoded frames would take hundreds of gigabytes.
rule index_clips:
    input:
        raw_files,
        categories_of,
    output:
        f"data/processed/{SCALE}/{{dataset}}/manifest.json",
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=any_of(LABELLED),
    conda:
        "../envs/convttlstm.yml"
    threads: 8
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(240),
        gpu=0,
    params:
        config=CONFIG,
        folder=subpath(output[0], parent=True),
        raw=subpath(input[0], parent=True),
        settings=preparation_settings,
    message:
        "Decoding the clips of {wildcards.dataset} once, and listing those that can be decoded"
    shell:
        "python -m convttlstm prepare"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --raw {params.raw}"
        " --processes {threads}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


rule prepare:
    input:
        raw_files,
    output:
        expand(
            "data/processed/{scale}/{{dataset}}/{name}",
            scale=SCALE,
            name=["manifest.json", "train.npy", "validation.npy", "test.npy"],
        ),
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=any_of(GENERATED),
    conda:
        "../envs/convttlstm.yml"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(60),
        gpu=0,
    params:
        config=CONFIG,
        folder=subpath(output[0], parent=True),
        settings=preparation_settings,
    message:
        "Generating the sequences of {wildcards.dataset} for training and evaluation"
    shell:
        "python -m convttlstm prepare"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"


# The videos' arrays are not outputs, so that a job that was killed keeps those that it has finished.
rule prepare_videos:
    input:
        raw_files,
    output:
        f"data/processed/{SCALE}/{{dataset}}/manifest.json",
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=any_of(VIDEOS),
    conda:
        "../envs/convttlstm.yml"
    threads: 8
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(240),
        gpu=0,
    params:
        config=CONFIG,
        folder=subpath(output[0], parent=True),
        raw=lambda wildcards, input: (
            f"--raw {Path(input[0]).parent}" if wildcards.dataset in GROUPED else ""
        ),
        settings=preparation_settings,
        videos=videos_of,
    message:
        "Decoding the videos of {wildcards.dataset}"
    shell:
        "python -m convttlstm prepare"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " {params.raw}"
        " --processes {threads}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"
