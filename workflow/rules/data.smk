# data/raw -> data/processed


rule mnist:
    output:
        "data/raw/mnist/train-images-idx3-ubyte.gz",
        "data/raw/mnist/train-labels-idx1-ubyte.gz",
        "data/raw/mnist/t10k-images-idx3-ubyte.gz",
        "data/raw/mnist/t10k-labels-idx1-ubyte.gz",
    log:
        "data/raw/mnist/download.log",
    benchmark:
        f"{RESULTS}/benchmarks/mnist.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=60,
        gpu=0,
    params:
        folder=subpath(output[0], parent=True),
    message:
        "Downloading MNIST's files, whose digits the sequences are made of"
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
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    message:
        "Fetching AlexNet's weights, which LPIPS compares frames with"
    shell:
        "python -m convttlstm fetch lpips"
        " --output {output}"
        " 2>&1 | write_log {log}"


rule prepare:
    input:
        raw=lambda wildcards: raw_files(SETTINGS.datasets[wildcards.dataset]),
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
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        config=CONFIG,
        folder=subpath(output[0], parent=True),
        settings=lambda wildcards: SETTINGS.datasets[
            wildcards.dataset
        ].model_dump_json(),
    message:
        "Making the sequences of {wildcards.dataset} that every system is trained and judged on"
    shell:
        "python -m convttlstm prepare"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --output {params.folder}"
        " 2>&1 | write_log {log}"
