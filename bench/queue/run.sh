#!/bin/sh
# Jobs that do nothing, from a client to their results: Argosy and other queues in one run, in turn.
#
#     sh bench/queue/run.sh [--jobs N] [--rounds R] [--dir DIR] [--bin DIR]
#
# --dir   a folder on the disk to measure (default: /var/tmp)
# --bin   where the programs of Argosy are (default: build/release/bin of this tree, built if missing)
#
# A queue that is not installed is left out, with a sentence. See ../README.md for what is compared.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=bench/common.sh
. "$here/../common.sh"
jobs=200000 rounds=3 disk=/var/tmp bin=''

usage() {
    sed -n 's/^#     //p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage
    case $1 in
    --jobs) jobs=$2 ;;
    --rounds) rounds=$2 ;;
    --dir) disk=$2 ;;
    --bin) bin=$(cd "$2" && pwd) ;;
    *) usage ;;
    esac
    shift 2
done
case $jobs$rounds in *[!0-9]*) usage ;; esac
slow_jobs=$((jobs / 50)) # for the queues with an fsync for every job: the rate is the same
[ "$slow_jobs" -ge 1000 ] || slow_jobs=1000

# ---- what was started ends with us --------------------------------------------------------------
work=$(mktemp -d "$disk/argosy-bench.XXXXXX")
chmod 711 "$work" # PostgreSQL runs as somebody else
server='' worker='' client='' signal=TERM

stop_all() {
    stop "$client"
    stop "$worker"
    stop "$server" "$signal"
    client='' worker='' server='' signal=TERM
}

trap 'trap "" INT TERM; stop_all; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- building -----------------------------------------------------------------------------------
if [ -z "$bin" ]; then build_programs "$top"; fi
peers=$work/bin
mkdir "$peers"

