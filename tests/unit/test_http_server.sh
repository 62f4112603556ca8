#!/bin/sh
# Usage: test_http_server.sh test-http-server - asks for each behaviour with curl.
set -eu

server=${1:-$ARGOSY_TEST_HTTP_SERVER}
directory=$(mktemp -d)
failures=0
checks=0

mkfifo "$directory/lines"
"$server" --with-parent --port-file "$directory/ports" >"$directory/lines" &
pid=$!
exec 4<"$directory/lines"
finish() {
    kill "$pid" 2>/dev/null || true # gone already when all went well
    wait "$pid" || true
    rm -rf "$directory"
}
trap finish EXIT

http='' https='' selfsigned='' expired='' wrongname='' refused='' ca=''
while [ -z "$ca" ] && read -r name value <&4; do
    case $name in
    http) http=http://$value ;;
    https) https=https://$value ;;
    https-selfsigned) selfsigned=https://$value ;;
    https-expired) expired=https://$value ;;
    https-wrongname) wrongname=https://$value ;;
    refused) refused=http://$value ;;
    ca) ca=$value ;;
    esac
done

ask() { # curl, without surprises from the environment
    curl -q --silent --noproxy '*' --max-time 20 --cacert "$ca" "$@"
}

is() { # what, expected, got
    checks=$((checks + 1))
    if [ "$2" != "$3" ]; then
        printf '%s: expected "%s", got "%s"\n' "$1" "$2" "$3" >&2
        failures=$((failures + 1))
    fi
}

has() { # what, pattern (one of its lines must match), text
    checks=$((checks + 1))
    if ! printf '%s\n' "$3" | grep -q -e "$2"; then
        printf '%s: expected "%s" in:\n%s\n' "$1" "$2" "$3" >&2
        failures=$((failures + 1))
    fi
}

status() { # curl's arguments; prints the status and curl's exit code
    rc=0
    ask --output /dev/null --write-out '%{http_code}' "$@" || rc=$?
    printf ' %s' "$rc"
}

head_of() {
    ask --dump-header - --output /dev/null "$@" | tr -d '\r'
}

pattern() { # size: what /bytes sends
    awk -v size="$1" 'BEGIN { for (i = 0; i < size; i++) printf "%03o\n", i % 251 }' |
        while read -r octal; do printf "\\$octal"; done
}

stat_of() { # name: its number in /stats
    ask "$http/stats" | sed -n "s/^ *\"$1\": *\([0-9]*\),*\$/\1/p"
}

becomes() { # what, name in /stats, expected: waits for it
    tries=0
    while got=$(stat_of "$2") && [ "$got" != "$3" ] && [ $tries -lt 500 ]; do
        tries=$((tries + 1))
    done
    is "$1" "$3" "$got"
}

# ---- the announcement ---------------------------------------------------------------------------
is 'seven lines in the port file' 7 "$(wc -l <"$directory/ports" | tr -d ' ')"
is 'the port file names http' "http ${http#http://}" "$(sed -n 1p "$directory/ports")"
is 'the port file names the CA' "ca $ca" "$(sed -n '$p' "$directory/ports")"

pattern 1000 >"$directory/expected"

