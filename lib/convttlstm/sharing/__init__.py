"""Bundles, comparisons, and import and export of weights."""
