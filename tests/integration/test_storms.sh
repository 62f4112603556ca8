#!/bin/sh
# Two promises of scale: a group of 10,000 queued and 100 running jobs of three kinds is cancelled, and
# that is confirmed, within two seconds, with nothing left behind; and a batch of ten beside one of
# very many is done within a second, while the broker stays within its bound.
. "$(dirname "$0")/harness.sh"
failed=0
case $ARGOSY_BIN in *san/bin) many=60000 slower=4 ;; *) many=${ARGOSY_MANY:-200000} slower=1 ;; esac

fail() {
    echo "$*" >&2
    failed=1
}
now_ms() { date +%s%3N; }
number() { argosy show --json "$1" | sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p"; }

argosy-broker --bind "$ARGOSY_CONNECT" --jobs-max 100000 --memory-max 256M 2>broker.log &
broker=$!
pids="$pids $broker"
for i in 1 2; do
    argosy-worker --name "w-$i" --kinds exec,fetch,analyze --allow-exec '*' --allow-net any --root / \
        --slots fetch=30,exec=20,analyze=1 2>"w-$i.log" &
    pids="$pids $!"
done
serve_http
port=$(sed -n 's/^http .*://p' port)

# ---- a cancel that is provable
group=$(argosy group new --group storm)
mkfifo pipe # what an analysis reads may keep it for long: a directory of many files does
seq 9900 | sed "s|.*|{\"url\":\"http://127.0.0.1:$port/slow/600000\"}|" | argosy group add "$group" fetch -
seq 150 | sed 's|.*|{"argv":["sleep","600.125"]}|' | argosy group add "$group" exec -
seq 100 | sed 's|.*|{"path":"/usr"}|' | argosy group add "$group" analyze -
argosy group seal "$group"
running_is_100() { [ "$(number "$group" running)" -ge 100 ]; }
until_true running_is_100
begin=$(now_ms)
argosy group cancel "$group" >receipt
argosy wait "$group" >end
took=$(($(now_ms) - begin))
echo "cancelled and confirmed in $took ms: $(cat receipt); $(cat end)"
[ "$took" -lt $((2000 * slower)) ] || fail "the cancel took $took ms"
[ "$(number "$group" unconfirmed)" -eq 0 ] || fail "something was not confirmed"
no_sleepers() { ! pgrep -f 'sleep 600.125'; }
no_connections() {
    [ "$(awk -v port="$(printf ':%04X' "$port")" '$4 == "01" && substr($3, length($3) - 4) == port' \
        /proc/net/tcp | wc -l)" -eq 0 ]
}
no_sleepers || fail "a child process is left"
no_connections || fail "a connection is left"

# ---- very many beside ten
seq "$many" | sed 's|.*|{"url":"http://127.0.0.1:1/"}|' |
    argosy submit --retries 0 --quiet --output /dev/null fetch - 2>/dev/null &
pids="$pids $!"
a_lot() { [ "$(argosy status --json | sed -n 's/.*"submitted":\([0-9]*\).*/\1/p')" -gt $((10150 + many / 20)) ]; }
until_true a_lot
begin=$(now_ms)
seq 10 | sed "s|.*|http://127.0.0.1:$port/page/1|" | argosy fetch - >ten
took=$(($(now_ms) - begin))
[ "$(wc -l <ten)" -eq 10 ] || fail "$(wc -l <ten) of the ten came back"
echo "ten beside $many in $took ms"
[ "$took" -lt $((1000 * slower)) ] || fail "the ten took $took ms"
peak=$(awk '/VmHWM/ { print $2 }' "/proc/$broker/status")
echo "broker peak: $peak kB"
[ "$slower" -gt 1 ] || [ "$peak" -lt 400000 ] || fail "the broker took $peak kB"

case $(argosy status --json) in
*'"unaccounted_jobs":0'*) ;;
*) fail "jobs are unaccounted for" ;;
esac
exit $failed