# ---- everything that ends well or badly by itself, over both --------------------------------------
for base in "$http" "$https"; do
    has "$base/" '<h1>Page 0</h1>' "$(ask "$base/")"
    has "$base/page/7" 'href="/page/8"' "$(ask "$base/page/7?query=ignored")"
    has "$base/page/NAME" '<h1>Page a-name.html</h1>' "$(ask "$base/page/a-name.html")"
    is "$base/page/<" '400 0' "$(status "$base/page/%3Cscript%3E")"

    ask "$base/bytes/1000" | cmp - "$directory/expected" || is "$base/bytes" same different
    is "$base/bytes is exact" 10000000 "$(ask "$base/bytes/10000000" | wc -c | tr -d ' ')"
    is "$base/bytes/0" '200 0' "$(status "$base/bytes/0")"
    is "$base/big" "$(ask "$base/bytes/3000000" | cksum)" "$(ask "$base/big/3000000" | cksum)"
    is "$base/big has no length" '' "$(head_of "$base/big/10" | grep -i content-length || true)"
    is "$base/chunked" "$(ask "$base/bytes/3000000" | cksum)" \
        "$(ask "$base/chunked/3/1000000" | cksum)"
    is "$base/chunked alone" 10000 "$(ask "$base/chunked" | wc -c | tr -d ' ')"
    is "$base/slow alone" '200 28' "$(status --max-time 1 "$base/slow")"
    ask "$base/chunked/100/10" | cmp - "$directory/expected" || is "$base/chunked" same different
    is "$base/chunked/0/0" '200 0' "$(status "$base/chunked/0/0")"
    ask "$base/slow/10/5" | cmp -n 10 - "$directory/expected" || is "$base/slow" same different

    took=$(ask --output /dev/null --write-out '%{time_total}' "$base/delay/300")
    is "$base/delay waits ($took)" yes "$(awk -v t="$took" 'BEGIN { print (t >= 0.3 ? "yes" : "no") }')"
    is "$base/delay with a body" 1000 "$(ask "$base/delay/1/1000" | wc -c | tr -d ' ')"

    key=flaky-${base%%:*}
    is "$base/flaky first" '503 0' "$(status "$base/flaky/$key/2/7")"
    has "$base/flaky second" '^Retry-After: 7$' "$(head_of "$base/flaky/$key/2/7")"
    is "$base/flaky third" '200 0' "$(status "$base/flaky/$key/2/7")"
    is "$base/flaky without Retry-After" '' \
        "$(head_of "$base/flaky/2/$key-quiet" | grep -i retry-after || true)"
    has "$base/flaky the other way round" '^Retry-After: 9$' \
        "$(head_of "$base/flaky/2/$key-quiet?retry_after=9")"
    is "$base/flaky then well" '200 0' "$(status "$base/flaky/2/$key-quiet")"
    is "$base/flaky 0" '200 0' "$(status "$base/flaky/0/$key-none")"

    for code in 200 204 304 404 418 429 500 503 599; do
        is "$base/status/$code" "$code 0" "$(status "$base/status/$code")"
    done
    has "$base/status/103" '^HTTP/1.1 103 Early Hints$' "$(head_of "$base/status/103")"
    has "$base/status/503" '^HTTP/1.1 503 Service Unavailable$' "$(head_of "$base/status/503")"
    has "$base/status with seconds" '^Retry-After: 120$' "$(head_of "$base/status/429?retry_after=120")"
    has "$base/status with a date" '^Retry-After: Fri, 31 Dec 1999 23:59:59 GMT$' \
        "$(head_of "$base/status/503?a=b&retry_after=Fri,%2031%20Dec%201999%2023:59:59%20GMT")"
    is "$base/status without" '' "$(head_of "$base/status/503?a=b" | grep -i retry-after || true)"
    for query in %0d%0aX:1 %zz % %4; do
        is "$base/status with $query" '400 0' "$(status "$base/status/503?retry_after=$query")"
    done

    is "$base/redirect/3" '200 3 0' \
        "$(ask --location --output /dev/null --write-out '%{http_code} %{num_redirects} 0' \
            "$base/redirect/3")"
    is "$base/redirloop" '302 47' "$(status --location --max-redirs 5 "$base/redirloop")"
    has "$base/redirto" '^Location: http://127.0.0.1:1/x?y=1$' \
        "$(head_of "$base/redirto/http://127.0.0.1:1/x?y=1")"
    has "$base/redirto url" '^Location: http://127.0.0.1:1/x?y=1&z=%20$' \
        "$(head_of "$base/redirto?url=http%3A%2F%2F127.0.0.1:1/x?y=1%26z=%2520")"
    is "$base/redirto url followed" '200 0' "$(status --location "$base/redirto?url=/bytes/5")"
    is "$base/redirto nowhere" '400 0' "$(status "$base/redirto")"
    is "$base/redirto broken" '400 0' "$(status "$base/redirto?url=%0a")"

    is "$base/etag" '200 0' "$(status "$base/etag")"
    is "$base/etag known" '304 0' "$(status -H 'If-None-Match: "v0", "v1"' "$base/etag")"
    is "$base/etag other" '200 0' "$(status -H 'If-None-Match: "v2"' "$base/etag")"
    is "$base/hdrs" 50 "$(head_of "$base/hdrs/50" | grep -c '^X-Header-[0-9]*: value [0-9]*$')"
    is "$base/hdrs alone" 100 "$(head_of "$base/hdrs" | grep -c '^X-Header-')"
    # 27 or, since curl 8, 100
    has "$base/hdrsize alone is too much for curl" '^200 \(27\|100\)$' "$(status "$base/hdrsize")"
    is "$base/hdrsize" 60008 "$(head_of "$base/hdrsize/60000" | awk '/^X-Huge/ { print length }')"

    has "$base/gzip accepted" '^Content-Encoding: gzip$' \
        "$(head_of -H 'Accept-Encoding: br, gzip;q=0.5' "$base/gzip")"
    is "$base/gzip refused" '' "$(head_of "$base/gzip" | grep -i content-encoding || true)"
    is "$base/gzip is the same text" "$(ask "$base/gzip" | cksum)" \
        "$(ask -H 'Accept-Encoding: gzip' "$base/gzip" | gzip -dc | cksum)"

    is "$base HEAD" '200 0 1000' \
        "$(status --head "$base/bytes/1000") $(head_of --head "$base/bytes/1000" |
            sed -n 's/^Content-Length: //p')"
    is "$base HEAD of what misbehaves" '200 0' "$(status --head "$base/chunkcut")"
    is "$base/nonsense" '404 0' "$(status "$base/nonsense")"
    for path in bytes bytes/x bytes/-1 bytes/1/2 bytes/99999999999999999999 hdrs/1000000 status/42; do
        is "$base/$path" '400 0' "$(status "$base/$path")"
    done

    is "$base/chunkcut" '200 18' "$(status "$base/chunkcut")"
    is "$base/badlen" '200 18' "$(status "$base/badlen")"
    is "$base/overlen" '200 0' "$(status "$base/overlen")"
    is "$base/overlen, what counts" 10 "$(ask "$base/overlen" | wc -c | tr -d ' ')"
    is "$base/garbage" '000 1' "$(status "$base/garbage")"
    is "$base/empty" '000 52' "$(status "$base/empty")"
    is "$base/reset" '000 56' "$(status "$base/reset")"
    is "$base/resetmid" '200 56' "$(status "$base/resetmid")"
    is "$base/hang" '000 28' "$(status --max-time 1 "$base/hang")"
    is "$base/hanghead" '200 28' "$(status --max-time 1 "$base/hanghead")"

    # Five requests, one connection.
    is "$base keeps connections" 1 \
        "$(ask --write-out '%{num_connects}\n' -o "$directory/1" "$base/" -o "$directory/2" \
            "$base/bytes/10" -o "$directory/3" "$base/chunked/2/10" -o "$directory/4" \
            "$base/status/204" -o "$directory/5" "$base/delay/1" | awk '{ n += $1 } END { print n }')"
