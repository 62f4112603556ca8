# shellcheck shell=sh
# What the shell tests share: sourced first, it makes a folder of their own and goes there, finds the
# programs, and keeps every configuration and store of whoever runs the tests away. In the end the
# processes in $pids are ended and the folder is removed; clean_up() may be defined for more.
set -u
work=$(mktemp -d)
pids=
patience=20

harness_end() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait || true
    clean_up
    rm -rf "$work"
}
clean_up() { :; }
trap harness_end EXIT

cd "$work" || exit 1
PATH=$ARGOSY_BIN:$PATH
ARGOSY_CONNECT=ipc://$work/broker
XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state
mkdir "$XDG_STATE_HOME"
export PATH ARGOSY_CONNECT XDG_CONFIG_HOME XDG_STATE_HOME

# fail WORDS...: the test is over. One that goes on to the end defines it anew.
fail() {
    echo "$*" >&2
    exit 1
}

# until_true COMMAND...: for at most $patience seconds.
until_true() {
    for _ in $(seq $((patience * 20))); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    fail "never: $*"
    return 1
}

# serve_http: the server that misbehaves on request; its addresses stand in $work/port.
serve_http() {
    "$ARGOSY_TEST_HTTP_SERVER" --with-parent --port-file "$work/port" >/dev/null &
    pids="$pids $!"
    until_true test -s "$work/port"
}
