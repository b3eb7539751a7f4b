#!/bin/sh
# Make a base image where none can be pulled: base.sh TAG. Debian's packages come from where this machine's apt has them.
set -eu
tag=$1
. /etc/os-release
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $VERSION_CODENAME" 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || { echo "base.sh: apt knows no mirror of Debian $VERSION_CODENAME" >&2; exit 1; }
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
    "$VERSION_CODENAME" "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
tar -C "$root" -c . | docker import - "$tag" >/dev/null
echo "$tag: Debian $VERSION_CODENAME, $(chroot "$root" python3 --version)"
