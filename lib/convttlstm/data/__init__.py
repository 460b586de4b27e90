"""From raw files to clips: sources, one module a data set, the clip reader."""
