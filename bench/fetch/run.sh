#!/bin/sh
# HTTP requests through Argosy and by other clients, in one run, in turn, against one nginx.
#
#     sh bench/fetch/run.sh [--requests N] [--rounds R] [--only ROW,...] [--dir DIR] [--bin DIR] [--port N] [--pin]
#
# --only  of c100 c1000 delay200 delay5000 tls tls-full file (default: all of them)
# --dir   a folder for everything that is written (default: /dev/shm, or /var/tmp if that is small)
# --bin   where the programs of Argosy are (default: build/release/bin of this tree, built if missing)
# --port  the first of three ports on 127.0.0.1 for the server (default: 28200)
# --pin   the server on core 0, everything else on core 1
#
# A client that is not installed is left out, with a sentence. See ../README.md for what is compared.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=bench/common.sh
. "$here/../common.sh"
all_rows='c100 c1000 delay200 delay5000 tls tls-full file'
requests=100000 rounds=3 rows=$all_rows disk='' bin='' port=28200 pin_server='' pin_rest=''
wrk_seconds=3
file_kb=2097152            # 2 GiB
file_room_kb=2621440       # what has to be free for it, beside what the others write
descriptors_for_5000=5500  # connections, and what a process has open anyway
PATH=$PATH:/usr/sbin:/sbin # nginx

usage() {
    sed -n 's/^#     //p; s/^# \(--[a-z]\)/\1/p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --pin)
        pin_server='taskset -c 0' pin_rest='taskset -c 1'
        shift
        continue
        ;;
    esac
    [ $# -gt 1 ] || usage
    case $1 in
    --requests) requests=$2 ;;
    --rounds) rounds=$2 ;;
    --only) rows=$(echo "$2" | tr ',' ' ') ;;
    --dir) disk=$2 ;;
    --bin) bin=$(cd "$2" && pwd) ;;
    --port) port=$2 ;;
    *) usage ;;
    esac
    shift 2
done
case $requests$rounds$port in *[!0-9]*) usage ;; esac
for row in $rows; do
    case " $all_rows " in *" $row "*) ;; *) usage ;; esac
done
at_least() { if [ "$1" -gt "$2" ]; then echo "$1"; else echo "$2"; fi; }
handshakes=$(at_least $((requests / 10)) 100) # the rate is the same with more
curl_handshakes=$(at_least $((requests / 100)) 100)
aria2c_requests=$(at_least $((requests / 5)) 1000)
httpx_requests=$(at_least $((requests / 20)) 1000)

room_kb() { df -kP "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'; }
if [ -z "$disk" ]; then
    disk=/var/tmp
    if [ -w /dev/shm ] && [ "$(room_kb /dev/shm)" -ge $file_room_kb ]; then disk=/dev/shm; fi
fi
# shellcheck disable=SC3045 # every shell has it, though POSIX does not
{
    ulimit -n "$(ulimit -H -n)"
    descriptors=$(ulimit -n | sed 's,unlimited,1000000,')
}

# ---- what was started ends with us --------------------------------------------------------------
work=$(mktemp -d "$disk/argosy-bench.XXXXXX")
server='' broker='' worker='' client=''

stop_fleet() {
    stop "$client"
    stop "$worker"
    stop "$broker"
    client='' worker='' broker=''
}

trap 'trap "" INT TERM; stop_fleet; stop "$server"; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- building -----------------------------------------------------------------------------------
if [ -z "$bin" ]; then build_programs "$top"; fi
meter=$work/meter
"${CC:-cc}" -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$meter" "$here/../meter.c"

# ---- who is there -------------------------------------------------------------------------------
wants() { # ROW
    case " $rows " in *" $1 "*) ;; *) return 1 ;; esac
}

drop() { # ROW SENTENCE
    if wants "$1"; then
        skip "$1: $2"
        rows=$(echo " $rows " | sed "s/ $1 / /")
    fi
}

versions=$("$bin/argosy" --version)
has_wrk='' has_curl='' has_wget2='' has_aria2c='' python='' has_httpx='' has_undici=''
if command -v wrk >/dev/null; then
    has_wrk=1
    versions="$versions; wrk $(wrk -v 2>&1 | sed -n '1s/^wrk \([^ ]*\).*/\1/p')"
else
    skip "wrk is not installed (package wrk)"
