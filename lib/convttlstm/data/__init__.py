"""Raw files, prepared arrays and batches: one module per data set, and the readers they share."""
