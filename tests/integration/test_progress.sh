#!/bin/sh
# How far a running job is: told where it is known, about twice a second, to whoever watches or asks.
. "$(dirname "$0")/harness.sh"
failed=0

fail() {
    echo "$*" >&2
    failed=1
}
permilles() { sed -n 's/.*"permille":\([0-9]*\).*/\1/p' "$1"; }
shows_permille() { argosy show "$1" | grep -q '^permille  *[1-9][0-9]*$'; }
state_is() { argosy show "$1" | grep -q "^state  *$2"; }

argosy-broker --bind "$ARGOSY_CONNECT" 2>broker.log &
pids="$pids $!"
argosy-worker --name w --kinds exec,fetch,analyze --allow-exec '*' --allow-net any --root / 2>w.log &
pids="$pids $!"
serve_http
url=http://127.0.0.1:$(sed -n 's/^http .*://p' port)

# ---- fetch: 25 bytes in 2.5 seconds
argosy fetch --json --partial "$url/slow/25/100" >slow || fail "the slow fetch failed"
permilles slow >told
count=$(wc -l <told)
{ [ "$count" -ge 2 ] && [ "$count" -le 6 ]; } || fail "$count reports in 2.5 s: $(cat slow)"
sort -n -u told | cmp -s - told || fail "it does not grow: $(tr '\n' ' ' <told)"
[ "$(head -n 1 told)" -ge 120 ] || fail "something was told in the first half second: $(cat slow)"

# ---- nothing for what is short, and for what nobody knows
argosy fetch --json --partial "$url/bytes/100000" >short || fail "the short fetch failed"
argosy fetch --json --partial "$url/delay/1500" >waits || fail "the fetch that waits failed"
argosy fetch --json --partial --head "$url/slow/25/100" >head || fail "the HEAD failed"
argosy exec --json --partial -- sh -c 'sleep 1; echo one; sleep 1' >ran || fail "the command failed"
grep -q '"partial":{"stdout":"one' ran || fail "a partial result is missing: $(cat ran)"
[ -z "$(permilles short)$(permilles waits)$(permilles head)$(permilles ran)" ] ||
    fail "progress was made up: $(cat short waits head ran)"

# ---- show knows it while it runs, not before and not after
id=$(argosy fetch --detach --ids "$url/slow/30/100")
until_true shows_permille "$id"
until_true state_is "$id" succeeded
argosy show "$id" | grep permille && fail "what has ended has no progress"

# ---- analyze: one file, many times, is much to read and little to store
mkdir tree
seq 400000 | sed 's|.*|int value_&; /* the & */|' >tree/0.c
for i in $(seq 1000); do ln tree/0.c "tree/$i.c"; done
id=$(argosy analyze --detach --ids "$work/tree")
until_true shows_permille "$id"
argosy show "$id" | grep permille
argosy cancel "$id" >/dev/null
until_true state_is "$id" cancelled
# The same for people, in percent; and no line of JSON that nobody asked for.
argosy analyze --json --progress always "$work/tree" >out 2>err &
client=$!
until_true grep -Eq '0/1 +[1-9][0-9]*% .*1 running' err
kill -INT "$client"
wait "$client"
grep -q '"progress"' out && fail "news that nobody asked for: $(cat out)"

exit $failed
