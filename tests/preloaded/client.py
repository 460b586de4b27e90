#!/usr/bin/env -S python3 -ISE
"""`snakemake`, `dvc` and `python -m convttlstm`, run by the server next to this file.

bin/ has links of these names to this script. Where it comes first on PATH, so run all jobs of a workflow.
"""

import json
import os
import socket
import sys


def call(
    address: str, arguments: list[str], folder: str, environment: dict[str, str], files: list[int]
) -> socket.socket:
    """Start a command; the answer is its process's number in a line, and in another its exit status."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    message = {"arguments": arguments, "folder": folder, "environment": environment}
    socket.send_fds(server, [json.dumps(message).encode()], files)
    return server


def main() -> int:
    """Run the command that this file was called as; return its exit status."""
    name, *arguments = os.path.basename(sys.argv[0]), *sys.argv[1:]
    if name == "python" and arguments[:2] != ["-m", "convttlstm"]:
        real = os.path.join(os.environ["PRELOADED_BIN"], name)
        os.execv(real, [real, *arguments])
    address = os.environ["PRELOADED_SOCKET"]
    with call(address, [name, *arguments], os.getcwd(), dict(os.environ), [0, 1, 2]) as server:
        _, status = server.makefile()
    if int(status) < 0:
        os.kill(os.getpid(), -int(status))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
