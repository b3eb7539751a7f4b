#!/bin/sh
# Find a Python that can make the environment, then let it do so. PYTHON names one, else the newest is taken.
set -eu

fits='import sys; sys.exit(sys.version_info < (3, 11))'
makes_environments='import venv, ensurepip'
without_ensurepip=''

# A name on PATH proves nothing: version managers leave shims that only print an error. Only running tells.
for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
    "$candidate" -I -c "$fits" >/dev/null 2>&1 || continue
    if command -v uv >/dev/null 2>&1 || "$candidate" -I -c "$makes_environments" >/dev/null 2>&1; then
        exec "$candidate" -I sandbox/setup_environment.py "$@"
    fi
    without_ensurepip=${without_ensurepip:-$candidate}
done

if [ -n "$without_ensurepip" ]; then
    version=$("$without_ensurepip" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "set-up: $without_ensurepip (Python $version) has no venv/ensurepip. Install it" \
        "(Debian, Ubuntu: apt-get install python$version-venv), or name another Python: make PYTHON=/path/to/python3" >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "set-up: PYTHON=$PYTHON is no Python 3.11 or newer" >&2
else
    echo "set-up: found no Python 3.11 or newer on PATH. Install one" \
        "(Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2
fi
exit 1
