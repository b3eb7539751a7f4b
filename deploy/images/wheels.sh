#!/bin/sh
# Fetch the wheels that the images are made of into deploy/wheels: wheels.sh PYTHON PYTHON_VERSION
# PYTHON has pip; PYTHON_VERSION is the base image's, such as 3.13. The index, its password and its certificates are
# this machine's pip settings; nothing of them enters a build.
set -eu
python=$1 version=$2
folder=deploy/wheels
machine=$(uname -m)

"$python" -m pip --version >/dev/null || { echo "make wheels needs pip in $python: python3 -m ensurepip" >&2; exit 1; }
wanted=$(mktemp)
trap 'rm -f "$wanted"' EXIT

# glibc 2.36 is Debian 12's.
platforms="--platform manylinux1_$machine --platform manylinux2010_$machine --platform manylinux2014_$machine"
for minor in $(seq 5 36); do
    platforms="$platforms --platform manylinux_2_${minor}_$machine"
done
rm -f "$folder"/*.whl
for lock in requirements-build.lock requirements-writer.lock requirements-sidecar.lock; do
    # pip would judge these by its own Python's patch release, which is not the image's.
    sed "s/ ; python_full_version [^\\\\]*/ /" "$lock" >"$wanted"
    # shellcheck disable=SC2086 # the options are words
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$folder" --no-deps --require-hashes \
        --only-binary :all: --python-version "$version" --implementation cp $platforms -r "$wanted"
done
echo "$folder: $(find "$folder" -name '*.whl' | wc -l) wheels for Python $version on $machine"
