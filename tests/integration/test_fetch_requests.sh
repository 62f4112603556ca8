#!/bin/sh
# Requests that go out more than once, and what the archive has of requests: the last one, whole or
# marked as cut.
. "$(dirname "$0")/harness.sh"

serve_http
at=http://127.0.0.1:$(sed -n 's/^http .*://p' port)
argosy-broker --bind "$ARGOSY_CONNECT" --store memory --log warning 2>broker.log &
pids="$pids $!"
argosy-worker --kinds fetch --slots fetch=1 --allow-net any --root "$work" --log warning 2>worker.log &
worker=$!
pids="$pids $worker"
good() { timeout 20 argosy fetch --retries 0 "$@" >out 2>&1 || fail "$*: $(cat out)"; }
# archived: the archive of the last fetch; its file has its name when the worker has been told to go.
archived() {
    is_named() { ls "$1"-*.warc.gz; }
    until_true is_named "$1"
    zcat "$1"-*.warc.gz >text
}

# The kept connection is closed when the second request comes: it is sent again on a new one.
good "$at/stale"
good --warc "$work/again" "$at/page/1"
archived "$work/again"
[ "$(grep -ac '^GET /page/1 HTTP/1.1' text)" -eq 1 ] || fail "not one request: $(cat text)"

head -c 700000 /dev/zero | tr '\0' x >body
good --data-file "$work/body" --warc "$work/cut" "$at/page/2"
archived "$work/cut"
grep -aq '^WARC-Truncated: length' text || fail "a request that is too large is not marked: $(head -c 2000 text)"

# With each page the body goes out again.
good --pages 3 --data-file "$work/body" --first-byte-timeout 5s "$at/pages/1/3"
