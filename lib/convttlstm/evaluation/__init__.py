"""How predictions are judged: metrics, intervals, and the protocol that applies them."""
