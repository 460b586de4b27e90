#!/bin/sh
# Runs benchmarks.gpu from an unpacked archive of benchmarks.gpu_pack; takes its options.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
if [ ! -e site/.installed ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --upgrade \
        --target site wheels/*.whl
    touch site/.installed
fi
PYTHONPATH="$PWD/site:$PWD/lib:$PWD" PYTHONUNBUFFERED=1 exec "$python" -m benchmarks.gpu "$@"