done

# ---- /bomb: small on the wire, 1 GB with a right checksum ------------------------------------------
ask "$http/bomb" >"$directory/bomb.gz"
is 'the bomb is small' yes \
    "$([ "$(wc -c <"$directory/bomb.gz")" -lt 1200000 ] && echo yes || echo no)"
is 'the bomb is large' 1073741824 "$(gzip -dc "$directory/bomb.gz" | wc -c | tr -d ' ')"

# ---- a bomb of a chosen strength ------------------------------------------------------------------
for ratio in 1 20 300 1000; do
    ask "$http/bomb/$ratio/8" >"$directory/bomb.gz"
    is "/bomb/$ratio is large" 8388608 "$(gzip -dc "$directory/bomb.gz" | wc -c | tr -d ' ')"
    got=$((8388608 / $(wc -c <"$directory/bomb.gz")))
    is "/bomb/$ratio has that ratio ($got)" yes \
        "$([ $got -ge $((ratio * 8 / 10)) ] && [ $got -le $((ratio * 12 / 10)) ] && echo yes || echo no)"
done
is '/bomb/RATIO has a bound' '400 0' "$(status "$http/bomb/2000")"
is '/bomb/0' '400 0' "$(status "$http/bomb/0")"

# ---- encodings, in brackets what curl makes of them -------------------------------------------------
text=$(ask "$http/gzip" | cksum)
for name in deflate deflate-raw x-gzip twice five trailing; do
    is "/encoded/$name" "$text" "$(ask --compressed "$http/encoded/$name" | cksum)"
done
is '/encoded/plain' '200 61' "$(status --compressed "$http/encoded/plain")"
is '/encoded/badcrc' '200 61' "$(status --compressed "$http/encoded/badcrc")"
is '/encoded/garbage' '200 61' "$(status --compressed "$http/encoded/garbage")"
is '/encoded/truncated is whole on the wire' '200 0' "$(status "$http/encoded/truncated")"
is '/encoded/truncated' yes "$(ask --compressed "$http/encoded/truncated" | wc -c |
    awk '{ print ($1 < 22000 ? "yes" : $1) }')"
