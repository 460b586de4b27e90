#!/bin/sh
# Runs benchmarks.gpu from an unpacked archive of benchmarks.gpu_pack, with the same options.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
if [ ! -e "$root/site/.installed" ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --upgrade \
        --target "$root/site" "$root"/wheels/*.whl
    touch "$root/site/.installed"
fi
# -P: a folder named benchmarks where the command is given is not the one of the archive.
PYTHONPATH="$root/site:$root/lib:$root" PYTHONUNBUFFERED=1 exec "$python" -P -m benchmarks.gpu "$@"