fi
# The distribution's Python comes first: its packages are not seen by others.
for program in /usr/bin/python3 python3; do
    if [ -z "$python" ] && "$program" -c 'import aiohttp, uvloop' 2>/dev/null; then python=$program; fi
done
if [ -n "$python" ]; then
    versions="$versions; $("$python" -c 'import aiohttp, uvloop
print("aiohttp", aiohttp.__version__, "+ uvloop", uvloop.__version__)')"
else
    skip "aiohttp and uvloop are not installed (packages python3-aiohttp, python3-uvloop)"
fi
for program in /usr/bin/python3 python3; do
    if [ -z "$has_httpx" ] && "$program" -c 'import httpx' 2>/dev/null; then has_httpx=$program; fi
done
if [ -n "$has_httpx" ]; then
    versions="$versions; $("$has_httpx" -c 'import httpx; print("httpx", httpx.__version__)')"
else
    skip "httpx is not installed (package python3-httpx)"
fi
if command -v curl >/dev/null; then
    has_curl=1
    versions="$versions; $(curl --version | sed -n '1s/ (.*//p')"
else
    skip "curl is not installed (package curl)"
fi
if command -v wget2 >/dev/null; then
    has_wget2=1
    versions="$versions; wget2 $(wget2 --version | sed -n '1s/GNU Wget2 \([^ ]*\).*/\1/p')"
else
    skip "wget2 is not installed (package wget2)"
fi
if command -v aria2c >/dev/null; then
    has_aria2c=1
    versions="$versions; aria2c $(aria2c --version | sed -n '1s/aria2 version //p')"
else
    skip "aria2c is not installed (package aria2)"
fi
NODE_PATH=${NODE_PATH:-$(npm root -g 2>/dev/null || true)}
export NODE_PATH
if undici=$(cd "$here" && node -p 'require("undici/package.json").version' 2>/dev/null); then
    has_undici=1
    versions="$versions; undici $undici"
else
    skip "undici is not installed (npm install -g undici)"
fi

if ! command -v nginx >/dev/null; then
    echo "run.sh: nginx is not installed (package nginx-light)" >&2
    exit 1
fi
versions="$versions; $(nginx -v 2>&1 | sed 's/.*: //')"
echo_module=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')/ngx_http_echo_module.so
has_delay=1
if [ ! -f "$echo_module" ]; then
    has_delay=''
    drop delay200 "nginx has no module to wait with (package libnginx-mod-http-echo)"
    drop delay5000 "nginx has no module to wait with (package libnginx-mod-http-echo)"
fi
if [ "$descriptors" -lt $descriptors_for_5000 ]; then
    drop delay5000 "a process may open $descriptors files only (ulimit -H -n)"
fi
has_tls=1
if ! command -v openssl >/dev/null; then
    has_tls=''
    drop tls "openssl is not installed (package openssl)"
    drop tls-full "openssl is not installed (package openssl)"
fi
if [ "$(room_kb "$work")" -lt $file_room_kb ]; then
    drop file "$disk has no room for two files of 2 GiB; use --dir"
fi

# ---- the server ---------------------------------------------------------------------------------
# A CA of our own behind the system's, so that a client that parses them all pays for it.
make_certificates() {
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -f $bundle ]; then
            cat $bundle >"$work/bundle.pem"
            break
        fi
    done
    key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    echo 'subjectAltName=IP:127.0.0.1' >"$work/names"
    # shellcheck disable=SC2086 # $key is words
    {
        openssl req -x509 $key -days 2 -subj '/CN=Argosy benchmark CA' \
            -keyout "$work/ca.key" -out "$work/ca.pem" &&
            openssl req $key -subj '/CN=127.0.0.1' -keyout "$work/server.key" -out "$work/csr" &&
            openssl x509 -req -in "$work/csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
                -set_serial 1 -days 2 -extfile "$work/names" -out "$work/server.pem"
    } >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        return 1
    }
    cat "$work/ca.pem" >>"$work/bundle.pem"
}

tls_server() { # PORT DIRECTIVE...: every answer ends its connection
    echo "server {
        listen 127.0.0.1:$1 ssl backlog=4096;
        root $work/www;
        ssl_certificate $work/server.pem;
        ssl_certificate_key $work/server.key;
        keepalive_timeout 0;
        $2
    }"
}

