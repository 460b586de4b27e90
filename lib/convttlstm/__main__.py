"""`python -m convttlstm` is the command `convttlstm`."""

import sys

from convttlstm.cli import main

sys.exit(main())
