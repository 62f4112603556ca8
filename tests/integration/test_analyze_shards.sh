#!/bin/sh
# A source in 1, 2 and 8 shards on 1, 2 and 4 workers, some of which are killed: one answer.
. "$(dirname "$0")/harness.sh"
set -e
XDG_CACHE_HOME=$work
export XDG_CACHE_HOME
unset ARGOSY_STORE ARGOSY_SHARDS
patience=30 workers=

# Who was stopped cannot end.
fail() {
    for pid in $workers; do kill -CONT "$pid" 2>/dev/null || true; done
    echo "FAILED: $*" >&2
    exit 1
}

workers_are() { [ "$(argosy workers --json 2>/dev/null | wc -l)" -eq "$1" ]; }

start_worker() { # NAME
    argosy-worker --name "$1" --root "$work" --kinds analyze --slots analyze=2 --log error 2>>log &
    workers="$workers $!" pids="$pids $!"
}

# Enough for a job to be caught in the middle of it.
mkdir tree
for i in $(seq 40); do
    mkdir "tree/d$i"
    seq -f "int a%g; /* TODO $i */" 3000 >"tree/d$i/a.c"
    seq -f "# %g $i" 2000 >"tree/d$i/b.py"
    cp "tree/d$i/a.c" "tree/d$i/again.c"
    ln -s loop "tree/d$i/loop"
    printf 'int last;' >"tree/d$i/open.h"
done
(cd tree && git init -q && git add . &&
    git -c user.name=a -c user.email=a@b commit -qm one && git clone -q --bare . ../bare.git)

argosy-broker --bind "$ARGOSY_CONNECT" --store memory --log error 2>>log &
pids="$pids $!"

answer() { # FILE ARGUMENT...
    out=$1
    shift
    argosy analyze --format json "$@" >"$out" 2>"$out.err" || fail "$*: $(cat "$out.err")"
    [ -s "$out" ] || fail "$*: no answer"
}

start_worker w-1
until_true workers_are 1
for by in language file dir; do
    answer "whole.$by" --shards 1 --by $by tree
done
answer whole.git --shards 1 --by file bare.git
answer whole.history --shards 1 --history bare.git
for count in 1 2 4; do
    while [ "$(echo "$workers" | wc -w)" -lt $count ]; do
        start_worker "w-$(($(echo "$workers" | wc -w) + 1))"
    done
    until_true workers_are $count
    for shards in 2 8 auto; do
        for by in language file dir; do
            answer part --shards $shards --by $by tree
            cmp part "whole.$by" || fail "by $by: $shards shards on $count workers"
        done
        answer part --shards $shards --by file bare.git
        cmp part whole.git || fail "a repository: $shards shards on $count workers"
        answer part --shards $shards --history bare.git
        cmp part whole.history || fail "history: $shards shards on $count workers"
    done
done

# ---- one of them dies in the middle --------------------------------------------------------------
# It is stopped before, so that it surely holds some of the shards when it is killed.
set -- $workers
victim=$2
kill -STOP "$victim"
argosy analyze --shards 8 --by file --format json tree >part 2>part.err &
client=$! pids="$pids $!"
holds_some() { argosy list --state running --json | grep -q '"worker":"w-2"'; }
until_true holds_some
kill -9 "$victim"
wait $client || fail "a worker died: $(cat part.err)"
cmp part whole.file || fail 'a worker died, and the answer is another'
workers="$1 $3 $4"

# ---- a cancel stops every shard ------------------------------------------------------------------
for pid in $workers; do kill -STOP "$pid"; done
argosy analyze --shards 8 --format json tree >part 2>part.err &
client=$! pids="$pids $!"
runs() { argosy list --state running --json | grep -q analyze; }
until_true runs
kill -INT "$client"
for pid in $workers; do kill -CONT "$pid"; done
code=0
wait "$client" || code=$?
[ "$code" -eq 130 ] || fail "interrupted, but exit code $code: $(cat part.err)"
[ "$(argosy list --state queued --json | wc -l)" -eq 0 ] || fail 'shards wait after the cancel'
[ "$(argosy list --state running --json | wc -l)" -eq 0 ] || fail 'shards run after the cancel'
[ ! -s part ] || fail "an answer though it was cancelled"

# ---- what fails, fails once ----------------------------------------------------------------------
code=0
argosy analyze --shards 4 --json "$work/none" tree >part 2>part.err || code=$?
[ "$code" -eq 1 ] || fail "exit code $code"
[ "$(grep -c '"state"' part)" -eq 2 ] || fail "not a line for each path: $(cat part)"
grep -q '"index":0,.*"state":"failed".*analyze.source.missing' part || fail "$(cat part)"
grep -q '"index":1,.*"state":"succeeded"' part || fail "$(cat part)"
grep -q 'ExceptionGroup: analyze .*none in 4 shards' part.err || fail "$(cat part.err)"

# ---- however long a path is ----------------------------------------------------------------------
# Batches are called by paths, and cut: not in the middle of a letter, nor longer than may be.
deep=$work/$(printf 'a/\303\266\303\266%.0s' $(seq 400))
mkdir -p "$deep"
echo 'int a;' >"$deep/a.c"
for shards in 1 2; do
    for path in "$deep" "/.$deep"; do
        argosy analyze --shards $shards --quiet "$path" >part 2>part.err ||
            fail "$shards shards of a long path: $(cat part.err)"
    done
done

# ---- a full broker -------------------------------------------------------------------------------
# It has room for two groups and a part of the third: none waits for a place that another one has.
ARGOSY_CONNECT="ipc://$work/small"
argosy-broker --bind "$ARGOSY_CONNECT" --store memory --jobs-max 24 --log error 2>>log &
small=$!
argosy-worker --name small --root "$work" --kinds analyze --slots analyze=2 --log error 2>>log &
workers="$workers $!" pids="$pids $small $!"
until_true workers_are 1
timeout 60 argosy analyze --shards 8 --format csv tree/d? >part 2>part.err ||
    fail "a full broker: $(cat part.err)"
[ "$(grep -c 'tree/d.,C,' part)" -eq 9 ] || fail "a full broker: $(cat part)"

# What parts have made is nobody's any more: it takes no room until it would be forgotten.
holds_none() { [ "$(argosy list --json | wc -l)" -eq 0 ]; }
patience=3
until_true holds_none
patience=30
ARGOSY_CONNECT="ipc://$work/broker"

# ---- asked for and fetched later -----------------------------------------------------------------
id=$(argosy analyze --shards 3 --detach --ids --by file tree | tail -n 1)
argosy wait "$id" >/dev/null || fail "wait: $id"
argosy result --json "$id" | grep -q '"totals"' || fail "the result of the merge: $(argosy result "$id")"

# ---- options -------------------------------------------------------------------------------------
for bad in 0 65 many 1.5 -1; do
    code=0
    argosy analyze --shards=$bad tree >part 2>part.err || code=$?
    [ "$code" -eq 2 ] || fail "--shards $bad: exit code $code"
    grep -q -e '--shards' part.err || fail "--shards $bad: $(cat part.err)"
done
code=0
argosy analyze --shards 2 --then noop tree 2>part.err || code=$?
[ "$code" -eq 2 ] || fail "--shards with --then: $code"
[ ! -s log ] || fail "in the logs: $(cat log)"