# One process that is the worker itself, so that its id and its CPU are known.
write_server_config() {
    [ -z "$has_delay" ] || echo "load_module $echo_module;"
    echo "daemon off;
    master_process off;
    pid $work/nginx.pid;
    error_log $work/nginx.log;
    events { worker_connections $((descriptors < 12000 ? descriptors : 12000)); multi_accept on; }
    http {
        access_log off;
        sendfile on;
        open_file_cache max=100 inactive=1h;
        open_file_cache_valid 1h;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;"
    for kind in client_body proxy fastcgi scgi uwsgi; do echo "${kind}_temp_path $work/nginx-$kind;"; done
    echo "server {
            listen 127.0.0.1:$port backlog=4096;
            root $work/www;
            location = /status { stub_status; }
            ${has_delay:+location = /delay { echo_sleep 1; echo ok; \}}
        }"
    if [ -n "$has_tls" ]; then
        tls_server $((port + 1)) 'ssl_session_cache shared:bench:4m;'
        tls_server $((port + 2)) 'ssl_session_tickets off; ssl_session_cache off;'
    fi
    echo "}"
}

mkdir "$work/www" "$work/home" "$work/files"
head -c 1000 /dev/zero | tr '\0' x >"$work/www/1k"
truncate -s "${file_kb}K" "$work/www/2g"
[ -z "$has_tls" ] || make_certificates
write_server_config >"$work/nginx.conf"
$pin_server nginx -c "$work/nginx.conf" -e "$work/nginx.log" 2>"$work/nginx.err" &
server=$!
if ! await "$meter" -n "$server" -s "$port" true; then
    echo "run.sh: nginx did not start; is another program on port $port, or one of the next two?" >&2
    tail -5 "$work/nginx.err" >&2
    exit 1
fi
plain=http://127.0.0.1:$port
secure=https://127.0.0.1:$((port + 1))
secure_full=https://127.0.0.1:$((port + 2))

# ---- one measurement ----------------------------------------------------------------------------
# WHO FUNCTION...: one line of this round. If it fails, that is told and the next one comes.
# Nothing in FUNCTION ends by itself at an error: what may fail there needs `|| return 1`.
measure() {
    who=$1
    shift
    rm -rf "$work/err" "$work/log" "$work/out" "$work/store" "$work/files"
    mkdir "$work/files"
    if ! "$@"; then
        {
            echo "run.sh: round $round: $row: $who: failed; what was written about it:"
            for text in err log out; do
                if [ -s "$work/$text" ]; then head -8 "$work/$text" | cut -c 1-200 | sed 's/^/    /'; fi
            done
        } >&2
        echo "$row|$who|$round|failed" >>"$work/data"
    fi
    stop_fleet
    rm -rf "$work/files"
}

# What a client says of itself, if it does, instead of the time from its start to its end.
own_seconds() {
    sed -n 's/^seconds //p; s/.* requests in \([0-9.]*\)s,.*/\1/p' "$work/out"
}

# COUNT COMMAND...: what it took becomes a line of the table's data.
# All that the server did not count was not measured; only wrk, which runs for a time, has no COUNT.
record() {
    count=$1
    shift
    # shellcheck disable=SC2086 # $pin_rest is words
    HOME=$work/home timeout 300 $pin_rest "$meter" -s "$port" -n "$server" -b "${broker:-0}" \
        -w "${worker:-0}" -o "$output" "$@" >"$work/meter.out" 2>"$work/err" & # a signal finds us waiting
    client=$!
    status=0
    wait "$client" || status=$?
    client=''
    if [ "$status" -ne 0 ]; then
        if [ "$status" -eq 124 ]; then status='124: no end after 300 s'; fi
        echo "run.sh: $row: $who: exit status $status" >&2
        return 1
    fi
    read -r seconds served rest <"$work/meter.out"
    if [ "$output" != /dev/null ]; then seconds=$(own_seconds); fi
    if [ -z "$seconds" ] || [ "$served" -lt "$count" ]; then
        echo "run.sh: $row: $who: ${seconds:-no} seconds, $served of $count requests" >&2
        return 1
    fi
    echo "$row|$who|$round|$seconds $served $rest" >>"$work/data"
    printf 'round %s  %-9s  %-24s %8.3f s  %7d requests\n' "$round" "$row" "$who" "$seconds" "$served" >&2
}

has_worker() {
    "$bin/argosy" workers --config /dev/null --connect "ipc://$work/socket" | grep -q bench
}

