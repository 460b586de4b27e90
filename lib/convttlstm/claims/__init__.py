"""The paper's claims: printed values, measurements, comparisons and verdicts."""