compile() { # PROGRAM SOURCE... [FLAG...]
    program=$1
    shift
    (cd "$here" && ${CC:-cc} -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$peers/$program" "$@")
}

# ---- one measurement: a fresh server in a fresh folder ------------------------------------------
# What `argosy bench --json` and the peers print -> rate, p50 one at a time, CPU.
figures() {
    sed 's/[,{}]/\n/g' | awk -F': *' '
        /"jobs_per_second"/ && rate == "" { rate = $2 }
        /"p50_ms"/ { p50 = $2 }
        /"broker_cpu_us"/ { cpu = $2 }
        /"failed"/ && $2 != 0 { print "run.sh: jobs failed" >"/dev/stderr"; exit 1 }
        END { if (cpu == "") exit 1; print rate, p50, cpu }'
}

# ROW FUNCTION...: one row of this round. If it fails, the row is told as failed and the next one comes.
# Nothing in FUNCTION ends by itself at an error: what may fail there needs `|| return 1`.
measure() {
    row=$1
    shift
    if ! "$@"; then
        {
            echo "run.sh: round $round: $row: failed; what was written about it:"
            for text in err log; do
                if [ -s "$work/$text" ]; then tail -5 "$work/$text" | sed 's/^/    /'; fi
            done
        } >&2
        echo "$row|$round|failed" >>"$work/data"
    fi
    stop_all
}

measure_disk() {
    fresh || return 1
    line=$("$peers/disk" "$work/page" 2>"$work/err") || return 1
    echo "$row|$round|$line 0 0" >>"$work/data"
}

# COMMAND...: its figures become a line of the table's data.
record() {
    timeout 900 "$@" >"$work/out" 2>"$work/err" & # so that a signal finds us waiting
    client=$!
    status=0
    wait "$client" || status=$?
    client=''
    if [ "$status" -ne 0 ]; then
        if [ "$status" -eq 124 ]; then status='124: no end after 900 s'; fi
        echo "run.sh: $row: exit status $status: $*" >&2
        return 1
    fi
    if ! line=$(figures <"$work/out"); then
        echo "run.sh: $row: no figures from $*" >&2
        return 1
    fi
    echo "$row|$round|$line" >>"$work/data"
    printf 'round %s  %-26s %s\n' "$round" "$row" "$line" >&2
}

fresh() {
    rm -rf "$work/store" "$work/socket" "$work/log" "$work/err"
    mkdir -m 700 "$work/store"
}

has_worker() {
    "$bin/argosy" workers --config /dev/null --connect "ipc://$work/socket" | grep -q bench
}

run_argosy() { # STORE
    fresh || return 1
    "$bin/argosy-broker" --config /dev/null --bind "ipc://$work/socket" --store "$1" --log warning \
        >>"$work/log" 2>&1 &
    server=$!
    await test -S "$work/socket" || return 1
    "$bin/argosy-worker" --config /dev/null --connect "ipc://$work/socket" --kinds noop \
        --name bench --log warning >>"$work/log" 2>&1 &
    worker=$!
    await has_worker || return 1
    record "$bin/argosy" bench --config /dev/null \
        --connect "ipc://$work/socket" --jobs "$jobs" --json
}

run_beanstalkd() { # JOBS FSYNC-FLAG [-r]
    fresh || return 1
    beanstalkd -b "$work/store" "$2" -l "unix:$work/socket" >>"$work/log" 2>&1 &
    server=$!
    await test -S "$work/socket" || return 1
    record "$peers/beanstalkd" -n "$1" ${3:+"$3"} -p "$server" "$work/socket"
}

run_redis() { # [-r]
    fresh || return 1
    redis-server --port 0 --unixsocket "$work/socket" --dir "$work/store" --save '' \
        --appendonly yes --appendfsync always >>"$work/log" 2>&1 &
    server=$!
    await redis-cli -s "$work/socket" ping || return 1
    record "$peers/redis" -n "$jobs" ${1:+"$1"} -p "$server" "$work/socket"
}

# In place of this shell, as PostgreSQL's user: it refuses to run as root.
postgres_exec() {
    cd "$work"
    if [ "$(id -u)" -ne 0 ]; then
        exec "$@"
    else
        exec setpriv --reuid="$somebody" --regid="$(id -g "$somebody")" --clear-groups "$@"
    fi
}

prepare_postgresql() {
    somebody=nobody
    if id postgres >/dev/null 2>&1; then somebody=postgres; fi
    mkdir -m 700 "$work/pg"
    mkdir -m 755 "$work/pg-socket"
    if [ "$(id -u)" -eq 0 ]; then chown "$somebody" "$work/pg" "$work/pg-socket"; fi
    (postgres_exec "$postgresql/initdb" -D "$work/pg" -A trust -U bench -E UTF8 --locale=C \
        --no-sync) >"$work/log" 2>&1
}

# Everything that makes it durable stays as it is; memory and checkpoints are for a busy server.
run_postgresql() { # [-r]
    fresh || return 1
    (postgres_exec "$postgresql/postgres" -D "$work/pg" -k "$work/pg-socket" \
        -c listen_addresses= -c fsync=on -c synchronous_commit=on -c shared_buffers=256MB \
        -c max_wal_size=4GB -c checkpoint_timeout=30min -c autovacuum_naptime=1s) \
        >>"$work/log" 2>&1 &
    server=$! signal=INT # do not wait for clients
    await "$postgresql/pg_isready" -q -h "$work/pg-socket" -U bench -d postgres || return 1
    record "$peers/postgresql" -n "$jobs" ${1:+"$1"} -p "$(head -1 "$work/pg/postmaster.pid")" \
        "$work/pg-socket"
}

# ---- who is there -------------------------------------------------------------------------------
compile disk disk.c
versions=$("$bin/argosy" --version)
has_beanstalkd='' has_redis='' postgresql=''
if command -v beanstalkd >/dev/null; then
    has_beanstalkd=1
    compile beanstalkd beanstalkd.c peer.c
    versions="$versions; $(beanstalkd -v)"
else
    skip "beanstalkd is not installed (package beanstalkd)"
fi
if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then
    has_redis=1
    compile redis redis.c peer.c
    versions="$versions; Redis $(redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/')"
else
    skip "Redis is not installed (package redis-server)"
fi
# Debian keeps them out of the way; the newest comes last.
for folder in "$(dirname "$(command -v postgres || echo /none/postgres)")" /usr/lib/postgresql/*/bin; do
    if [ -x "$folder/initdb" ] && [ -x "$folder/pg_isready" ]; then postgresql=$folder; fi
done
if [ -z "$postgresql" ]; then
    skip "PostgreSQL's server is not installed (package postgresql)"
elif ! pkg-config --exists libpq 2>/dev/null; then
    skip "PostgreSQL's client library is not installed (packages libpq-dev, pkg-config)"
    postgresql=
else
    # shellcheck disable=SC2046 # flags are words
    compile postgresql postgresql.c peer.c $(pkg-config --cflags --libs libpq)
    versions="$versions; $("$postgresql/postgres" --version)"
    prepare_postgresql
fi
skip "gearmand: its queue is in memory, and not durable"

# ---- the machine --------------------------------------------------------------------------------
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
filesystem=$(stat -f -c %T "$disk")
case $filesystem in
tmpfs | ramfs) echo "run.sh: $disk is in memory: nothing there is durable; use --dir" >&2 ;;
esac
echo "machine   $(nproc) cores, ${processor:-unknown processor}, $memory; Linux $(uname -r), $filesystem"
echo "versions  $versions"
echo "load      $(cut -d' ' -f1-3 /proc/loadavg) before the run"
echo "run       $jobs jobs of 100 bytes ($slow_jobs where each has its own fsync), 10000 ahead," \
    "one client, one worker, $rounds rounds"

# ---- the rounds ---------------------------------------------------------------------------------
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    measure disk measure_disk
    measure "Argosy, SQLite" run_argosy "sqlite:$work/store/jobs.db"
    [ -z "$has_beanstalkd" ] || measure "beanstalkd -f0" run_beanstalkd "$slow_jobs" -f0 -r
    [ -z "$has_beanstalkd" ] || measure "beanstalkd -f0, acked" run_beanstalkd "$slow_jobs" -f0
    [ -z "$postgresql" ] || measure "PostgreSQL" run_postgresql -r
    [ -z "$postgresql" ] || measure "PostgreSQL, acked" run_postgresql
    [ -z "$has_redis" ] || measure "Redis, always" run_redis -r
    [ -z "$has_redis" ] || measure "Redis, always, acked" run_redis
    measure "Argosy, memory" run_argosy memory
    [ -z "$has_beanstalkd" ] || measure "beanstalkd -F" run_beanstalkd "$jobs" -F -r
    [ -z "$has_beanstalkd" ] || measure "beanstalkd -F, acked" run_beanstalkd "$jobs" -F
done
echo "load      $(cut -d' ' -f1-3 /proc/loadavg) after it"
awk -F'|' -f "$here/table.awk" "$work/data"
! grep -q '|failed$' "$work/data"
