"""Evaluation: metrics, confidence intervals, and the paper's test protocol."""
