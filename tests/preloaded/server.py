"""Forks a process for each command that client.py asks for; it takes over the caller's input and output."""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys

MODULES = [
    "convttlstm.cli",
    "convttlstm.evaluation.predict",
    "convttlstm.evaluation.protocol",
    "convttlstm.evaluation.recognition",
    "convttlstm.sharing.crate",
    "convttlstm.training.loop",
    "dvc.cli",
    "dvc.commands.repro",
    "dvc.repo",
    "dvc_data.index",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "seaborn",
    "snakemake.api",
    "snakemake.cli",
    "snakemake.workflow",
    "torch._dynamo",
    "torch._refs",
    "torch.fx.experimental.symbolic_shapes",
]


def serve(address: str) -> None:
    """Answer until standard input is closed, as it is when the tests end."""
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{address}.new")
    server.listen()
    os.rename(f"{address}.new", address)  # there once it answers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.exit(answer(connection))
        connection.close()


def answer(connection: socket.socket) -> int:
    """Fork the command; report its process and its end; kill it when the caller dies."""
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    command = os.fork()
    if command == 0:
        connection.close()
        return run(**json.loads(message), files=files)
    for file in files:
        os.close(file)
    connection.send(f"{command}\n".encode())
    ended = os.pidfd_open(command)
    if connection in select.select([ended, connection], [], [])[0]:
        os.kill(command, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    connection.send(f"{status}\n".encode())
    os._exit(0)


def run(arguments: list[str], folder: str, environment: dict[str, str], files: list[int]) -> int:
    """Become the command; return its exit status."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    if arguments[0] == "python":  # -m convttlstm
        from convttlstm.cli import main

        sys.argv = ["convttlstm", *arguments[3:]]
        sys.path.insert(0, folder)
    elif arguments[0] == "dvc":
        from dvc.cli import main
    else:
        from snakemake.cli import main
    return main() or 0


if __name__ == "__main__":
    del sys.path[0]  # this folder, which is of no concern to the commands
    serve(sys.argv[1])
