#!/bin/sh
# argosy check, backup, export: on a store in use, on a copy, and on everything that is no sound store.
. "$(dirname "$0")/harness.sh"
TZ=UTC
# What a sanitizer finds must not look like a problem that check has found.
ASAN_OPTIONS=${ASAN_OPTIONS:-}:exitcode=66 UBSAN_OPTIONS=${UBSAN_OPTIONS:-}:exitcode=66
export TZ ASAN_OPTIONS UBSAN_OPTIONS
db=state/argosy/jobs.db

# expect CODE PATTERN COMMAND...: its exit code, and a line of what it says.
expect() {
    want=$1 pattern=$2
    shift 2
    timeout 60 "$@" >said 2>&1
    code=$?
    [ $code -eq "$want" ] || fail "$*: exit code $code, not $want: $(cat said)"
    grep -q -- "$pattern" said || fail "$*: '$pattern' is not in: $(cat said)"
}

# spoil SQL: a copy of the sound store, changed; its name is bad.db.
spoil() {
    cp copy.db bad.db
    sqlite3 bad.db "$1" || fail "sqlite3 cannot: $1"
}

lines() { grep -c "$1" out.ndjson; }

# ---- a store in use --------------------------------------------------------------------------------
expect 3 "there is no store at $work/state/argosy/jobs.db" argosy check
argosy-broker --bind "ipc://$work/broker" --log error,store=warning 2>broker.log &
broker=$!
argosy-worker --name w --kinds exec --allow-exec '*' --log error 2>worker.log &
worker=$!
pids="$broker $worker"
done=$(printf '0\n3\n0\n' | argosy exec --detach --group 'three of them' --retries 0 -i - -- sh -c 'echo "got {}"; exit {}')
argosy wait "$done" >/dev/null 2>&1
again=$(argosy exec --detach --retry attempts=9,base=1h,cap=1h,on=handler -- false)
later=$(argosy exec --detach --ids --delay 1h --unique one --priority 2 -- true)
argosy submit --detach --after "$later" exec '{"argv":["true"]}' >/dev/null
argosy pause slow
argosy schedule add --cron '0 7 * * MON-FRI' --tz Europe/Berlin exec '{"argv":["true"]}' >/dev/null
for _ in $(seq 100); do
    argosy list --group "$again" --json | grep -q '"state":"scheduled"' && break
    sleep 0.05
done

expect 0 '^sound$' argosy check
grep -q '^jobs  *3 open, 2 succeeded, 1 failed, 0 cancelled$' said || fail "check says $(cat said)"
grep -q '^groups  *3 open, 1 ended$' said || fail "check says $(cat said)"
expect 0 '"sound":true,"format":1,.*"queues":1,"schedules":1,"problems":\[\]}$' argosy check --json "sqlite:$db"

# Jobs arrive while it is copied and printed: each sees one moment.
(while [ ! -e stop ]; do argosy exec --detach -- true >/dev/null || exit 0; done) &
writer=$!
umask 000
for i in 1 2 3 4 5; do
    expect 0 "is copied to copy$i.db" argosy backup "copy$i.db"
    expect 0 '^sound$' argosy check
    expect 0 '"record":"schedule"' argosy export "$db"
done
umask 022
touch stop
wait $writer
[ "$(stat -c %a copy1.db)" = 600 ] || fail "the copy's mode is $(stat -c %a copy1.db)"
for i in 1 2 3 4 5; do expect 0 '^sound$' argosy check "copy$i.db"; done
[ -z "$(find . -name 'copy*.db?*')" ] || fail "it left $(find . -name 'copy*.db?*')"

argosy backup --quiet copy.db 2>said || fail "backup: $(cat said)"
[ ! -s said ] || fail "--quiet: $(cat said)"
cp copy.db before.db
expect 2 'copy.db is there already' argosy backup "$db" copy.db
ln -s nowhere link.db
expect 2 'link.db is there already' argosy backup link.db
expect 3 'cannot write none/copy.db' argosy backup none/copy.db
expect 3 'argosy backup: cannot copy' sh -c 'trap "" XFSZ; ulimit -f 16; argosy backup copy.db never.db'
[ -z "$(find . -name 'never.db*')" ] || fail "it left $(find . -name 'never.db*')"
cmp -s copy.db before.db || fail 'a refused backup changed the file'

# ---- what an export tells --------------------------------------------------------------------------
argosy export --output out.ndjson copy.db || fail 'export failed'
[ "$(lines '"record":"job".*"group_name":"three of them"')" -eq 3 ] || fail "jobs: $(cat out.ndjson)"
grep -q "^{\"record\":\"job\",\"job\":\"01[0-9A-Z]*\",\"group\":\"$done\",\"group_name\":\"three of them\",\"index\":1,\"kind\":\"exec\",\"queue\":\"exec\",\"priority\":5,\"state\":\"failed\",\"accepted_unix_ms\":1[0-9]*,.*\"attempt\":1,\"worker\":\"w\",\"ended_unix_ms\":1[0-9]*,\"queued_ms\":[0-9]*,\"run_ms\":[0-9]*,.*\"error\":{.*\"handler.exec.exit.3\".*\"payload\":{\"argv\":\[\"sh\"" out.ndjson ||
    fail "the failed one: $(cat out.ndjson)"
