"""Reproduction of *Convolutional Tensor-Train LSTM for Spatio-Temporal Learning* (NeurIPS 2020)."""
