#!/bin/sh
# A batch of 100,000 URLs whose workers and broker are killed in the middle: every result is told once,
# nothing is fetched again but what a dead worker had in its hands, and nobody's memory grows with the
# batch. The same for a batch that nobody watches, and for one that writes files.
#
# The last twentieth of the URLs is given when all has been killed and measured, so that the batch
# cannot be over before.
. "$(dirname "$0")/harness.sh"
patience=60
held=128 # jobs in one worker's hands: 64 slots, and as many read ahead
case $ARGOSY_BIN in
*san/bin) many=${ARGOSY_MANY:-10000} files=400 is_measured=false ;;
*) many=${ARGOSY_MANY:-100000} files=2000 is_measured=true ;;
esac

# ---- who takes part
start_broker() {
    argosy-broker --bind "$ARGOSY_CONNECT" --store "sqlite:$work/jobs.db" --heartbeat 300ms \
        --log warning 2>>broker.log 3>&- &
    broker=$!
    pids="$pids $broker"
}
start_worker() { # NAME: $worker is its id then
    argosy-worker --name "$1" --kinds fetch --slots fetch=64 --allow-net "127.0.0.1:$port" --root "$work" \
        --log warning 2>>worker.log 3>&- &
    worker=$!
    pids="$pids $worker"
}
kill_hard() { # PID: it is gone when this returns
    kill -KILL "$1" || fail "$1 was gone before it was killed"
    wait "$1" 2>/dev/null
}
replace_broker() {
    kill_hard "$broker"
    start_broker
}
replace_victim() {
    kill_hard "$victim"
    start_worker victim
    victim=$worker
}
# How many requests for /NAME the server has had.
requests() {
    argosy fetch --json "http://127.0.0.1:$port/count/$1" | sed -n 's/.*"body":"\([0-9]*\).*/\1/p'
}

# ---- what came of it
# From here on at least so much of it has been told.
told() { [ "$(wc -l <results)" -ge $((many / 100 * $1)) ]; } # PERCENT
# all_once FILE: a line of success for each index, in any order, and no other.
all_once() {
    cut -c 1-150 "$1" |
        sed -n 's/^{"job":"[^"]*","index":\([0-9]*\),"kind":"fetch","state":"succeeded",.*/\1/p' |
        sort -n >indexes
    seq 0 $((many - 1)) | cmp -s - indexes ||
        fail "$1: $(wc -l <"$1") lines, $(wc -l <indexes) of success, $(sort -nu indexes | wc -l) different ones"
}
# repeated NAME COUNT: how many requests there were beyond one for each of COUNT.
repeated() { echo $(($(requests "$1") - $2)); }
unaccounted_is_0() { argosy status --json | grep -q '"unaccounted_jobs":0'; }

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; } # kB
# measure AT: what the three need now, as client_AT, steady_AT and broker_AT; steady is never killed.
measure() {
    for who in client steady broker; do
        eval "pid=\$$who"
        kb=$(resident "$pid") && [ -n "$kb" ] || fail "at $1 %: no $who"
        eval "${who}_$1=$kb"
    done
    echo "at $1 %: $(wc -l <results) results; client $(resident "$client") kB," \
        "worker $(resident "$steady") kB, broker $(resident "$broker") kB;" \
        "$(argosy status --json | sed 's/.*"succeeded":\([0-9]*\).*/\1/') ended and not told"
}
# grows_less KB WHAT BEFORE AFTER
grows_less() {
    ! $is_measured || [ $(($4 - $3)) -le "$1" ] || fail "$2 grew from $3 to $4 kB"
}

serve_http
port=$(sed -n 's/^http .*://p' port)
start_broker
start_worker steady
steady=$worker
start_worker victim
victim=$worker

# ---- watched by its client
begin=$(date +%s%3N)
seq "$many" | sed "s|.*|http://127.0.0.1:$port/delay/10/100?n=&|" >urls
: >results
mkfifo feed
argosy fetch --json --output results - <feed 2>client.log &
client=$!
pids="$pids $client"
exec 3>feed
head -n $((many / 100 * 95)) urls >&3 &
pids="$pids $!"
until_true told 20
measure 20
until_true told 25
replace_victim
until_true told 30
replace_broker
until_true told 35
replace_victim
until_true told 40
replace_broker
until_true told 50
measure 50
until_true told 90
measure 90
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$broker/status")
tail -n +$((many / 100 * 95 + 1)) urls >&3
exec 3>&-
wait "$client" || fail "the client: $(cat client.log)"
echo "watched: $many in $(($(date +%s%3N) - begin)) ms"

