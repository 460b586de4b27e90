# metrics -> tables, figures and the page
#
# Each table and picture is made by one subcommand from the files of the runs that it shows.


rule table2:
    input:
        run_files("metrics.json", shown_runs),
        "data/paper/table2.csv",
    output:
        report(
            f"{RESULTS}/tables/table2_{{dataset}}.csv",
            caption="../report/table2.rst",
            category="Tables",
        ),
        f"{RESULTS}/tables/table2_{{dataset}}.md",
        f"{RESULTS}/tables/table2_{{dataset}}.tex",
    log:
        f"{RESULTS}/logs/table2/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table2/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".csv"),
        runs=lambda wildcards: shown_runs(SETTINGS, wildcards.dataset),
    message:
        "Setting Table 2's rows for {wildcards.dataset} beside the reproduced ones"
    shell:
        "python -m convttlstm report table2"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.stem}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule table4:
    input:
        run_files("metrics.json", ablation_runs),
        "data/paper/table4.csv",
    output:
        report(
            f"{RESULTS}/tables/table4_{{dataset}}.csv",
            caption="../report/table4.rst",
            category="Tables",
        ),
        f"{RESULTS}/tables/table4_{{dataset}}.md",
        f"{RESULTS}/tables/table4_{{dataset}}.tex",
    log:
        f"{RESULTS}/logs/table4/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table4/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".csv"),
        runs=lambda wildcards: ablation_runs(SETTINGS, wildcards.dataset),
        rows=lambda wildcards: [
            row.model_dump_json()
            for row in SETTINGS.experiments[wildcards.dataset].ablations
        ],
    message:
        "Setting Table 4's ablations on {wildcards.dataset} beside the reproduced ones"
    shell:
        "python -m convttlstm report table4"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.stem}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule grid:
    input:
        f"{RESULTS}/selection/{{dataset}}.json",
    output:
        report(
            f"{RESULTS}/tables/grid_{{dataset}}.csv",
            caption="../report/grid.rst",
            category="Tables",
        ),
        multiext(f"{RESULTS}/tables/grid_{{dataset}}", ".md", ".tex"),
        multiext(f"{RESULTS}/figures/grid_{{dataset}}", ".svg", ".pdf"),
    log:
        f"{RESULTS}/logs/grid/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grid/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        results=subpath(output[0], ancestor=2),
    message:
        "Showing all configurations tried on {wildcards.dataset}"
    shell:
        "python -m convttlstm report grid"
        " --config {params.config}"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.results}"
        " 2>&1 | write_log {log}"