run_argosy() { # STORE SLOTS COUNT OPTION...
    rm -f "$work/socket"
    mkdir -m 700 "$work/store"
    $pin_rest "$bin/argosy-broker" --config /dev/null --bind "ipc://$work/socket" --store "$1" \
        --log warning >>"$work/log" 2>&1 &
    broker=$!
    await test -S "$work/socket" || return 1
    $pin_rest "$bin/argosy-worker" --config /dev/null --connect "ipc://$work/socket" --kinds fetch \
        --slots "fetch=$2" --allow-net any --root "$work/files" ${has_tls:+--ca-file "$work/bundle.pem"} \
        --name bench --log warning >>"$work/log" 2>&1 &
    worker=$!
    await has_worker || return 1
    count=$3 output=/dev/null
    shift 3
    record "$count" "$bin/argosy" fetch --config /dev/null --connect "ipc://$work/socket" --quiet "$@"
}

run_argosy_list() { # STORE SLOTS COUNT LIST
    run_argosy "$1" "$2" "$3" --body none -i "$4"
}

run_wrk() { # CONCURRENCY URL
    output=$work/out
    record 1 wrk -t1 -c "$1" -d "${wrk_seconds}s" "$2" || return 1
    if grep -q 'Socket errors\|Non-2xx' "$work/out"; then return 1; fi
}

run_aiohttp() { # ARGUMENT...
    output=$work/out
    case $1 in get) count=$3 ;; *) count=1 ;; esac
    record "$count" "$python" "$here/peer_aiohttp.py" "$@"
}

run_httpx() { # URL COUNT CONCURRENCY
    output=$work/out
    record "$2" "$has_httpx" "$here/peer_httpx.py" "$@"
}

run_undici() { # URL COUNT CONCURRENCY
    output=$work/out
    record "$2" node "$here/peer_undici.cjs" "$@"
}

run_curl() { # CONCURRENCY COUNT LIST; 7.88 lowers the first to 300
    output=/dev/null
    record "$2" curl -q --silent --show-error ${has_tls:+--cacert "$work/bundle.pem"} --parallel \
        --parallel-immediate --parallel-max "$1" -K "$3.curl"
}

run_wget2() { # CONCURRENCY COUNT LIST
    output=/dev/null
    record "$2" wget2 --no-config --quiet ${has_tls:+--ca-certificate="$work/bundle.pem"} \
        --max-threads="$1" -O /dev/null -i "$3"
}

run_aria2c() { # CONCURRENCY COUNT LIST; it has no way not to write a file
    output=/dev/null
    record "$2" aria2c --no-conf --quiet --deferred-input -j "$1" -d "$work/files" -i "$3.aria2c"
}

run_to_file() { # COMMAND...
    output=/dev/null
    record 1 "$@" || return 1
    [ "$(stat -c %s "$work/files/2g")" -eq $((file_kb * 1024)) ]
}

file_of_argosy() {
    run_argosy memory 1 1 --timeout 5m --max-size 3G -o "$work/files/2g" "$plain/2g" || return 1
    [ "$(stat -c %s "$work/files/2g")" -eq $((file_kb * 1024)) ]
}

# ---- the rows -----------------------------------------------------------------------------------
# NAME COUNT URL: URL?1 to URL?COUNT for everybody; wget2 fetches equal ones only once.
make_list() {
    seq "$2" | sed "s,^,$3?," >"$work/$1"
    seq "$2" | sed "s,.*,url = \"$3?&\"\noutput = \"/dev/null\"," >"$work/$1.curl"
}

row_small() { # CONCURRENCY
    list=$work/small
    measure "Argosy" run_argosy_list memory "$1" "$requests" "$list"
    if [ "$1" -eq 100 ]; then
        measure "Argosy, SQLite" run_argosy_list "sqlite:$work/store/jobs.db" "$1" "$requests" "$list"
    fi
    [ -z "$has_wrk" ] || measure "wrk" run_wrk "$1" "$plain/1k"
    if [ -n "$python" ]; then
        measure "uvloop, manual" run_aiohttp manual "$plain/1k" "$requests" "$1"
        measure "uvloop, tuned" run_aiohttp get "$plain/1k" "$requests" "$1"
    fi
    [ -z "$has_curl" ] || measure "curl -Z" run_curl "$1" "$requests" "$list"
    [ -z "$has_wget2" ] || measure "wget2" run_wget2 "$1" "$requests" "$list"
    [ -z "$has_undici" ] || measure "undici" run_undici "$plain/1k" "$requests" "$1"
    [ "$1" -eq 100 ] || return 0
    [ -z "$has_aria2c" ] || measure "aria2c" run_aria2c "$1" "$aria2c_requests" "$list"
    [ -z "$has_httpx" ] || measure "httpx" run_httpx "$plain/1k" "$httpx_requests" "$1"
}

