# The workflow, for use from a clone.
include: "workflow/Snakefile"


# An included workflow's default target is ignored.
workflow.default_target = "all"
