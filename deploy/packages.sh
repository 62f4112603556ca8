#!/bin/sh
# Install what building and testing Argosy needs, on Debian 12, 13 and Ubuntu 24.04; nothing is done
# when all of it is there. Asks for root rights only if something is missing.
set -eu

packages="gcc cmake make curl pkg-config libc6-dev libzmq3-dev libczmq-dev libcmocka-dev
          libcurl4-openssl-dev libjansson-dev libssl-dev zlib1g-dev libglib2.0-dev
          libmimalloc-dev libarchive-dev libbz2-dev liblzma-dev libzstd-dev libgit2-dev git
          libsqlite3-dev sqlite3 tzdata ca-certificates procps nghttp2-server"

is_there() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

missing=
for package in $packages; do
    is_there "$package" || missing="$missing $package"
done
# The C library of msgpack has its own package since Debian 13.
is_there libmsgpack-c-dev || is_there libmsgpack-dev || missing="$missing libmsgpack"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "packages.sh: this is not Debian or Ubuntu; please install the equivalents of:" >&2
    echo "  $packages libmsgpack-c-dev" >&2
    exit 1
fi
root=
if [ "$(id -u)" -ne 0 ]; then
    root=sudo
    command -v sudo >/dev/null || {
        echo "packages.sh: as root, please: apt-get install$missing" >&2
        exit 1
    }
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq
case "$missing" in
*" libmsgpack")
    name=libmsgpack-dev
    apt-cache show libmsgpack-c-dev >/dev/null 2>&1 && name=libmsgpack-c-dev
    missing="${missing% libmsgpack} $name"
    ;;
esac
# shellcheck disable=SC2086 # a list of names
$root apt-get install -y -qq --no-install-recommends $missing >/dev/null
