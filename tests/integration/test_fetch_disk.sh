#!/bin/sh
# A disk that takes no more: what is fetched to it fails at once and says why, also when the connection
# was waiting for the disk, and so does its archive. And a worker that is ended while it archives.
. "$(dirname "$0")/harness.sh"

serve_http
at=http://127.0.0.1:$(sed -n 's/^http .*://p' port)
argosy-broker --bind "$ARGOSY_CONNECT" --store memory --log warning 2>broker.log &
pids="$pids $!"

# No file may be larger than 2,000 blocks of 512 bytes, or of 1,024: dash and bash differ.
sh -c "trap '' XFSZ; ulimit -f 2000; exec argosy-worker --kinds fetch --allow-net any --root '$work' \
    --log warning" 2>worker.log &
worker=$!
pids="$pids $worker"

# fails OPTION...: as fetch.output, long before any of its limits.
fails() {
    timeout 20 argosy fetch --retries 0 --timeout 600s --idle-timeout 500s "$@" >out 2>err && fail "$*: $(cat out)"
    grep -q '^fetch.output	' out || fail "$*: $(cat out)"
}
argosy fetch --retries 0 -o small "$at/bytes/900000" >out || fail "small: $(cat out)"
# Of the sizes some end before the disk is waited for, some while, with and without bytes to come.
for size in 2100000 2300000 2500000 2700000 3000000 3500000 5000000 20000000; do
    fails -o large "$at/bytes/$size"
done
fails -o large "$at/chunked/100/100000"
fails --body none --warc "$work/archive" "$at/bytes/5000000"
fails --body none --warc "$work/archive" "$at/bytes/20000000"
[ ! -e large ] || fail "half a file has its name"
[ -z "$(find . -name '.argosy-*')" ] || fail "left behind: $(find . -name '.argosy-*')"
kill "$worker"
wait "$worker" || fail "the worker did not end well: $(cat worker.log)"

# ---- the end of a worker whose archive is being written, from a file that is to be removed
argosy-worker --kinds fetch --allow-net any --root "$work" 2>worker.log &
worker=$!
pids="$pids $worker"
argosy fetch --body none --warc "$work/second" --timeout 600s "$at/bytes/300000000" >out 2>err &
pids="$pids $!"
is_archiving() { ls "$work"/second-*.open; }
until_true is_archiving
kill "$worker"
until_true grep -q leaving worker.log
kill "$worker"
wait "$worker" || fail "the worker did not end well: $(cat worker.log)"
[ -z "$(find . -name '.argosy-*')" ] || fail "left behind: $(find . -name '.argosy-*')"
