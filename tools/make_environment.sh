# Makes .venv with the pinned packages and ours, editable. `make` calls it when requirements.txt changed.
set -eu
: "${PYTHON:=python3}"

command -v "$PYTHON" >/dev/null || {
    echo "Python 3.10 or newer is needed, and there is no '$PYTHON' here." >&2
    echo "Install it, or name another: make PYTHON=/path/to/python3 ..." >&2
    exit 1
}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "Python 3.10 or newer is needed; '$PYTHON' is $("$PYTHON" --version 2>&1)." >&2
    echo "Name another: make PYTHON=/path/to/python3 ..." >&2
    exit 1
}
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv || {
    echo "'$PYTHON -m venv' failed. On Debian or Ubuntu: apt-get install python3-venv" >&2
    exit 1
}
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