is '/encoded/empty' 0 "$(ask "$http/encoded/empty" | wc -c | tr -d ' ')"
has '/encoded/unknown' '^Content-Encoding: x-unknown$' "$(head_of "$http/encoded/unknown")"
is '/encoded/nonsense' '404 0' "$(status "$http/encoded/nonsense")"

# ---- /range -----------------------------------------------------------------------------------------
ask "$http/bytes/300000" >"$directory/whole"
part() { # path, range, more for curl: status, Content-Range, and whether the bytes are those
    path=$1 range=$2
    shift 2
    head=$(ask --dump-header - --output "$directory/part" -H "Range: bytes=$range" "$@" "$http$path" |
        tr -d '\r')
    printf '%s' "$(echo "$head" | sed -n 's/^HTTP.1.1 \([0-9]*\).*/\1/p;s/^Content-Range: / /p' | tr -d '\n')"
}
same() { tail -c "+$(($1 + 1))" "$directory/whole" | head -c "$2" | cmp -s - "$directory/part" && echo same; }
is '/range' '200' "$(part /range/300000 none)"
is '/range: its bytes' same "$(same 0 300000)"
has '/range: its version' '^ETag: "v0"$' "$(head_of "$http/range/5")"
has '/range: a version of choice' '^ETag: "mine-0"$' "$(head_of "$http/range/5/mine")"
has '/range: its age' '^Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT$' "$(head_of "$http/range/5")"
is '/range from' '206 bytes 100000-299999/300000' "$(part /range/300000 100000-)"
is '/range from: its bytes' same "$(same 100000 200000)"
is '/range from to' '206 bytes 10-19/300000' "$(part /range/300000 10-19)"
is '/range from to: its bytes' same "$(same 10 10)"
is '/range beyond its end' '206 bytes 10-299999/300000' "$(part /range/300000 10-999999)"
is '/range the last' '206 bytes 299990-299999/300000' "$(part /range/300000 -10)"
is '/range the last: its bytes' same "$(same 299990 10)"
is '/range of nothing' '416 bytes */300000' "$(part /range/300000 300000-)"
is '/range of several' '200' "$(part /range/300000 0-1,5-6)"
is '/range in disorder' '200' "$(part /range/300000 5-4)"
is '/range if the same' '206 bytes 5-9/10' "$(part /range/10 5- -H 'If-Range: "v0"')"
is '/range if as old' '206 bytes 5-9/10' \
    "$(part /range/10 5- -H 'If-Range: Sat, 01 Jan 2022 00:00:00 GMT')"
is '/range if another' '200' "$(part /range/10 5- -H 'If-Range: "v1"')"
is '/range if weak' '200' "$(part '/range/10?as=weak' 5- -H 'If-Range: W/"v0"')"
is '/range known' '304 0' "$(status -H 'If-None-Match: "v0"' "$http/range/10")"
is '/range no newer' '304 0' \
    "$(status -H 'If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT' "$http/range/10")"
is '/range cut' '200 18' "$(status "$http/range/300000?cut=100000&key=a")"
is '/range cut once' '200 0' "$(status "$http/range/300000?cut=100000&key=a")"
is '/range cut for each key' '200 18' "$(status "$http/range/300000?cut=100000&key=b")"
ask -o "$directory/part" "$http/range/300000?cut=100000&key=c" || true
is '/range: what is cut off is the end' same "$(same 0 100000)"
is '/range cut in a part' '206 bytes 100000-299999/300000' \
    "$(part '/range/300000?cut=50&key=d' 100000- || true)"
is '/range cut in a part: its bytes' same "$(same 100000 50)"
is '/range cut twice' '206 18 206 18 206 0' "$(for _ in 1 2 3; do
    status -r 1- "$http/range/9999?cut=8000&times=2&key=e"; printf ' '; done | sed 's/ $//')"
