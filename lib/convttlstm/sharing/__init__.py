"""Results and weights for others, and from others."""
