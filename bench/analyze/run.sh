#!/bin/sh
# Lines of source code counted by Argosy and by other counters, in one run, in turn, beside the least
# that any of them must do.
#
#     sh bench/analyze/run.sh [--rounds R] [--dir DIR]... [--only WHO,...] [--threads N] [--bin DIR]
#                             [--scc PATH] [--tokei PATH] [--cloc PATH]
#
# --dir     what is counted, as often as you like (default: this tree)
# --only    of floor engine run fleet scc tokei cloc (default: all of them)
# --threads of floor, engine and fleet (default: the cores there are)
# --bin     where the programs of Argosy are (default: build/release/bin of this tree, built if missing)
# --scc, --tokei, --cloc   where they are, if not in PATH
#
# What is not installed is left out, with a sentence. See ../README.md for what is compared.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=bench/common.sh
. "$here/../common.sh"
everybody='floor engine run fleet scc tokei cloc'
rounds=5 who_runs=$everybody threads=$(nproc) bin=''
scc=scc tokei=tokei cloc=cloc
longest=1200 # seconds for one measurement: cloc needs minutes for a large tree

usage() {
    sed -n 's/^#     //p; s/^# \(--[a-z]\)/\1/p' "$0" >&2
    exit 2
}

# What is started ends with us; all that is written goes here.
work=$(mktemp -d "${TMPDIR:-/tmp}/argosy-bench.XXXXXX")
broker='' worker='' client=''

trap 'trap "" INT TERM; stop "$client"; stop "$worker"; stop "$broker"; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

: >"$work/corpora"
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage
    case $1 in
    --rounds) rounds=$2 ;;
    --dir) (cd "$2" && pwd -P) >>"$work/corpora" ;;
    --only) who_runs=$(echo "$2" | tr ',' ' ') ;;
    --threads) threads=$2 ;;
    --bin) bin=$(cd "$2" && pwd) ;;
    --scc) scc=$2 ;;
    --tokei) tokei=$2 ;;
    --cloc) cloc=$2 ;;
    *) usage ;;
    esac
    shift 2
done
case $rounds$threads in *[!0-9]*) usage ;; esac
for who in $who_runs; do
    case " $everybody " in *" $who "*) ;; *) usage ;; esac
done
[ -s "$work/corpora" ] || echo "$top" >"$work/corpora"

wants() { # WHO
    case " $who_runs " in *" $1 "*) ;; *) return 1 ;; esac
}

drop() { # WHO SENTENCE
    if wants "$1"; then
        skip "$1: $2"
        who_runs=$(echo " $who_runs " | sed "s/ $1 / /")
    fi
}

# ---- building -----------------------------------------------------------------------------------
if [ -z "$bin" ]; then build_programs "$top"; fi
compile() { # OUTPUT SOURCE OPTION...
    output=$1 source=$2
    shift 2
    "${CC:-cc}" -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$output" "$source" "$@"
}
meter=$work/meter floor=$work/floor engine=$work/engine
compile "$meter" "$here/../meter.c"
compile "$floor" "$here/floor.c" -pthread

# The engine is linked from what the build of the programs has left beside them.
compile_engine() {
    built=$bin/..
    for library in worker_analyze worker_pool worker_outcome argosy_zpl argosy; do
        [ -f "$built/lib$library.a" ] || return 1
    done
    msgpack='msgpack-c'
    echo 'int main(void) { return 0; }' >"$work/none.c"
    compile "$work/none" "$work/none.c" -lmsgpack-c 2>/dev/null || msgpack=msgpackc
    # shellcheck disable=SC2046 # words
    compile "$engine" "$here/engine.c" -DARGOSY_STATIC -I"$top" -I"$top/include" -I"$built/include" \
        "$built/libworker_analyze.a" "$built/libworker_pool.a" "$built/libworker_outcome.a" \
        "$built/libargosy_zpl.a" "$built/libargosy.a" -Wl,--as-needed \
        $(pkg-config --cflags --libs libarchive liblzma libzstd libgit2 sqlite3 openssl libczmq \
            libzmq jansson) -l$msgpack -lbz2 -lz -pthread
}
if wants engine && ! compile_engine; then
    drop engine "its libraries are not beside $bin; leave --bin out, then they are built"
fi

# ---- who is there -------------------------------------------------------------------------------
versions=$("$bin/argosy" --version)
for peer in scc tokei cloc; do
    case $peer in
    scc) program=$scc ;;
    tokei) program=$tokei ;;
    *) program=$cloc ;;
    esac
    if ! wants $peer; then
        continue
    elif ! command -v "$program" >/dev/null; then
        drop $peer "$program is not installed; --$peer names it where it is not in PATH"
    else
        versions="$versions; $peer $("$program" --version | sed -n '1s/^[^0-9]*\([0-9.]*\).*/\1/p')"
    fi
done

has_worker() {
    "$bin/argosy" workers --config /dev/null --connect "ipc://$work/socket" | grep -q bench
}