is '/range ignored' '200' "$(part '/range/10?as=ignore' 5-)"
is '/range other' '206 bytes 4-9/10' "$(part '/range/10?as=other' 5-)"
is '/range other: its bytes' same "$(same 4 6)"
is '/range total' '206 bytes 5-9/11' "$(part '/range/10?as=total' 5-)"
is '/range bare' '206' "$(part '/range/10?as=bare' 5-)"
is '/range 416' '416 bytes */10' "$(part '/range/10?as=416' 5-)"
is '/range plain' '' "$(head_of "$http/range/10?as=plain" | grep -i -e etag -e last-mod || true)"
has '/range newetag' '^ETag: "v0"$' "$(head_of "$http/range/10?as=newetag&key=f")"
has '/range newetag again' '^ETag: "v1"$' "$(head_of "$http/range/10?as=newetag&key=f")"
is '/range newetag: other bytes' no \
    "$(ask "$http/range/300000?as=newetag&key=f" | cmp -s - "$directory/whole" && echo yes || echo no)"
for query in cut=x cut= as=nothing times=-1; do
    is "/range?$query" '400 0' "$(status "$http/range/10?$query")"
done

# ---- redirects, pages, cookies ----------------------------------------------------------------------
for code in 301 302 303 307 308; do
    has "/redirto with $code" "^HTTP/1.1 $code " "$(head_of "$http/redirto?url=/x&status=$code")"
    is "/redirect with $code" '200 2' "$(ask --location --output "$directory/ignored" \
        --write-out '%{http_code} %{num_redirects}' "$http/redirect/2/$code")"
done
is '/redirto with 200' '400 0' "$(status "$http/redirto?url=/x&status=200")"
is '/redirect with 200' '400 0' "$(status "$http/redirect/2/200")"
has '/redirto a fragment' '^Location: http://u:p@h/x#f$' "$(head_of "$http/redirto?url=http://u:p%40h/x%23f")"
has '/redirto nothing' '^Location: $' "$(head_of "$http/redirto?url=")"
is '/redirbad/none' '' "$(head_of "$http/redirbad/none" | grep -i location || true)"
is '/redirbad/two' 2 "$(head_of "$http/redirbad/two" | grep -c '^Location: ')"
has '/redirbad/control' "^Location: /bytes/$(printf '\001\037\177')$" "$(head_of "$http/redirbad/control")"
has '/redirbad/backslash' '^Location: http:\\\\127' "$(head_of "$http/redirbad/backslash")"
has '/redirbad/long is too much for curl' '^302 \(27\|100\)$' "$(status "$http/redirbad/long")"
has '/pages links on' '</pages/2/3>; rel="next"$' "$(head_of "$http/pages/1/3")"
has '/pages links back too' '</pages/1/3>; rel="prev", </pages/3/3>; rel="next"$' \
    "$(head_of "$http/pages/2/3")"
has '/pages ends' '</pages/2/3>; rel="prev"$' "$(head_of "$http/pages/3/3")"
has '/pages goes on elsewhere' '<http://other/x>; rel="next"$' \
    "$(head_of "$http/pages/3/3?next=http://other/x")"
has '/pages keeps its query' '</pages/2/3?next=/a>; rel="next"$' "$(head_of "$http/pages/1/3?next=/a")"
has '/pages is JSON' '^{"page": 2, "of": 3, "items": \[4, 5\]}$' "$(ask "$http/pages/2/3")"
has '/setcookie' '^Set-Cookie: a=b/c; Path=/x$' "$(head_of "$http/setcookie/a/b/c?with=Path=/x")"
is '/setcookie and go' '200 1' "$(ask --location --cookie-jar "$directory/jar" -b '' -o "$directory/got" \
    --write-out '%{http_code} %{num_redirects}' "$http/setcookie/a/b?url=/cookies&with=Path=/")"
has '/cookies' '"a": "b"' "$(cat "$directory/got")"
has '/cookies, two' '"c": "d=e"' "$(ask -H 'Cookie: a=b; c=d=e' "$http/cookies")"
is '/cookies, none' '{}' "$(ask "$http/cookies")"

# ---- /robots.txt --------------------------------------------------------------------------------------
before=$(ask "$http/count/robots.txt")
is '/robots.txt' '404 0' "$(status "$http/robots.txt")"
is '/robots.txt by host' 'Disallow: /' "$(ask -H 'Host: robots-deny.test:80' "$http/robots.txt" | tail -1)"
for code in 401 404 500 503; do
    is "/robots.txt by host $code" "$code 0" "$(status -H "Host: robots-$code.test" "$http/robots.txt")"
done
is '/robots.txt is slow' '000 28' "$(status --max-time 1 -H 'Host: robots-slow.test' "$http/robots.txt")"
is '/robots.txt has moved' 'Disallow: /' \
    "$(ask --location -H 'Host: robots-moved.test' "$http/robots.txt" | tail -1)"