tail -n 1 results | grep -q "^{\"report\":.*\"errors\":\[\],\"counts\":{\"total\":$many,\"succeeded\":$many,\"failed\":0,\"cancelled\":0," ||
    fail "the report: $(tail -n 1 results)"
sed -i '$d' results
all_once results
more=$(repeated delay "$many")
echo "watched: $more fetched again"
[ "$more" -ge 0 ] && [ "$more" -le $((2 * held)) ] || fail "$more repeated: more than two workers held"
unaccounted_is_0 || fail "jobs are unaccounted for"
# A client and a worker hold what is on its way, and that is as much at the beginning as at the end.
# The broker keeps 56 bytes and no payload of what is queued behind the first 4,096, 8 to 16 of what
# has been told, and all of what has ended and not been told: that is little, because the server's 10 ms
# keep the workers slower than the client. After a restart it has read all that was queued, so it is
# measured from there.
grows_less 4096 "the client" "$client_20" "$client_90"
grows_less 2048 "the worker" "$steady_20" "$steady_90"
grows_less 4096 "the broker" "$broker_50" "$broker_90"
! $is_measured || [ "$peak" -le $((40000 + many * 100 / 1024)) ] || fail "the broker took $peak kB"

# ---- nobody watches it; the broker alone is killed, and nothing is repeated
seq "$many" | sed "s|.*|http://127.0.0.1:$port/page/&|" >urls
begin=$(date +%s%3N)
id=$(argosy fetch --detach -i urls) || fail "it was not taken"
succeeded() { argosy show --json "$id" | sed -n 's/.*"succeeded":\([0-9]*\),.*/\1/p'; }
ended_at_least() { [ "$(succeeded)" -ge "$1" ]; }
until_true ended_at_least $((many / 10))
replace_broker
until_true ended_at_least $((many / 3))
replace_broker
argosy wait "$id" >end || fail "the batch: $(cat end)"
echo "detached: $many in $(($(date +%s%3N) - begin)) ms; broker $(resident "$broker") kB"
grep -q "$many succeeded, 0 failed, 0 cancelled of $many" end || fail "its end: $(cat end)"
[ "$(argosy report --json "$id")" = null ] || fail "its report: $(argosy report "$id")"
argosy result --json "$id" >results
all_once results
more=$(repeated page "$many")
[ "$more" -eq 0 ] || fail "$more fetched again though no worker died"

# ---- files: the only worker is killed
kill_hard "$victim"
kill "$steady"
wait "$steady" || fail "a worker did not end well"
hidden() { find out -name '.argosy-*' | sort; }
# Every file that has its final name, which is its size, is whole.
no_half_file() {
    find out -type f ! -name '.argosy-*' -printf '%s %f\n' | awk '$1 != $2 { print; exit 1 }' >half ||
        fail "half a file: $(cat half)"
}
count_files() { find out -type f ! -name '.argosy-*' | wc -l; }
files_at_least() { [ "$(count_files)" -ge "$1" ]; }
mkdir out
seq 200001 $((200000 + files)) | sed "s|.*|http://127.0.0.1:$port/bytes/&|" >urls
begin=$(date +%s%3N)
argosy fetch --json -i urls -o 'out/{name}' --output results 2>client.log &
client=$!
pids="$pids $client"
: >left
for percent in 20 50; do
    start_worker victim
    until_true files_at_least $((files * percent / 100))
    kill_hard "$worker"
    no_half_file
    hidden >now
    cat now >>left
done
start_worker steady
wait "$client" || fail "the client: $(cat client.log)"
echo "files: $files in $(($(date +%s%3N) - begin)) ms, $(sort -u left | wc -l) left hidden by two that were killed"
many=$files
sed -i '$d' results
all_once results
no_half_file
[ "$(count_files)" -eq "$files" ] || fail "$(count_files) files"
sed -n 's/.*"sha256":"\([0-9a-f]*\)".*"file":"\([^"]*\)".*/\1  \2/p' results >sums
[ "$(wc -l <sums)" -eq "$files" ] || fail "$(wc -l <sums) files in results"
sha256sum --quiet -c sums || fail "a file is not what its result says"
hidden >now
sort -u left | comm -13 - now >new
[ ! -s new ] || fail "left behind by a worker that was not killed: $(cat new)"
more=$(repeated bytes "$files")
echo "files: $more fetched again"
[ "$more" -ge 0 ] && [ "$more" -le $((2 * held)) ] || fail "$more repeated: more than two workers held"
