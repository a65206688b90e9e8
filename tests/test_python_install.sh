#!/bin/sh
# Installs the Python binding with pip, without a network, into an environment of its own, and runs its tests there:
# sh tests/test_python_install.sh PYTHON, with TFM_LIBRARY and TFM_TEST_MODEL set. 77: pip or venv is not here.
set -eu
python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv" >"$work/log" 2>&1 || { echo "SKIPPED: no venv"; exit 77; }
mkdir "$work/python"
(cd "$root/bindings/python" && tar -cf - pyproject.toml README.md build_support src) | tar -xf - -C "$work/python"
rm -rf "$work/python/src/tfm/__pycache__" "$work"/python/src/tfm/libtfm.*

# The library is named here, so it goes into the wheel; later the wheel's own is used.
for how in --no-build-isolation --use-pep517; do
    "$work/venv/bin/python" -m pip install --no-index --quiet --disable-pip-version-check --force-reinstall $how \
        "$work/python" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done
unset TFM_LIBRARY
cd "$work"
"$work/venv/bin/python" -c '
import os, tfm
from tfm import _library
assert os.path.dirname(_library.lib._name) == os.path.dirname(tfm.__file__), _library.lib._name
assert os.path.exists(os.path.join(os.path.dirname(tfm.__file__), "py.typed"))
print("tfm", tfm.__version__, "at", tfm.__file__)'
TFM_TEST_INSTALLED=1 "$work/venv/bin/python" "$root/tests/test_python.py" 2>"$work/log" || { cat "$work/log"; exit 1; }
tail -n 1 "$work/log"
