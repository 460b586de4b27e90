"""Costs of a scale and progress of its runs; never imports torch."""
