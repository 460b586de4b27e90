"""Reproduction of *Convolutional Tensor-Train LSTM for Spatio-Temporal Learning* (NeurIPS 2020)."""

ENTRY_POINTS = "convttlstm.models"  # the group in which other packages register models
