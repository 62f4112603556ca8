#!/bin/sh
# A URL is fetched, then analysed: by a fleet of its own, and by one that others share.
. "$(dirname "$0")/harness.sh"
serve_http
TMPDIR=$work/tmp XDG_CACHE_HOME=$work/cache
mkdir "$TMPDIR"
export TMPDIR XDG_CACHE_HOME
http=http://$(sed -n 's/^http //p' "$work/port")

mkdir -p p-1.0/src
printf 'int a;\n/* TODO */\n\n' >p-1.0/src/a.c
seq -f 'x = %g' 100 >p-1.0/b.py
tar czf p-1.0.tar.gz p-1.0

# ---- a fleet of its own
argosy run analyze --format json p-1.0.tar.gz >local || fail "$?"
argosy run analyze --format json "file://$work/p-1.0.tar.gz" >remote 2>err || fail "$(cat err)"
sed "s,\"source\":\"[^\"]*\",,; s,\"path\":\"[0-9]*-,\"path\":\",g" local >local.same
sed "s,\"source\":\"[^\"]*\",,; s,\"path\":\"[0-9]*-,\"path\":\",g" remote >remote.same
cmp local.same remote.same || fail "$(cat remote)"
grep -q "\"source\":\"file://$work/p-1.0.tar.gz\"" remote || fail "$(cat remote)"
[ -z "$(ls -A "$TMPDIR")" ] || fail "left behind: $(ls -R "$TMPDIR")"

# Files, archives, folders and failures side by side: a line each, in their places.
argosy run analyze --json --ordered --shards 2 "$http/page/x.html?q#f" p-1.0 "$http/status/404" \
    "file://$work/p-1.0.tar.gz" >lines 2>err && fail 'one of them is not there'
[ "$(grep -c '"state"' lines)" -eq 4 ] || fail "$(cat lines err)"
sed -n 1p lines | grep -q "\"index\":0,.*\"succeeded\".*$http/page/x.html?q#f.*\"HTML\"" ||
    fail "$(sed -n 1p lines)"
sed -n 2p lines | grep -q '"index":1,.*"succeeded".*"Python"' || fail "$(sed -n 2p lines)"
sed -n 3p lines | grep -q '"index":2,"kind":"fetch","state":"failed".*fetch.http.client.404' ||
    fail "$(sed -n 3p lines)"
sed -n 4p lines | grep -q '"index":3,.*"succeeded".*"files":2,"lines":103' || fail "$(sed -n 4p lines)"
grep -q 'fetch.http.client.404' err || fail "$(cat err)"

argosy run analyze file:/// >/dev/null 2>err && fail 'that names no file'
grep -q 'fetch.url: .*it names no file' err || fail "$(cat err)"

# However it ends, nothing is left of it.
gone() { [ -z "$(ls -A "$TMPDIR")" ]; }
for signal in KILL HUP PIPE TERM; do
    argosy run analyze "$http/slow/100000/50" >/dev/null 2>&1 &
    client=$!
    until_true sh -c "ls '$TMPDIR' | grep -q fetched"
    kill -$signal $client
    wait $client
    until_true gone
done

# --download keeps it.
argosy run analyze --download kept "file://$work/p-1.0.tar.gz" >/dev/null 2>err || fail "$(cat err)"
cmp kept/0-p-1.0.tar.gz p-1.0.tar.gz || fail "$(ls -R kept)"

# Names that are longer than what is kept of them, in letters of several bytes: cut in any place.
name=$(printf '\303\266%.0s' $(seq 80))
for end in c cc; do
    echo 'int a;' >"$name.$end"
    argosy run analyze --json p-1.0 "file://$work/$name.$end" >lines 2>err ||
        fail "a long name: $(cat err)"
    [ "$(grep -c '"state":"succeeded"' lines)" -eq 2 ] || fail "$(cat lines)"
done

# ---- one that others share
argosy-broker --bind "$ARGOSY_CONNECT" --store memory --log error 2>broker.log &
pids="$pids $!"
argosy-worker --kinds fetch,analyze --root "$work/shared" --root "$work/p-1.0" --allow-net any \
    --log error 2>worker.log &
pids="$pids $!"
mkdir shared
argosy analyze "$http/page/x.html" >out 2>err && fail 'nobody knows where to put it'
grep -q -e '--download DIR' err || fail "$(cat err)"
argosy analyze --download shared "$http/page/x.html" p-1.0 >out 2>err || fail "$(cat out err)"
grep -q HTML out || fail "$(cat out)"
argosy analyze --download shared "$http/page/x.html" >out 2>err || fail "$(cat out err)"
[ "$(cat shared/*/0-x.html | grep -ci '<html')" -ge 2 ] || fail "not one for each: $(ls -R shared)"
argosy analyze --download elsewhere "$http/page/x.html" >out 2>err && fail 'outside of the roots'
grep -q 'fetch.policy' err || fail "$(cat err)"

# ---- what does not go together
for options in '--rev HEAD' --history '--then noop' '--unique k'; do
    # shellcheck disable=SC2086
    argosy analyze --download shared $options "$http/page/x.html" >out 2>err
    [ $? -eq 2 ] || fail "$options: $(cat err)"
done
