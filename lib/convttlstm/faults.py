"""One-line advice for errors of libraries and the file system that users can fix."""

import errno
import re

MEMORY = (
    "out of memory; lower training.batch_size or evaluation.batch_size, set checkpointing: true in the "
    "model, or precision: bf16-mixed"
)
# Patterns of PyTorch's messages, and advice.
REMEDIES = {
    "out of memory|not enough memory|can.?t allocate memory|cannot allocate memory": MEMORY,
    "no kernel image is available": "this PyTorch was not built for this GPU; install one that was, or set "
    "compute.accelerator: cpu",
    "driver on your system is too old|CUDA driver version is insufficient": "the NVIDIA driver is too old "
    "for this PyTorch; update the driver, install a PyTorch for an older CUDA, or set compute.accelerator: "
    "cpu",
    "deterministic implementation|deterministic behavior": "an operation has no deterministic algorithm "
    "here; set compute.deterministic: false",
}
# Optional libraries, by the group of pyproject.toml that installs them.
EXTRAS = {
    "train": ["av", "lightning_fabric", "pandas", "PIL", "pydantic", "pydantic_core", "tqdm", "yaml"],
    "evaluate": ["lpips", "scipy", "torchvision"],
    "report": ["jinja2", "markupsafe", "matplotlib", "seaborn"],
    "workflow": ["rocrate"],
    "hdf5": ["h5py"],
}

# Errors of paths, not of this program.
PATHS = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS}


def of_the_machine(error: BaseException) -> bool:
    """Return whether memory or the device is to blame, and not the data or files that were read."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and bool(remedy(error) or re.search("CUDA|cuDNN|NCCL", str(error)))
    )


def remedy(error: BaseException) -> str:
    """Return an explanation with advice, "" for an error that users cannot fix."""
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, ModuleNotFoundError):
        library = (error.name or "").partition(".")[0]
        groups = [extra for extra, libraries in EXTRAS.items() if library in libraries]
        return f"a library is missing; pip install 'convttlstm[{groups[0]}]'" if groups else ""
    if isinstance(error, OSError) and error.errno in PATHS:
        return "a path cannot be used"
    if not isinstance(error, RuntimeError):
        return ""
    found = (said for pattern, said in REMEDIES.items() if re.search(pattern, str(error), re.IGNORECASE))
    return next(found, "")
