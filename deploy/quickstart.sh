#!/bin/sh
# Install what is missing, build, and run the main job: count a source tree and fetch a list of URLs
# through a private fleet, show the results and the report of what failed.
#
#     sh deploy/quickstart.sh                     this tree, and pages of a small server of our own
#     sh deploy/quickstart.sh URL|FILE|DIR...     your URLs, files with URLs, source trees
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
argosy=$here/build/release/bin/argosy

sh "$here/deploy/packages.sh"
(
    cd "$here"
    cmake --preset release >/dev/null
    cmake --build --preset release -j "$(nproc)" \
        --target argosy argosy-broker argosy-worker test-http-server -- --no-print-directory -s
)

say() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
}

# Some jobs of the demonstration fail on purpose; only then is 1 not the exit code of a mishap.
run() {
    say "$@"
    rc=0
    "$@" || rc=$?
    [ "$rc" -le 1 ] || exit "$rc"
}

if [ $# -gt 0 ]; then
    for what; do
        if [ -d "$what" ]; then
            run "$argosy" run analyze "$what"
        elif [ -f "$what" ]; then
            run "$argosy" run fetch -i "$what"
        else
            run "$argosy" run fetch "$what"
        fi
    done
    exit "$rc"
fi

# No network is needed: our own server serves a few pages, some of them badly.
work=$(mktemp -d)
"$here/build/release/bin/test-http-server" --with-parent --port-file "$work/ports" >/dev/null &
server=$!
trap 'kill "$server"; rm -rf "$work"' EXIT
until grep -q '^ca ' "$work/ports" 2>/dev/null; do sleep 0.05; done
http=$(sed -n 's/^http /http:\/\//p' "$work/ports")
refused=$(sed -n 's/^refused /http:\/\//p' "$work/ports")
{
    for page in 1 2 3 4 5 6 7 8; do echo "$http/page/$page"; done
    echo "$http/gzip"
    echo "$http/redirect/2"
    echo "$http/flaky/quickstart/1" # 503 once, then fine: it is tried again
    echo "$http/status/404"
    echo "$http/status/410"
    echo "$http/chunkcut"
    echo "$refused/"
    echo "http://nowhere.invalid/"
} >"$work/urls.txt"

run "$argosy" run analyze --exclude build "$here"
run "$argosy" run fetch -i "$work/urls.txt" -o "$work/pages/{index}-{name}" \
    --retry attempts=2,base=100ms
printf '\n%s pages were written. That some failed is part of the show: 5 of 16.\n' \
    "$(find "$work/pages" -type f | wc -l)"
