"""Names of raw files, of the originals and of their synthetic stand-ins."""

KTH_BOUNDARIES = "00sequences.txt"
KTH_MISSING = "person13_handclapping_d3"  # from the public archives; their text file says so
SOMETHING_CLIPS = "20bn-something-something-v2"  # the folder in the archive, and the parts' name