rule recognition_table:
    input:
        RECOGNITIONS,
        "data/paper/table{number}.csv",
    output:
        report(
            f"{RESULTS}/tables/table{{number}}.csv",
            caption="../report/recognition_table.rst",
            category="Tables",
        ),
        multiext(f"{RESULTS}/tables/table{{number}}", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/table{{number}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table{{number}}.tsv"
    wildcard_constraints:
        number="1|3",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".csv"),
    message:
        "Setting Table {wildcards.number}'s rows beside the reproduced ones"
    shell:
        "python -m convttlstm report table{wildcards.number}"
        " --config {params.config}"
        " --results {params.results}"
        " --output {params.stem}"
        " 2>&1 | write_log {log}"


rule recognition_figure:
    input:
        RECOGNITIONS,
        f"{RESULTS}/tables/table1.csv",
    output:
        report(
            f"{RESULTS}/figures/{{picture}}.svg",
            caption="../report/recognition_figure.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/{{picture}}.pdf",
    log:
        f"{RESULTS}/logs/figure/{{picture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{picture}}.tsv"
    wildcard_constraints:
        picture="figure4|activities|confusion",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".svg"),
    message:
        "Drawing {wildcards.picture} of early activity recognition"
    shell:
        "python -m convttlstm report {wildcards.picture}"
        " --config {params.config}"
        " --results {params.results}"
        " --output {params.stem}"
        " 2>&1 | write_log {log}"


rule figure:
    input:
        run_files("metrics.json", table_runs),
        "data/paper/table2.csv",
    output:
        report(
            f"{RESULTS}/figures/{{figure}}_{{dataset}}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/{{figure}}_{{dataset}}.pdf",
    log:
        f"{RESULTS}/logs/figure/{{figure}}_{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{figure}}_{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".svg"),
        runs=lambda wildcards: table_runs(SETTINGS, wildcards.dataset),
    message:
        "Drawing {wildcards.figure} of {wildcards.dataset}"
    shell:
        "python -m convttlstm report {wildcards.figure}"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.stem}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule seeds:
    input:
        run_files("metrics.json", evaluated_runs),
        "data/paper/table2.csv",
        "data/paper/table4.csv",
    output:
        report(
            f"{RESULTS}/figures/seeds_{{dataset}}.svg",
            caption="../report/seeds.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/seeds_{{dataset}}.pdf",
    log:
        f"{RESULTS}/logs/seeds/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/seeds/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        model=MODEL_FLAG,
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".svg"),
        runs=lambda wildcards: evaluated_runs(SETTINGS, wildcards.dataset),
        rows=lambda wildcards: [
            row.model_dump_json()
            for row in SETTINGS.experiments[wildcards.dataset].ablations
        ],
    message:
        "Drawing every training of {wildcards.dataset}'s systems beside their mean"
    shell:
        "python -m convttlstm report seeds"
        " --config {params.config}"
        " {params.model}"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.stem}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule protocols:
    input:
        run_files("metrics.json", shown_runs),
    output:
        report(
            f"{RESULTS}/figures/protocols_{{dataset}}.svg",
            caption="../report/protocols.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/protocols_{{dataset}}.pdf",
    log:
        f"{RESULTS}/logs/protocols/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/protocols/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".svg"),
        runs=lambda wildcards: shown_runs(SETTINGS, wildcards.dataset),
    message:
        "Drawing {wildcards.dataset}'s systems in the order of both metric protocols"
    shell:
        "python -m convttlstm report protocols"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.stem}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule groups:
    input:
        run_files("metrics.json", table_runs),
    output:
        report(
            f"{RESULTS}/figures/groups_{{dataset}}.svg",
            caption="../report/groups.rst",
            category="Figures",
        ),
        multiext(f"{RESULTS}/figures/groups_{{dataset}}", ".pdf", ".csv"),
    log:
        f"{RESULTS}/logs/groups/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/groups/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".svg"),
        runs=lambda wildcards: table_runs(SETTINGS, wildcards.dataset),
    message:
        "Drawing how well each action of {wildcards.dataset} is predicted"
    shell:
        "python -m convttlstm report groups"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {params.stem}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule example:
    input:
        run_files("metrics.json", table_runs),
    output:
        report(
            f"{RESULTS}/figures/example_{{dataset}}.gif",
            caption="../report/example.rst",
            category="Figures",
        ),
    log:
        f"{RESULTS}/logs/example/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/example/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], ancestor=2),
        runs=lambda wildcards: table_runs(SETTINGS, wildcards.dataset),
    message:
        "Animating one test sequence of {wildcards.dataset}, all systems side by side"
    shell:
        "python -m convttlstm report example"
        " --dataset {wildcards.dataset}"
        " --results {params.results}"
        " --output {output}"
        " --runs {params.runs}"
        " 2>&1 | write_log {log}"