grep -q '"state":"succeeded".*"result":{.*got 0' out.ndjson || fail "no result: $(cat out.ndjson)"
grep -q "\"group\":\"$again\".*\"state\":\"open\".*\"attempt\":1,\"next_attempt_unix_ms\":1[0-9]*,\"attempts\":\[{\"attempt\":1,\"worker\":\"w\"" out.ndjson ||
    fail "what is tried again: $(cat out.ndjson)"
grep -q "\"job\":\"$later\".*\"priority\":2,\"state\":\"open\".*\"due_unix_ms\":1[0-9]*,\"unique\":\"one\"" out.ndjson ||
    fail "what begins later: $(cat out.ndjson)"
grep -q "\"after\":\[\"$later\"\]" out.ndjson || fail "what waits: $(cat out.ndjson)"
grep -q "^{\"record\":\"group\",\"group\":\"$done\",\"group_name\":\"three of them\",\"policy\":\"gather\",\"sealed\":true,\"cancelled\":false,\"accepted_unix_ms\":1[0-9]*,\"ended_unix_ms\":1[0-9]*" out.ndjson ||
    fail "the group: $(cat out.ndjson)"
grep -q '^{"record":"queue","queue":"slow","paused":true}$' out.ndjson || fail "the queue: $(cat out.ndjson)"
grep -q '^{"record":"schedule",.*"cron":"0 7 \* \* MON-FRI","tz":"Europe/Berlin",.*"next_unix_ms":1[0-9]*,"fired":0,"kind":"exec",.*"payload":{"argv":\["true"\]}}$' out.ndjson ||
    fail "the schedule: $(cat out.ndjson)"
[ "$(argosy export copy.db | head -n 1 | wc -l)" -eq 1 ] || fail 'nobody reads further'
expect 1 'cannot write the results' sh -c 'argosy export copy.db >/dev/full'

# ---- the copy is a store ---------------------------------------------------------------------------
argosy-broker --bind "ipc://$work/other" --store "sqlite:$work/copy1.db" --log warning 2>other.log &
other=$!
pids="$pids $other"
expect 0 "state  *failed" argosy show --connect "ipc://$work/other" \
    "$(sed -n 's/.*"job":"\([0-9A-Z]*\)".*"state":"failed".*/\1/p' out.ndjson)"
kill $other
wait $other || fail "the broker of the copy: $(cat other.log)"

# ---- sqlite3, as doc/store.md has it ---------------------------------------------------------------
awk '/^```sql$/ { on = 1; next } /^```$/ { on = 0 } on' "$ARGOSY_SOURCE_DIR/doc/store.md" >examples.sql
[ "$(grep -c ';$' examples.sql)" -ge 6 ] || fail 'doc/store.md has no examples'
sqlite3 -readonly -bail "$db" <examples.sql >said 2>&1 || fail "an example of doc/store.md: $(cat said)"
grep -q '^exec|failed|1$' said || fail "the examples say $(cat said)"

kill $worker
wait $worker
kill $broker
wait $broker || fail "the broker: $(cat broker.log)"
[ ! -s broker.log ] || fail "the broker was disturbed: $(cat broker.log)"
expect 0 '^sound$' argosy check

# ---- what is no store ------------------------------------------------------------------------------
for command in check export 'backup'; do
    to=$([ $command = backup ] && echo never.db)
    # shellcheck disable=SC2086 # none, or one
    {
        expect 2 "'memory' is no file" argosy $command memory $to
        expect 2 'is no file' argosy $command postgresql://host/db $to
        expect 2 'empty or too long' argosy $command sqlite: $to
        expect 3 'there is no store at none.db' argosy $command none.db $to
        expect 3 'state is not a file' argosy $command sqlite:state $to
        : >empty.db
        expect 3 'empty.db is empty' argosy $command empty.db $to
        echo 'this is a text, and long enough to be looked at: no database begins so' >text.db
        expect 3 'text.db is not a database' argosy $command text.db $to
        rm -f notes.db
        sqlite3 notes.db 'CREATE TABLE note (text)'
        expect 3 'notes.db is a database of something else' argosy $command notes.db $to
        spoil "UPDATE meta SET value = 99 WHERE key = 'format'"
        expect 3 'format 99, this version knows up to 1' argosy $command bad.db $to
    }
done
if [ "$(id -u)" -ne 0 ]; then
    mkdir closed && cp copy.db closed/ && chmod 000 closed
    expect 3 'cannot read closed/copy.db: Permission denied' argosy check closed/copy.db
    mkdir sealed && cp copy.db sealed/ && sqlite3 sealed/copy.db 'PRAGMA journal_mode = WAL' >said && chmod 500 sealed
    expect 3 'must be able to write beside it' argosy check sealed/copy.db
    chmod 700 sealed closed && chmod 000 closed/copy.db
    expect 3 'cannot read closed/copy.db: Permission denied' argosy check closed/copy.db