is '/robots.txt goes round' '302 47' "$(status --location --max-redirs 5 "$http/robots/loop")"
is '/robots.txt is huge' yes "$(ask "$http/robots/huge" | wc -c | awk '{ print ($1 > 600000 ? "yes" : $1) }')"
ask "$http/setrobots/allow" >"$directory/ignored"
has '/robots.txt was set' '^Disallow:$' "$(ask "$http/robots.txt")"
is '/setrobots/nonsense' '404 0' "$(status "$http/setrobots/nonsense")"
is '/robots.txt is counted' 9 "$(($(ask "$http/count/robots.txt") - before))"
is '/count/nonsense' '404 0' "$(status "$http/count/nonsense")"

# ---- odd heads and framing, in brackets what curl makes of them ----------------------------------------
for name in fold interim interim-many http10 nolength closed close trailers extensions noreason; do
    has "/raw/$name" '^\(hello\|at last\)$' "$(ask "$http/raw/$name")"
done
for row in badchunk:56 hugechunk:56 neglength:8 status4:1 nul:8; do
    has "/raw/${row%:*}" " ${row#*:}\$" "$(status "$http/raw/${row%:*}")"
done
is '/raw/fold' 'X-Fold: one two	three' "$(head_of "$http/raw/fold" | tr -d '\n' |
    sed 's/.*\(X-Fold.*\)Content-L.*/\1/')"
has '/raw/trailers' '^X-Trailer: late$' "$(head_of "$http/raw/trailers")"
has '/raw/interim' '^HTTP/1.1 102 Processing$' "$(head_of "$http/raw/interim")"
is '/raw/nonsense' '404 0' "$(status "$http/raw/nonsense")"
has '/type' '^Content-Type: text/html;charset=utf-8$' "$(head_of "$http/type/text/html;charset=utf-8")"
is '/type of nothing' '' "$(head_of "$http/type" | grep -i content-type || true)"
is '/type: its body' hello "$(ask "$http/type/a/b")"
# curl asks once more, on a connection of its own.
is '/stale' 3 "$(ask --write-out '%{num_connects}\n' -o "$directory/1" "$http/stale" \
    -o "$directory/2" "$http/bytes/5" -o "$directory/3" "$http/stale" -o "$directory/4" "$http/stale" |
    awk '{ n += $1 } END { print n }')"
is '/stale: what was not answered' 2 "$(stat_of unanswered)"

# ---- /echo --------------------------------------------------------------------------------------
echo=$(ask -X PUT -H 'X-One: first' -H 'X-One: second' --data-binary 'body "text"' "$http/echo/a?b=c")
has 'echo gives the method' '"method": "PUT"' "$echo"
has 'echo gives the path' '"path": "/echo/a?b=c"' "$echo"
has 'echo joins headers' '"x-one": "first, second"' "$echo"
has 'echo gives the body' '"body": "body \\"text\\""' "$echo"
has 'echo reads chunks' '"body": "in chunks"' \
    "$(printf 'in chunks' | ask -H 'Expect:' -T - "$http/echo")"
has 'echo answers Expect' '"body": "patience"' \
    "$(ask -H 'Expect: 100-continue' --data patience "$http/echo")"
has 'echo tells other bytes' '"body_encoding": "latin-1"' \
    "$(printf '\377' | ask --data-binary @- "$http/echo")"
ask "$http/bytes/2000000" >"$directory/large"
is 'echo has a bound' '413 0' "$(status --data-binary "@$directory/large" "$http/echo")"
is 'others read the body away' '200 0' "$(status --data-binary "@$directory/large" "$http/")"

# ---- TLS that must not be trusted, a port where nobody listens -------------------------------------
for base in "$selfsigned" "$expired" "$wrongname"; do
    is "$base is refused" '000 60' "$(status "$base/")"
    is "$base works if forced" '200 0' "$(status --insecure "$base/")"
done
is 'the wrong name is good for its own' '200 0' \
    "$(status --resolve "wrong.example.invalid:${wrongname##*:}:127.0.0.1" \
        "https://wrong.example.invalid:${wrongname##*:}/")"
