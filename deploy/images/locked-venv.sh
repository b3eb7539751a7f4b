#!/bin/sh
# Make an environment that holds exactly what a lock file names: locked-venv LOCK DIRECTORY
# Where /wheels holds wheels nothing else is asked; every file is compared with the lock's hashes either way.
set -eu
lock=$1 environment=$2

index=''
if [ -n "$(find /wheels -name '*.whl' -print -quit)" ]; then
    index='--no-index --find-links /wheels'
fi

# pip stays outside: what is installed here is shipped.
installer=/tmp/installer
[ -x "$installer/bin/pip" ] || python3 -m venv "$installer"
python3 -m venv --without-pip "$environment"
# shellcheck disable=SC2086 # the options are words
"$installer/bin/pip" --python "$environment/bin/python" install --no-cache-dir --disable-pip-version-check \
    --no-input --progress-bar off --only-binary :all: --require-hashes $index -r "$lock"
