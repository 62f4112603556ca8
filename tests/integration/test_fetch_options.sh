#!/bin/sh
# What `argosy fetch` submits for its options, by what hosts it counts; its summary and its progress.
. "$(dirname "$0")/harness.sh"

store=$work/jobs.db
argosy-broker --bind "$ARGOSY_CONNECT" --store "sqlite:$store" 2>broker.log &
pids="$pids $!"

# ---- payloads: nobody takes the jobs, so the store has them as they were sent.
# submitted OPTION...: the payloads and keys of the batch, one job a line.
submitted() {
    argosy fetch --detach --quiet "$@" >id 2>err || fail "fetch $*: $(cat err)"
    argosy export "$store" | grep "\"group\":\"$(cat id)\"" | grep '"record":"job"' >jobs
    [ -s jobs ] || fail "fetch $*: nothing was submitted"
}
# has TEXT: each of them.
has() {
    grep -vF -e "$1" jobs && fail "no $1"
    return 0
}
# same_as TEXT: the payload is this and nothing else.
same_as() { has "\"payload\":$1}"; }

submitted http://example.org/
same_as '{"url":"http://example.org/"}'
has '"key":"example.org"'
submitted HTTPS://user:secret@EXAMPLE.org:443/x http://example.org:80
has '"key":"example.org"'
submitted --key mine http://example.org/
has '"key":"mine"'
submitted --base-url https://example.org:8443/a/ b
same_as '{"url":"b","base_url":"https://example.org:8443/a/"}'
has '"key":"example.org:8443"'
submitted --data-json '{"a":[1,2.5,null,"ä"]}' http://h/
same_as '{"url":"http://h/","json":{"a":[1,2.5,null,"ä"]}}'
echo '[true]' >body.json
submitted --data-json @body.json http://h/
same_as '{"url":"http://h/","json":[true]}'
submitted --data @body.json http://h/
same_as '{"url":"http://h/","data":"[true]\n"}'
submitted --form a=1 --form 'b=x y=z' --form a=2 --form a= http://h/
same_as '{"url":"http://h/","form":{"a":["1","2",""],"b":"x y=z"}}'
submitted --data-file up/load.bin http://h/
same_as "{\"url\":\"http://h/\",\"data_file\":\"$PWD/up/load.bin\"}"
submitted --bearer api --proxy socks5h://proxy:1080 --http 1.1 http://h/
same_as '{"url":"http://h/","http":"1.1","proxy":"socks5h://proxy:1080","auth":{"bearer":"api"}}'
submitted --basic site http://h/
same_as '{"url":"http://h/","auth":{"basic":"site"}}'
submitted --accept-status 200,404,500-599 --accept-status 3XX --accept-type 'text/*,application/json' http://h/
same_as '{"url":"http://h/","accept_status":[200,404,"500-599","3xx"],"accept_types":["text/*","application/json"]}'
submitted --max-wire-size 1M --max-ratio 0 --pages 3 --idempotent --robots http://h/
same_as '{"url":"http://h/","idempotent":true,"robots":true,"max_wire_bytes":1048576,"max_ratio":0,"pages":3}'
submitted --continue --out 'o/{name}' --warc w/x http://h/f
same_as "{\"url\":\"http://h/f\",\"file\":\"$PWD/o/f\",\"resume\":true,\"body\":\"file\",\"warc\":\"$PWD/w/x\"}"
submitted --if-none-match '"a", W/"b"' --if-modified-since 2026-01-02T03:04:05Z http://h/
same_as '{"url":"http://h/","if_none_match":"\"a\", W/\"b\"","if_modified_since":"Fri, 02 Jan 2026 03:04:05 GMT"}'
submitted --if-modified-since 'Fri, 02 Jan 2026 03:04:05 GMT' http://h/
same_as '{"url":"http://h/","if_modified_since":"Fri, 02 Jan 2026 03:04:05 GMT"}'

# A line of JSON has the last word; what it leaves open is as the options say.
printf '%s\n' http://h/1 '{"url":"2","base_url":"http://Other:80/","http":"2"}' >lines
submitted --http 1.1 --timeout 5s -i lines
grep -q '"key":"h",.*"payload":{"url":"http://h/1","http":"1.1","total_ms":5000}' jobs || fail "line 1: $(cat jobs)"
grep -q '"key":"other",.*"http":"2","total_ms":5000,"url":"2"' jobs || fail "line 2: $(cat jobs)"

# A jar is one for all jobs of a batch, and another for the next.
jars() { sed -n 's/.*"cookies":"\([^"]*\)".*/\1/p' jobs; }
submitted --cookies http://h/1 http://h/2
jars >first
submitted --cookies http://h/1
jars >>first
[ "$(wc -l <first)" -eq 3 ] && [ "$(sort -u first | wc -l)" -eq 2 ] || fail "the jars are $(cat first)"

# ---- a host that asks for time is left alone by all, though nobody gave a limit
serve_http
at=127.0.0.1:$(sed -n 's/^http .*://p' port)
ARGOSY_CONNECT=ipc://$work/second
argosy-broker --bind "$ARGOSY_CONNECT" --store memory 2>second.log &
pids="$pids $!"
argosy-worker --name w --kinds fetch --allow-net any 2>w.log &
pids="$pids $!"
argosy fetch --detach "http://$at/status/503?retry_after=30" >/dev/null
closed() { [ "$(argosy list --json --state queued | grep -c '"reason":"key.')" -ge 1 ]; }
seen() { argosy fetch --detach --quiet "http://$at/bytes/1" >/dev/null && closed; }
until_true seen

# ---- the summary, and bytes in the progress line
other=http://localhost:${at#*:}
fetch() { argosy run fetch --retries 0 --body none "$@" "$other/bytes/1000" "$other/bytes/2000" "$other/status/404" http://127.0.0.1:1/ >out 2>err; }
fetch --summary always
grep -Eq "^localhost:${at#*:}  +3  +1  +3.0 kB  +[0-9.]+m?s  +[0-9.]+m?s$" err || fail "by host: $(cat err)"
grep -Eq '^127.0.0.1:1  +1  +1  +0 B ' err || fail "by host: $(cat err)"
grep -Eq '^fetch.connect  +1$' err && grep -Eq '^fetch.http.client.404  +1$' err || fail "by error: $(cat err)"
for way in "--summary auto" "--summary never" "--summary always --quiet"; do
    # shellcheck disable=SC2086
    fetch $way
    grep -q '^host ' err && fail "$way: $(cat err)"
done
argosy run fetch --summary always "$other/bytes/1" >out 2>err
grep -q '^host ' err && fail "for one job: $(cat err)"
argosy run fetch --progress always --body none "$other/slow/100000/1" "$other/bytes/5000000" --timeout 2s --retries 0 >out 2>err
tr '\r' '\n' <err | grep -Eq '1/2  50%  [0-9.]+/s  [0-9.]+ [kM]B/s  ' || fail "progress: $(cat err)"
exit 0
