"""What a scale takes, and how far it is; never imports torch."""
