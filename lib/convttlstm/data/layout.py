"""Names of raw files, as they are handed out and as stand-ins for them are written."""

KTH_BOUNDARIES = "00sequences.txt"
KTH_MISSING = "person13_handclapping_d3"  # in the public archives, and said so in the text file
SOMETHING_CLIPS = "20bn-something-something-v2"  # the folder in the archive, and the parts' name
