# metrics -> tables, figures and the page
#
# Reports are declared in lib/convttlstm/reporting; each becomes a rule.


for made in REPORTS.values():
    if made.made_for(SETTINGS):

        rule:
            name:
                made.name
            input:
                inputs_of(made),
            output:
                outputs_of(made),
            log:
                f"{RESULTS}/logs/report/{log_name(made)}.log",
            benchmark:
                f"{RESULTS}/benchmarks/report/{log_name(made)}.tsv"
            wildcard_constraints:
                dataset=any_of(made.made_for(SETTINGS)),
            localrule: True
            conda:
                "../envs/convttlstm.yml"
            resources:
                mem_mb=per_attempt(1000),
                runtime=per_attempt(30),
                gpu=0,
            params:
                config=CONFIG,
                model=MODEL_FLAG,
                dataset="--dataset {dataset}" if made.each else "",
                report=made.name,
                title=made.title,
                caption=made.caption,
                # Settings that a report may show.
                settings=report_digest(SETTINGS),
            message:
                "Making {rule} {wildcards}"
            shell:
                "python -m convttlstm report {params.report}"
                " --config {params.config}"
                " {params.model}"
                " {params.dataset}"
                " 2>&1 | write_log {log}"