rule complexity_table:
    input:
        f"{RESULTS}/complexity.csv",
        TIMES,
    output:
        multiext(f"{RESULTS}/tables/complexity", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/complexity_table.log",
    benchmark:
        f"{RESULTS}/benchmarks/complexity_table.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input[0], parent=True),
        stem=subpath(output[0], strip_suffix=".csv"),
        times=TIMES,
    message:
        "Setting the counted complexities beside the paper's arithmetic"
    shell:
        "python -m convttlstm report complexity"
        " --results {params.results}"
        " --output {params.stem}"
        " --times {params.times}"
        " 2>&1 | write_log {log}"


rule claims:
    input:
        [metrics_of(dataset) for dataset in DATASETS],
        f"{RESULTS}/complexity.csv",
        "data/paper/claims.yaml",
        expand("data/paper/table{number}.csv", number=[1, 2, 3, 4]),
        BENCHMARKS,
    output:
        report(
            f"{RESULTS}/tables/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
        ),
        multiext(f"{RESULTS}/tables/claims", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        results=subpath(output[0], ancestor=2),
        stem=subpath(output[0], strip_suffix=".csv"),
        # Which trainings can be compared, and what others would take.
        settings=[report_digest(SETTINGS), report_digest(settings_of_scale("paper"))],
        measured=BENCHMARKS,
    message:
        "Deciding which of the paper's claims hold"
    shell:
        "python -m convttlstm report claims"
        " --config {params.config}"
        " --results {params.results}"
        " --output {params.stem}"
        " --times {params.measured}"
        " 2>&1 | write_log {log}"


rule complexity_figure:
    input:
        f"{RESULTS}/orders.csv",
    output:
        report(
            f"{RESULTS}/figures/complexity.svg",
            caption="../report/complexity.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/complexity.pdf",
    log:
        f"{RESULTS}/logs/complexity_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/complexity_figure.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input[0], parent=True),
        stem=subpath(output[0], strip_suffix=".svg"),
    message:
        "Drawing what a higher order costs"
    shell:
        "python -m convttlstm report orders"
        " --results {params.results}"
        " --output {params.stem}"
        " 2>&1 | write_log {log}"


rule runtime:
    input:
        f"{RESULTS}/complexity.csv",
        "data/paper/table2.csv",
        TIMES,
        STEP_TIMES,
        [run for dataset in PREDICTED for run in metrics_of(dataset)],
    output:
        report(
            f"{RESULTS}/figures/runtime.svg",
            caption="../report/runtime.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/runtime.pdf",
        multiext(f"{RESULTS}/tables/runtime", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/runtime.log",
    benchmark:
        f"{RESULTS}/benchmarks/runtime.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        results=subpath(input[0], parent=True),
        times=TIMES + STEP_TIMES,
    message:
        "Comparing multiplications with run-times, the paper's and those measured"
    shell:
        "python -m convttlstm report runtime"
        " --config {params.config}"
        " --results {params.results}"
        " --output {params.results}"
        " --times {params.times}"
        " 2>&1 | write_log {log}"


# For `dvc metrics show` and `dvc plots show`.
rule summary:
    input:
        [metrics_of(dataset) for dataset in DATASETS],
    output:
        [
            f"{RESULTS}/metrics/{dataset}/{run}.json"
            for dataset in DATASETS
            for run in evaluated_runs(SETTINGS, dataset)
        ],
        loss=f"{RESULTS}/plots/loss.csv",
        bubbles=f"{RESULTS}/plots/bubbles.csv",
    log:
        f"{RESULTS}/logs/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/summary.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=CONFIG,
        model=MODEL_FLAG,
        results=subpath(output.loss, ancestor=2),
    message:
        "Summing up what each run reached"
    shell:
        "python -m convttlstm report summary"
        " --config {params.config}"
        " {params.model}"
        " --results {params.results}"
        " --output {params.results}"
        " 2>&1 | write_log {log}"


rule page:
    input:
        expand(f"{RESULTS}/tables/table2_{{dataset}}.md", dataset=PREDICTED),
        expand(f"{RESULTS}/tables/table4_{{dataset}}.md", dataset=ABLATED),
        TIMES,
        expand(
            f"{RESULTS}/figures/{{figure}}_{{dataset}}.svg",
            figure=[
                "figure2",
                "loss",
                "per_frame",
                "seeds",
                "protocols",
                "strip",
                "gallery",
            ],
            dataset=PREDICTED,
        ),
        expand(f"{RESULTS}/figures/groups_{{dataset}}.svg", dataset=GROUPED),
        expand(f"{RESULTS}/figures/example_{{dataset}}.gif", dataset=PREDICTED),
        RECOGNITION_REPORTS,
        f"{RESULTS}/tables/complexity.md",
        f"{RESULTS}/tables/claims.csv",
        f"{RESULTS}/figures/complexity.svg",
        f"{RESULTS}/tables/runtime.md",
        expand(f"{RESULTS}/tables/grid_{{dataset}}.md", dataset=SEARCHED),
        [metrics_of(dataset) for dataset in DATASETS],
    output:
        f"{RESULTS}/index.html",
    log:
        f"{RESULTS}/logs/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/page.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], parent=True),
        config=CONFIG,
        model=MODEL_FLAG,
        # All that the page says of the scale.
        settings=report_digest(SETTINGS),
        times=TIMES,
    message:
        "Writing the page that shows all tables and figures"
    shell:
        "python -m convttlstm report page"
        " --config {params.config}"
        " {params.model}"
        " --results {params.results}"
        " --output {output}"
        " --times {params.times}"
        " 2>&1 | write_log {log}"
