"""The command `convttlstm`, also `python -m convttlstm`."""

import sys

from convttlstm.faults import remedy


def main() -> int:
    """Run a subcommand; if libraries are missing, print in one line what to install."""
    try:
        from convttlstm import cli
    except ModuleNotFoundError as error:
        if not (said := remedy(error)):
            raise
        print(f"convttlstm: error: {said} ({error})", file=sys.stderr)
        return 1
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
