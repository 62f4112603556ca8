#!/bin/sh
# "From asyncio to a fleet" (doc/semantics.md): each row of the table, with real processes. A function
# carries its row's name. One broker with a small bound, two workers; rows that need another fleet
# start their own.
. "$(dirname "$0")/harness.sh"
patience=10
failed=0

fail() {
    echo "  $row: $*" >&2
    failed=1
}

# expect TEXT PATTERN: the text matches the pattern of case.
expect() {
    # shellcheck disable=SC2254 # a pattern is wanted
    case $1 in $2) ;; *) fail "'$1' is not like '$2'" ;; esac
}

state_is() { argosy show "$1" | grep -q "^state  *$2"; }
workers_are() { [ "$(argosy workers --json 2>/dev/null | wc -l)" -eq "$1" ]; }
now_ms() { date +%s%3N; }

start_broker() { # NAME [OPTION...]
    name=$1
    shift
    argosy-broker --bind "ipc://$work/$name" --store "sqlite:$work/$name.db" --log info "$@" 2>"$name.log" &
    pids="$pids $!"
    last=$!
}

start_worker() { # NAME [OPTION...]
    name=$1
    shift
    argosy-worker --name "$name" --kinds exec,fetch,analyze --allow-exec '*' --allow-net any \
        --root / --log debug "$@" 2>"$name.log" &
    pids="$pids $!"
    last=$!
}

job() { # one job detached: its id
    argosy exec --detach --ids "$@"
}

# ---- the rows ------------------------------------------------------------------------------------

asyncio_run_main() {
    out=$(TMPDIR=$work argosy run --workers 2 exec -- echo done 2>&1)
    expect "$out" done
    [ -z "$(find "$work" -maxdepth 1 -name 'argosy-*')" ] || fail "it left its directory"
}

create_task_fire_and_forget() {
    id=$(argosy exec --detach -- true)
    expect "$id" '0?????????????????????????'
    argosy wait "$id" >/dev/null || fail "the batch $id did not succeed"
}

gather_return_exceptions() {
    out=$(printf '0.2\n0\n0.1\n' | argosy exec --ordered -i - -- sh -c 'sleep {}; echo {}; test {} != 0' \
        2>report)
    [ $? -eq 1 ] || fail "the exit code does not tell of the failure"
    expect "$(echo "$out" | tr '\n' ' ')" '0.2 0 0.1 '
    grep -q 'ExceptionGroup: .*1 of 3 jobs failed' report || fail "the report is $(cat report)"
}

task_group() {
    printf '30\n0\n30\n' |
        argosy exec --policy taskgroup --json -i - -- sh -c 'sleep {}; test {} != 0' \
            >out 2>report && fail "it should have failed"
    [ "$(grep -c '"state":"cancelled"' out)" -eq 2 ] || fail "the siblings were not cancelled"
    grep -q '1 of 3 jobs failed' report || fail "the report is $(cat report)"
    grep -q 'cancelled' report && fail "the report holds the cancellations it caused"
    until_true eval '! pgrep -f "sleep 30"'
}

as_completed_and_async_generators() {
    out=$(printf '0.6\n0.1\n0.3\n' | argosy exec -i - -- sh -c 'sleep {}; echo {}')
    expect "$(echo "$out" | tr '\n' ' ')" '0.1 0.3 0.6 '
    argosy exec --json --partial -- sh -c 'echo one; sleep 0.3; echo two' >out
    expect "$(sed -n 1p out)" '*"progress":*"partial":{"stdout":"one\\n"}*'
    expect "$(grep '"state"' out)" '*"stdout":"one\\ntwo\\n"*'
}

wait_first_completed() {
    begin=$(now_ms)
    out=$(printf '20\n0.1\n20\n' | argosy exec --policy race -i - -- sh -c 'sleep {}; echo {}' 2>/dev/null)
    [ $? -eq 0 ] || fail "the first success is a success"
    expect "$out" 0.1
    [ $(($(now_ms) - begin)) -lt 5000 ] || fail "it waited for the losers"
    printf 'a\nb\n' | argosy exec --policy race -i - -- false >/dev/null 2>&1 &&
        fail "all failing is a failure"
}

