#!/bin/sh
# The examples of doc/examples, each against a real fleet.
set -eu
work=$(mktemp -d)
pids=
finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT
export XDG_RUNTIME_DIR="$work" XDG_CONFIG_HOME="$work" XDG_STATE_HOME="$work"

"$ARGOSY_BIN/argosy" broker --log error &
pids="$pids $!"
"$ARGOSY_BIN/argosy" worker --kinds exec,fetch,analyze --log error --allow-exec '*' --allow-net any \
    --root "$work" &
pids="$pids $!"
"$ARGOSY_TEST_HTTP_SERVER" --with-parent --port-file "$work/ports" >/dev/null &
pids="$pids $!"
until grep -q '^ca ' "$work/ports" 2>/dev/null; do sleep 0.02; done
http=$(sed -n 's/^http /http:\/\//p' "$work/ports")

# says EXAMPLE LINES [ARGUMENT...]: its output is these lines, and may go on.
says() {
    name=$1 lines=$2
    shift 2
    "$ARGOSY_BIN/example_$name" "$@" >"$work/out" 2>"$work/err" || {
        echo "$name failed: $(cat "$work/err")" >&2
        exit 1
    }
    case $(cat "$work/out") in
    "$lines"*) echo "ok $name" ;;
    *)
        echo "$name said: $(cat "$work/out")" >&2
        exit 1
        ;;
    esac
}

says taskgroup '1 failed, 1 cancelled
  + ExceptionGroup: outer: 1 of 2 jobs failed (1 sub-exception)
  +-+---------------- 1 ----------------
    | ExceptionGroup: inner: 1 of 2 jobs failed (1 sub-exception)
    +-+---------------- 1 ----------------
      | handler.exec.exit.7: broken'
says race 'job 1 is first
1 cancelled'
says streaming 'job 0 goes on
job 1 has ended
job 0 goes on
job 0 has ended'
says cancel '2 cancelled, 0 not confirmed'
says fetch_then_analyze 'fetch succeeded
analyze succeeded' "$http/bytes/100" "$work/file.txt"

# The same from the command line.
id=$("$ARGOSY_BIN/argosy" fetch --detach --ids -o "$work/other.txt" "$http/bytes/10")
"$ARGOSY_BIN/argosy" analyze --after "$id" --format json | grep -q '"source":'
echo 'ok fetch, then analyze, from the command line'
