#!/bin/sh
# The kill -9 storm: a fleet of real processes whose broker, workers and clients are killed at random,
# and a check that nothing acknowledged was lost (tests/storm/check.h).
#     sh tests/storm.sh [--minutes N] [--seed S] [--rate JOBS] [...]
# Four minutes kill some 250 brokers and 550 workers. It takes build/release, which it builds, unless
# ARGOSY_BIN names another build's programs.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${ARGOSY_BIN:-}" ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release -j "$(nproc)" --target argosy-storm argosy-broker -- \
        --no-print-directory -s
    ARGOSY_BIN=$PWD/build/release/bin
fi
export ARGOSY_BIN
case ${1:-} in
--minutes)
    seconds=$(($2 * 60))
    shift 2
    ;;
*) seconds=240 ;;
esac
exec "$ARGOSY_BIN/argosy-storm" run --seconds "$seconds" "$@"
