#!/bin/sh
# Somebody sets the broker's clock by hours while jobs run and schedules tick: no lease ends early,
# nothing is tried twice, a schedule goes on and makes up for nothing twice.
. "$(dirname "$0")/harness.sh"
ARGOSY_CLOCK=$work/clock
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
export ARGOSY_CLOCK ASAN_OPTIONS

fail() {
    echo "$*" >&2
    cat broker.log >&2
    exit 1
}

set_clock() {
    echo "$1" >clock.new
    mv clock.new clock
}

ticks() { argosy status --json | sed 's/.*"ticks": *\([0-9]*\).*/\1/'; }
has_ticked() { [ "$(ticks)" -ge "$1" ]; }

set_clock 0
LD_PRELOAD=$ARGOSY_PRELOAD_CLOCK argosy-broker --bind "$ARGOSY_CONNECT" --heartbeat 500ms --log info \
    2>broker.log &
pids="$pids $!"
until_true test -S broker
argosy-worker --kinds exec --allow-exec '*' --root / --slots exec=32 --log warning 2>worker.log &
pids="$pids $!"
argosy schedule add --every 1s exec -- true >/dev/null || fail "no schedule"
until_true has_ticked 2

seq 12 | argosy exec --json -i - -- sleep 4 >out 2>err &
client=$!
steps=0
set_and_wait() { # SECONDS: until the broker has seen it
    set_clock "$1"
    steps=$((steps + 1))
    until_true sh -c "[ \$(grep -c 'wall clock was set' broker.log) -ge $steps ]"
}
for ahead in 3600 31536000; do
    before=$(ticks)
    set_and_wait $ahead # what was missed is made up for once
    until_true has_ticked $((before + 2))
    [ $(($(ticks) - before)) -le 6 ] || fail "$(($(ticks) - before)) ticks after a step of $ahead s"
    before=$(ticks)
    set_and_wait $((ahead - 7200)) # the next tick waits for its time
    [ $(($(ticks) - before)) -le 1 ] || fail "$(($(ticks) - before)) ticks after a step back"
done
wait "$client" || fail "jobs failed: $(cat err)"
[ "$(grep -c '"state": *"succeeded"' out)" -eq 12 ] || fail "not 12 successes: $(cat out)"
grep -q '"attempt": *[2-9]' out && fail "something was tried twice: $(cat out)"
grep -q "fell silent" broker.log && fail "somebody was taken for silent"
case $(argosy status --json) in *'"unaccounted_jobs": 0'* | *'"unaccounted_jobs":0'*) ;; *) fail "$(argosy status --json)" ;; esac
