#!/bin/sh
# A broker whose disk fails, is slow, or is full: it never goes away, and nothing acknowledged is
# lost. The full disk is a small tmpfs, for which the right to mount is needed.
. "$(dirname "$0")/harness.sh"
patience=10
clean_up() { umount "$work/small" 2>/dev/null; }
ARGOSY_DISK=$work
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
export ARGOSY_DISK ASAN_OPTIONS

fail() {
    echo "$*" >&2
    cat broker.log >&2
    exit 1
}

start_broker() { # STORE
    LD_PRELOAD=$ARGOSY_PRELOAD_DISK argosy-broker --bind "$ARGOSY_CONNECT" --store "$1" \
        --heartbeat 500ms --log info 2>>broker.log &
    broker=$!
    pids="$pids $broker"
    until_true test -S broker
}

stop_broker() {
    kill "$broker"
    wait "$broker" || fail "the broker did not end well"
    rm -f broker
}

queued() { argosy status --json | sed 's/.*"queued":\([0-9]*\).*/\1/'; }
log_has() { grep -q "$1" broker.log; }
submit() { seq "$1" | argosy exec --detach --quiet -i - -- true {} >/dev/null; }

# ---- a failed fsync -----------------------------------------------------------------------------
start_broker sqlite:jobs.db
submit 100 || fail "100 jobs were not taken"
touch fail
submit 50 &
client=$!
until_true log_has "beginning anew"
rm fail
wait "$client" || fail "the client did not ride through"
until_true test "$(queued)" -eq 150
[ "$(queued)" -eq 150 ] || fail "$(queued) jobs instead of 150 after a failed fsync"
kill -0 "$broker" || fail "the broker has gone"
echo "ok a failed fsync"

# ---- a slow one ---------------------------------------------------------------------------------
head -c 300 /dev/zero >slow
argosy-worker --kinds exec --allow-exec '*' --root / --slots exec=64 --log warning 2>worker.log &
worker=$!
pids="$pids $worker"
out=$(seq 100 | timeout 60 argosy exec -i - -- echo {} | sort -n | tail -n 1)
[ "$out" = 100 ] || fail "a slow disk: the last of 100 jobs is '$out'"
kill "$worker" && wait "$worker"
log_has "fell silent" && fail "somebody was taken for silent while the disk was slow"
rm slow
stop_broker
echo "ok a slow disk"

# ---- a full one ---------------------------------------------------------------------------------
mkdir small
if mount -t tmpfs -o size=40m tmpfs small 2>/dev/null; then
    start_broker sqlite:small/jobs.db
    submit 100 || fail "100 jobs were not taken"
    head -c 100M /dev/zero >small/filler 2>/dev/null
    before=$(queued)
    # Larger than what is left in the log of the database.
    head -c 60000 /dev/zero | tr '\0' x >long
    seq 600 | argosy exec --detach --quiet --env "LONG=$(cat long)" -i - -- true {} >/dev/null 2>err &
    client=$!
    pids="$pids $client"
    until_true log_has "the disk is full"
    kill -0 "$broker" || fail "the broker has gone"
    timeout 20 argosy status >/dev/null || fail "it does not answer"
    rm small/filler # as much as it was, and more
    mount -o remount,size=200m small
    begin=$(date +%s)
    wait "$client" || fail "the client was not served when there was room: $(cat err)"
    [ $(($(date +%s) - begin)) -le 5 ] || fail "it took longer than 5 s"
    [ "$(queued)" -eq $((before + 600)) ] || fail "$(queued) jobs instead of $((before + 600))"
    until_true log_has "room on the disk again"
    stop_broker
    echo "ok a full disk"
else
    echo "skipped: a full disk (nothing may be mounted here)"
fi