semaphore() {
    script='exec 9>>lock; flock -n 9 || exit 9; sleep 0.1'
    cd "$work" || exit 1
    seq 4 | argosy exec --concurrency 1 --cwd "$work" -i - -- sh -c "$script; : {}" ||
        fail "two of a group ran at once"
    seq 4 | argosy exec --key k --key-max 1 --cwd "$work" -i - -- sh -c "$script; : {}" ||
        fail "two of a key ran at once"
    argosy resume exec --limit 1
    seq 4 | argosy exec --cwd "$work" -i - -- sh -c "$script; : {}" ||
        fail "two of a queue ran at once"
    argosy resume exec --limit 0
}

timeout_and_wait_for() {
    out=$(argosy exec --json --run-timeout 200ms --retries 0 -- sleep 20 2>/dev/null)
    expect "$out" '*"type":"timeout.run"*'
    argosy pause slow
    out=$(argosy exec --json --queue slow --queue-timeout 200ms -- true 2>/dev/null)
    expect "$out" '*"type":"timeout.queue"*'
    argosy resume slow
    argosy exec --deadline 200ms -- sleep 20 >/dev/null 2>report
    [ $? -eq 4 ] || fail "a deadline has its own exit code"
    grep -q timeout.group report || fail "the report is $(cat report)"
}

retry_with_backoff() {
    out=$(argosy exec --json --cwd "$work" --retry attempts=5,base=10ms,on=handler.exec.exit -- \
        sh -c 'echo >>tries; test "$(wc -l <tries)" -ge 3')
    expect "$out" '*"state":"succeeded","attempt":3,*'
    begin=$(now_ms)
    argosy fetch --retries 2 --body none "$http/flaky/1/row?retry_after=1" >/dev/null ||
        fail "it was not tried again"
    [ $(($(now_ms) - begin)) -ge 900 ] || fail "Retry-After did not count"
}

cancelled_error() {
    id=$(job --cwd "$work" -- sh -c 'trap "echo clean >cleaned; exit 0" TERM; echo >began; while :; do sleep 0.05; done')
    until_true test -e began
    argosy cancel "$id" >/dev/null
    until_true state_is "$id" cancelled
    [ "$(cat cleaned 2>/dev/null)" = clean ] || fail "it could not clean up"
}

to_thread() {
    argosy analyze --detach /usr/include /usr/share/doc >/dev/null
    begin=$(now_ms)
    argosy exec -- true || fail "exec failed"
    [ $(($(now_ms) - begin)) -lt 1500 ] || fail "the loop waited for the pool"
}

queue_maxsize() {
    start_broker small --jobs-max 20 --result-ttl 1s
    ARGOSY_CONNECT=ipc://$work/small start_worker w-small --slots exec=4
    out=$(seq 120 | ARGOSY_CONNECT=ipc://$work/small argosy exec -i - -- echo | wc -l)
    [ "$out" -eq 120 ] || fail "$out of 120 came through"
    kill "$last"
}

schedule_at_and_every() {
    id=$(argosy schedule add --every 100ms --times 3 --key tick exec '{"argv":["true"]}')
    until_true eval "argosy schedule list | grep -q '$id.*fired 3 of 3'"
    argosy schedule rm "$id" || fail "it cannot be removed"
    [ "$(argosy list --json | grep -c '"key":"tick"')" -eq 3 ] || fail "not three jobs"
    argosy schedule add --cron '61 * * * *' exec '{"argv":["true"]}' 2>err && fail "a bad line is taken"
    grep -q "minute: '61'" err || fail "it says $(cat err)"
    begin=$(now_ms)
    argosy exec --delay 300ms -- true
    [ $(($(now_ms) - begin)) -ge 300 ] || fail "--delay did not count"
}

async_context_managers_and_pools() {
    out=$(argosy fetch --json --concurrency 1 "$http/bytes/10" "$http/bytes/11" "$http/bytes/12")
    expect "$out" '*"reused":true*'
}

aiofiles_and_chunks() {
    argosy fetch -o "$work/big" "$http/bytes/60000000" >/dev/null || fail "it was not fetched"
    [ "$(stat -c %s big)" -eq 60000000 ] || fail "the file is not whole"
    for pid in $first $second; do
        peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
        case $ARGOSY_BIN in *san/bin) ;; *) [ "$peak" -lt 60000 ] || fail "a body was whole in memory: $peak kB" ;; esac
    done
}

