# runs -> selection.json, by validation figures only


rule select:
    input:
        run_files("history.csv", grid_runs),
    output:
        f"{RESULTS}/selection/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/select/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/select/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        folders=lambda wildcards, input: [Path(path).parent for path in input],
    message:
        "Choosing the configuration for {wildcards.dataset} by validation loss"
    shell:
        "python -m convttlstm select"
        " --dataset {wildcards.dataset}"
        " --output {output}"
        " --runs {params.folders}"
        " 2>&1 | write_log {log}"
