# From a clone; the workflow itself is workflow/Snakefile.
include: "workflow/Snakefile"


# What is included has no default target.
workflow.default_target = "all"