fi

# ---- stores that are not sound ---------------------------------------------------------------------
problem() { # PATTERN SQL
    spoil "$2"
    expect 1 "^problem: .*$1" argosy check bad.db
    timeout 60 argosy export bad.db >said 2>&1
    [ $? -le 3 ] || fail "export after $2: $(cat said)"
}
problem 'outcomes of jobs that are not there' 'DELETE FROM job WHERE number IN (SELECT job FROM outcome)'
problem 'jobs without a template' 'DELETE FROM template'
problem 'jobs of groups that are not there' 'DELETE FROM batch'
problem 'outcomes of jobs that have one already: 1$' \
    'CREATE TEMP TABLE o AS SELECT * FROM outcome LIMIT 1; UPDATE o SET number = 100000; INSERT INTO outcome SELECT * FROM o'
problem 'outcomes of no known state' 'UPDATE outcome SET state = 3'
problem 'outcomes from before their jobs' 'UPDATE outcome SET number = -number'
problem 'outcome .* cannot be read' "UPDATE outcome SET attempts = x'ff', remembered = 1"
problem 'record .* cannot be read' "UPDATE job SET attempt = x'9305' WHERE attempt IS NOT NULL"
problem 'job .* cannot be read' "UPDATE job SET waits = x'0102'"
problem 'job .* cannot be read' 'UPDATE job SET due = -9000000000000000000'
problem 'group .* cannot be read' 'UPDATE batch SET succeeded = 9000000000000000000'
problem 'outcomes of no known state' 'UPDATE outcome SET state = 40'
problem 'a job that is there already' 'UPDATE job SET id = (SELECT id FROM job LIMIT 1)'
problem 'has ended before its jobs' 'DELETE FROM outcome'
problem 'epoch and made' "DELETE FROM meta WHERE key = 'epoch'"
problem 'no such table' 'DROP TABLE outcome'
problem '.' 'UPDATE batch SET ended = NULL'

# What is no msgpack is no damage: clients and workers may send what they like.
spoil "UPDATE job SET payload = x'c1ff'; UPDATE outcome SET result = x'c1c3a9', error = NULL"
expect 0 '"result":{"$base64":"wcOp"},.*"payload":{"$base64":"wf8="}}$' argosy export bad.db

# A broker that died while it forgot a group: not a problem, and not told.
spoil "UPDATE batch SET forgotten = 1 WHERE name = 'three of them'"
expect 0 '^sound$' argosy check bad.db
argosy export bad.db >out.ndjson
[ "$(lines 'three of them')" -eq 0 ] || fail 'a forgotten group is exported'

size=$(stat -c %s copy.db)
head -c $((size / 2)) copy.db >bad.db
expect 1 '^problem: ' argosy check bad.db
argosy check --json bad.db | grep -q '"sound":false,.*"problems":\["' || fail 'the same as JSON'
expect 3 '.' argosy backup bad.db never.db
expect 3 'argosy export: .*damaged' argosy export bad.db
# Every page in turn; never a crash, and the damage of a page that is in use is found.
found=0 page=1
while [ $((page * 4096)) -lt "$size" ]; do
    cp copy.db bad.db
    printf 'damagedamagedamagedamagedamage' | dd of=bad.db bs=1 seek=$((page * 4096)) conv=notrunc 2>/dev/null
    timeout 60 argosy check bad.db >said 2>&1
    code=$?
    [ $code -le 1 ] || [ $code -eq 3 ] || fail "page $page: exit code $code: $(cat said)"
    [ $code -ne 1 ] || found=$((found + 1))
    timeout 60 argosy export bad.db >said 2>&1
    code=$?
    [ $code -le 1 ] || [ $code -eq 3 ] || fail "page $page: export: exit code $code: $(cat said)"
    page=$((page + 1))
done
[ $found -ge 5 ] || fail "of $page damaged pages only $found were found"
[ -z "$(find . -name 'never.db*')" ] || fail "it left $(find . -name 'never.db*')"

# ---- a run that is cut off, and gone on with ------------------------------------------------------
seq 12 | argosy run --workers 1 --quiet --store "sqlite:$work/run.db" exec -i - -- \
    sh -c "echo {} >>'$work/did'; sleep 0.5" >/dev/null 2>&1 &
run=$!
for _ in $(seq 400); do
    [ -s did ] && break
    sleep 0.02
done
kill -9 "$run"
wait "$run" 2>/dev/null
for _ in $(seq 400); do # its broker leaves with it
    argosy run --workers 1 --store "sqlite:$work/run.db" exec -- echo again >again 2>err && break
    grep -q "another broker holds" err || fail "the run could not go on: $(cat err)"
    sleep 0.05
done
[ "$(cat again)" = again ] || fail "the second run printed '$(cat again)'"
[ "$(sort -nu did | wc -l)" -eq 12 ] || fail "of 12 jobs these were done: $(sort -n did | tr '\n' ' ')"
argosy check --json "$work/run.db" | grep -q '"jobs": *{"open": *0' || fail "$(argosy check --json "$work/run.db")"
exit 0