repository_pattern() { # two stores by name, one of which forgets; a source
    argosy-broker --store nonesuch 2>err && fail "an unknown store is taken"
    grep -q memory err || fail "it says $(cat err)"
    for store in memory "sqlite:$work/kept.jobs"; do
        start_broker kept --store "$store"
        until_true test -S kept
        id=$(ARGOSY_CONNECT=ipc://$work/kept job true)
        kill "$last" && wait "$last"
        start_broker kept --store "$store"
        until_true test -S kept
        ARGOSY_CONNECT=ipc://$work/kept argosy show "$id" >"kept.${store%%:*}" 2>&1
        kill "$last" && wait "$last"
    done
    expect "$(cat kept.memory)" '*not_found*'
    expect "$(cat kept.sqlite)" '*queued*'
    mkdir -p src && printf 'int a;\n' >src/a.c
    out=$(argosy analyze --format json "$work/src")
    expect "$out" '*"files":1,"lines":1*'
}

graceful_shutdown() {
    start_broker leaving
    leaving_broker=$last
    ARGOSY_CONNECT=ipc://$work/leaving start_worker w-leaves --grace 5s --slots exec=1
    leaves=$last
    id=$(ARGOSY_CONNECT=ipc://$work/leaving job --cwd "$work" -- sh -c 'echo >runs; sleep 0.5; echo >ended')
    ids=$(seq 3 | ARGOSY_CONNECT=ipc://$work/leaving argosy exec --detach -i - -- true)
    until_true test -e runs
    kill -TERM "$leaves"
    wait "$leaves" || fail "the worker did not leave well"
    [ -e ended ] || fail "what ran was not let end"
    ARGOSY_CONNECT=ipc://$work/leaving start_worker w-comes
    ARGOSY_CONNECT=ipc://$work/leaving argosy wait "$id" "$ids" >/dev/null || fail "jobs were lost"
    kill -TERM "$leaving_broker"
    wait "$leaving_broker" || fail "the broker did not leave well"
}

logging_exception() {
    id=$(job -- false)
    argosy wait "$id" >/dev/null 2>&1
    cat w-1.log w-2.log >all.log
    grep "attempt begins" all.log | grep -q "job=$id attempt=1 " || fail "no line names the job and attempt"
}

# ---- the fleet -----------------------------------------------------------------------------------

row=start
start_broker broker
start_worker w-1 --slots exec=8
first=$last
start_worker w-2 --slots exec=8
second=$last
serve_http
http=http://$(sed -n "s/^http //p" port)
until_true workers_are 2

for row in asyncio_run_main create_task_fire_and_forget gather_return_exceptions task_group \
    as_completed_and_async_generators wait_first_completed semaphore timeout_and_wait_for \
    retry_with_backoff cancelled_error to_thread queue_maxsize schedule_at_and_every \
    async_context_managers_and_pools aiofiles_and_chunks repository_pattern graceful_shutdown \
    logging_exception; do
    before=$failed
    failed=0
    "$row" </dev/null
    [ "$failed" -eq 0 ] && echo "ok $row"
    failed=$((failed | before))
done

row=end
expect "$(argosy status --json)" '*"unaccounted_jobs":0*'
exit $failed