start_fleet() {
    "$bin/argosy-broker" --config /dev/null --bind "ipc://$work/socket" --store memory \
        --log warning >"$work/broker.log" 2>&1 &
    broker=$!
    await test -S "$work/socket" || return 1
    "$bin/argosy-worker" --config /dev/null --connect "ipc://$work/socket" --kinds analyze \
        --threads "$threads" --root / --name bench --log warning >"$work/worker.log" 2>&1 &
    worker=$!
    await has_worker
}

if wants fleet && ! start_fleet; then
    cat "$work/broker.log" "$work/worker.log" >&2
    drop fleet "it did not start"
fi

# ---- one measurement ----------------------------------------------------------------------------
# NAME COMMAND...: what it took becomes a line of the table's data. Those that are in this process
# (floor, engine) tell their own seconds first in their output; the others are timed from their
# process's start to its end. If it fails, that is told and the next one comes.
measure() {
    who=$1
    shift
    case $who in floor* | engine*) own=1 output=$work/out ;; *) own='' output=/dev/null ;; esac
    HOME=$work timeout $longest "$meter" -b "$for_broker" -w "$for_worker" -o "$output" "$@" \
        >"$work/meter.out" 2>"$work/err" & # a signal finds us waiting
    client=$!
    status=0
    wait "$client" || status=$?
    client=''
    if [ "$status" -ne 0 ]; then
        echo "run.sh: round $round: $corpus: $who: exit status $status" >&2
        head -8 "$work/err" | cut -c 1-200 | sed 's/^/    /' >&2
        echo "$corpus|$who|$round|failed" >>"$work/data"
        return 0
    fi
    read -r seconds rest <"$work/meter.out"
    if [ -n "$own" ]; then read -r seconds _ <"$work/out"; fi
    echo "$corpus|$who|$round|$seconds $rest" >>"$work/data"
    printf 'round %s  %-24s  %-18s %9.4f s\n' "$round" "$(basename "$corpus")" "$who" "$seconds" >&2
}

run_fleet() {
    for_broker=$broker for_worker=$worker
    measure "argosy analyze" "$bin/argosy" analyze --config /dev/null --quiet \
        --connect "ipc://$work/socket" "$corpus"
    for_broker=0 for_worker=0
}

# A tree whose .gitignore begins with ".*" (Linux has one) is empty to scc: who counts less than half
# of the files is told to count them all.
scc_files() {
    "$scc" --no-complexity --format csv "$corpus" | awk -F, '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "Files") files = i; next }
        { sum += $files } END { print sum + 0 }'
}

scc_ignores() {
    if grep -qxF "$corpus" "$work/unignored"; then echo --no-gitignore --no-ignore; fi
}

measure_all() {
    for_broker=0 for_worker=0
    if wants floor; then measure "floor, 1 thread" "$floor" "$corpus"; fi
    if wants engine; then measure "engine, 1 thread" "$engine" "$corpus"; fi
    if [ "$threads" -gt 1 ] && wants floor; then
        measure "floor, $threads threads" "$floor" -t "$threads" "$corpus"
    fi
    if [ "$threads" -gt 1 ] && wants engine; then
        measure "engine, $threads threads" "$engine" -t "$threads" "$corpus"
    fi
    if wants fleet; then run_fleet; fi
    if wants run; then
        measure "argosy run analyze" "$bin/argosy" run --config /dev/null --quiet --cache none \
            analyze "$corpus"
    fi
    if wants scc; then
        # shellcheck disable=SC2046 # words
        measure "scc" "$scc" --no-complexity $(scc_ignores) "$corpus"
    fi
    if wants tokei; then measure "tokei" "$tokei" "$corpus"; fi
    # A hundred times slower: once says enough.
    if wants cloc && [ "$round" -eq 1 ]; then
        measure "cloc" "$cloc" --quiet "$corpus"
    fi
}

# ---- the machine --------------------------------------------------------------------------------
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
echo "machine   $(nproc) cores, ${processor:-unknown processor}, $memory; Linux $(uname -r)"
echo "versions  $versions"
echo "load      $(cut -d' ' -f1-3 /proc/loadavg) before the run"
echo "run       $rounds rounds, $threads threads"

# ---- the rounds ---------------------------------------------------------------------------------
: >"$work/data"
: >"$work/unignored"
while read -r corpus <&3; do
    "$floor" "$corpus" >"$work/out" # warms the cache
    read -r seconds files bytes newlines <"$work/out"
    echo "$corpus|what|0|$files $bytes $newlines" >>"$work/data"
    if wants scc && [ $((2 * $(scc_files))) -lt "$files" ]; then
        echo "run.sh: scc finds $(scc_files) of $files files in $corpus; there it obeys no .gitignore" >&2
        echo "$corpus" >>"$work/unignored"
    fi
done 3<"$work/corpora"
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    while read -r corpus <&3; do
        measure_all
    done 3<"$work/corpora"
done
echo "load      $(cut -d' ' -f1-3 /proc/loadavg) after it"
awk -F'|' -v threads="$threads" -f "$here/../spread.awk" -f "$here/table.awk" "$work/data"
! grep -q '|failed$' "$work/data"
