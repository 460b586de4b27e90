"""Who wrote the paper, and where it stands."""

TITLE = "Convolutional Tensor-Train LSTM for Spatio-Temporal Learning"
AUTHORS = [
    "Jiahao Su", "Wonmin Byeon", "Jean Kossaifi", "Furong Huang", "Jan Kautz", "Anima Anandkumar",
]  # fmt: skip
VENUE, YEAR = "Advances in Neural Information Processing Systems", 2020
URL = "https://arxiv.org/abs/2002.09131"
