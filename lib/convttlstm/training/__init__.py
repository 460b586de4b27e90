"""The training loop, its recipes, schedules and checkpoints."""
