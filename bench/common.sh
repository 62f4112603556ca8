# shellcheck shell=sh
# What the benchmarks share; sourced by their run.sh.

stop() { # PID [SIGNAL]
    [ -n "$1" ] || return 0
    kill "-${2:-TERM}" "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

skip() {
    echo "left out: $*" >&2
}

# Until the command succeeds; ten seconds at most. Who calls it ends the measurement when it fails.
await() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 200 ]; then
            echo "run.sh: this did not come true: $*" >&2
            return 1
        fi
        sleep 0.05
    done
}

# The programs of this tree, as they are released. They are found in $bin.
build_programs() { # TOP
    bin=$1/build/release/bin
    (
        cd "$1"
        cmake --preset release >/dev/null
        cmake --build --preset release -j "$(nproc)" \
            --target argosy argosy-broker argosy-worker -- --no-print-directory -s >&2
    )
}