is 'the good one is good for a name' '200 0' \
    "$(status --resolve "a.example.test:${https##*:}:127.0.0.1" "https://a.example.test:${https##*:}/")"
is 'refused' '000 7' "$(status "$refused/")"

# ---- what is not HTTP ---------------------------------------------------------------------------
raw() { # the bytes (printf's format), pattern: what the server says until one of its lines matches
    mkfifo "$directory/raw"
    exec 5<>"$directory/raw"
    # shellcheck disable=SC2059
    printf "$1" >&5
    ask --no-buffer "telnet://${http#http://}" <&5 >"$directory/said" &
    asking=$!
    tries=0
    until grep -q -e "$2" "$directory/said" || [ $tries -eq 500 ]; do
        tries=$((tries + 1))
        sleep 0.01 # curl does not see that the server has closed
    done
    kill "$asking" 2>/dev/null || true
    wait "$asking" 2>/dev/null || true
    exec 5>&-
    rm "$directory/raw"
    tr -d '\r' <"$directory/said"
}
for request in 'nonsense\r\n\r\n' 'GET / HTTP/1.1\r\n\r\n' 'GET / HTTP/1.1\nHost: x\n\n' \
    'GET  / HTTP/1.1\r\nHost: x\r\n\r\n' 'GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n' \
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n' \
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n' \
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n' \
    '\026\003\001\002'; do
    has "bad request: $request" '^HTTP/1.1 400 Bad Request$' "$(raw "$request" 'Bad Request')"
done
has 'another version' '^HTTP/1.1 505 ' "$(raw 'GET / HTTP/3.0\r\n\r\n' 505)"
has 'HTTP/1.0 is closed' '^Connection: close$' "$(raw 'GET / HTTP/1.0\r\n\r\n' '</html>')"
has 'a huge head' '431 0' "$(status -H "X: $(head -c 70000 "$directory/large" | tr '\000-\377' x)" \
    "$http/")"


# ---- /stats: what was cancelled is closed, what is kept is reused --------------------------------
becomes 'nothing is left open' open 1
aborted=$(stat_of aborted)
# At least: curl's telnet, above, may leave in the middle of an answer as well.
is 'two slow and four hung requests were aborted' yes \
    "$([ "$aborted" -ge 6 ] && echo yes || echo "$aborted")"
ask --max-time 1 "$http/delay/60000" "$http/slow/1000/1000" >"$directory/ignored" || true
becomes 'cancelled transfers are aborted' aborted $((aborted + 2))
becomes 'and closed' open 1
before=$(stat_of connections)
ask --parallel --parallel-max 50 --no-progress-meter --output "$directory/#1" \
    "$http/delay/100?[1-200]"
after=$(stat_of connections)
# About fifty: curl 8 opens some more.
is 'two hundred transfers share fifty connections' yes \
    "$([ $((after - before)) -le 100 ] && echo yes || echo "$((after - before))")"
is 'our addresses are counted' "$(stat_of connections)" "$(($(stat_of 127.0.0.1) - 1))"
is 'the paths are counted' 207 "$(stat_of delay)"

# ---- bad usage, and the end ---------------------------------------------------------------------
rc=0
"$server" --port many 2>"$directory/error" || rc=$?
is 'a bad port is refused' "2 test-http-server: 'many' is not a port (0-65535)" \
    "$rc $(cat "$directory/error")"
rc=0
"$server" --port "${http##*:}" 2>"$directory/error" || rc=$?
has 'a port in use is refused' "^1 .*cannot use port ${http##*:}: " "$rc $(cat "$directory/error")"
rc=0
"$server" --address nowhere 2>"$directory/error" || rc=$?
has 'a bad address is refused' "^1 .*'nowhere' is no address" "$rc $(cat "$directory/error")"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
is 'it ends on SIGTERM' 0 "$rc"
is 'and takes its directory along' gone "$([ -e "${ca%/*}" ] && echo left || echo gone)"

# A parent that is killed cannot say goodbye; the pipe ends when its child has, too.
# shellcheck disable=SC2016
sh -c '"$1" --with-parent --port-file "$2" & wait' sh "$server" "$directory/ports2" \
    >"$directory/lines" &
pid=$!
exec 4<"$directory/lines"
while read -r name value <&4 && [ "$name" != ca ]; do :; done
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
is 'it ends with its parent' '' "$(cat <&4)"
is 'and takes that directory along too' gone "$([ -e "${value%/*}" ] && echo left || echo gone)"

printf '%s checks, %s failures\n' "$checks" "$failures"
[ "$failures" = 0 ]
