#!/bin/sh
# The kill -9 storm: a fleet of real processes whose broker, workers and clients are killed at random,
# and a check that they kept their promises (tests/storm/check.h).
#     sh tests/storm.sh [--minutes N] [--seed S] [options of argosy-storm run]
# Each minute is a storm of its own, with the next seed; every second one has a slow disk. Four of them
# kill some 250 brokers and 550 workers. It builds and takes build/release, unless ARGOSY_BIN names
# the programs of another build. Exit code 1: a promise was broken, and it says where the logs are.
set -eu
cd "$(dirname "$0")/.."
minutes=4
seed=$(date +%s)
while :; do
    case ${1:-} in
    --minutes) minutes=$2 ;;
    --seed) seed=$2 ;;
    *) break ;;
    esac
    shift 2
done
if [ -z "${ARGOSY_BIN:-}" ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release -j "$(nproc)" --target argosy-storm -- --no-print-directory -s
    ARGOSY_BIN=$PWD/build/release/bin
fi
export ARGOSY_BIN
code=0
for minute in $(seq "$minutes"); do
    slow=0
    [ $((minute % 2)) -ne 0 ] || slow=5
    timeout 300 "$ARGOSY_BIN/argosy-storm" run --seconds 60 --seed "$((seed + minute - 1))" \
        --slow-disk "$slow" "$@" || code=1
done
exit $code