row_delay() { # COUNT
    list=$work/delay$1
    measure "Argosy" run_argosy_list memory "$1" "$1" "$list"
    [ -z "$python" ] || measure "aiohttp+uvloop" run_aiohttp get "$plain/delay" "$1" "$1"
    [ -z "$has_undici" ] || measure "undici" run_undici "$plain/delay" "$1" "$1"
    [ "$1" -eq 200 ] || return 0
    [ -z "$has_curl" ] || measure "curl -Z" run_curl "$1" "$1" "$list"
    [ -z "$has_wget2" ] || measure "wget2" run_wget2 "$1" "$1" "$list"
}

row_tls() { # LIST URL
    measure "Argosy" run_argosy_list memory 100 "$handshakes" "$1"
    [ -z "$python" ] ||
        measure "aiohttp+uvloop" run_aiohttp get "$2/1k" "$handshakes" 100 "$work/bundle.pem"
    [ -z "$has_curl" ] || measure "curl -Z" run_curl 100 "$curl_handshakes" "$1-curl"
    [ -z "$has_wget2" ] || measure "wget2" run_wget2 100 "$handshakes" "$1"
}

row_file() {
    out=$work/files/2g
    measure "Argosy (sha256)" file_of_argosy
    if [ -n "$python" ]; then
        measure "uvloop, manual" run_aiohttp file "$plain/2g" "$out" manual
        measure "uvloop, manual, sha256" run_aiohttp file "$plain/2g" "$out" manual sha256
        measure "uvloop, tuned" run_aiohttp file "$plain/2g" "$out" tuned
        measure "uvloop, tuned, sha256" run_aiohttp file "$plain/2g" "$out" tuned sha256
    fi
    [ -z "$has_curl" ] || measure "curl" run_to_file curl -q --silent --show-error -o "$out" "$plain/2g"
    [ -z "$has_wget2" ] || measure "wget2" run_to_file wget2 --no-config --quiet -O "$out" "$plain/2g"
    [ -z "$has_aria2c" ] || measure "aria2c" run_to_file aria2c --no-conf --quiet -x1 -s1 \
        --file-allocation=none -d "$work/files" -o 2g "$plain/2g"
}

make_list small "$requests" "$plain/1k"
seq "$aria2c_requests" | sed "s,.*,$plain/1k?&\n out=&," >"$work/small.aria2c"
make_list delay200 200 "$plain/delay"
make_list delay5000 5000 "$plain/delay"
make_list tls "$handshakes" "$secure/1k"
make_list tls-curl "$curl_handshakes" "$secure/1k"
make_list tls-full "$handshakes" "$secure_full/1k"
make_list tls-full-curl "$curl_handshakes" "$secure_full/1k"

# ---- the machine --------------------------------------------------------------------------------
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
echo "machine   $(nproc) cores, ${processor:-unknown processor}, $memory; Linux $(uname -r)," \
    "$(stat -f -c %T "$disk")"
echo "versions  $versions"
echo "load      $(cut -d' ' -f1-3 /proc/loadavg) before the run"
echo "run       $requests requests ($handshakes over TLS), $rounds rounds," \
    "$(if [ -n "$pin_server" ]; then echo 'server on core 0, the rest on core 1'; else echo 'nobody pinned'; fi)"

# ---- the rounds ---------------------------------------------------------------------------------
: >"$work/data"
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for row in $rows; do
        case $row in
        c100 | c1000) row_small "${row#c}" ;;
        delay200 | delay5000) row_delay "${row#delay}" ;;
        tls) row_tls "$work/tls" "$secure" ;;
        tls-full) row_tls "$work/tls-full" "$secure_full" ;;
        file) row_file ;;
        esac
    done
done
echo "load      $(cut -d' ' -f1-3 /proc/loadavg) after it"
awk -F'|' -f "$here/../spread.awk" -f "$here/table.awk" "$work/data"
! grep -q '|failed$' "$work/data"
