#!/bin/sh
# What a worker must not reach, asked for in every way that is known: by odd spellings, by names that
# mean something private, by redirects; with the default policy and with a narrow --allow-net.
#
# Two judges: the type of each job's error, and the target server's own list of addresses at which it
# was connected to. Where the system allows a network of our own, every address there is leads to the
# target, public ones included: nothing is refused because nobody is there.
if [ -z "${ARGOSY_SAFETY_NETWORK:-}" ]; then
    for command in 'unshare --net' 'unshare --map-root-user --net'; do
        if $command sh -c 'ip link set lo up && ip route add local default dev lo &&
            ip -6 route add local ::/0 dev lo' 2>/dev/null; then
            # shellcheck disable=SC2016,SC2086 # words are wanted; the inner shell expands the rest
            ARGOSY_SAFETY_NETWORK=own exec $command sh -c 'ip link set lo up &&
                ip route add local default dev lo && ip -6 route add local ::/0 dev lo &&
                exec sh "$0"' "$0"
        fi
    done
    echo "no network of our own: public addresses are left out"
    ARGOSY_SAFETY_NETWORK=none
fi
. "$(dirname "$0")/harness.sh"
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
export ASAN_OPTIONS
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
: >failed
: >checked

# Counted in files: what reads from a pipe is a shell of its own.
fail() {
    echo "$*" | tee -a failed >&2
}

# ---- the servers: the target everywhere, one that redirects on 127.0.0.1 ---------------------------
port_of() { sed -n 's/^http .*:\([0-9]*\)$/\1/p' "$1"; }
ASKER=127.9.9.9 # the address at which this script asks the target; a proxy would be next door

everywhere=::
[ -e /proc/net/if_inet6 ] || everywhere=0.0.0.0
if [ "$ARGOSY_SAFETY_NETWORK" = own ]; then
    "$ARGOSY_TEST_HTTP_SERVER" --with-parent --address $everywhere --port 80 --tls-port 443 --port-file target >target.log &
else
    "$ARGOSY_TEST_HTTP_SERVER" --with-parent --address $everywhere --port-file target >target.log &
fi
pids="$pids $!"
"$ARGOSY_TEST_HTTP_SERVER" --with-parent --port-file redirector >redirector.log &
pids="$pids $!"
until_true test -s target
until_true test -s redirector
target=$(port_of target) redirector=127.0.0.1:$(port_of redirector)
at=:$target # what stands behind a host
[ "$target" = 80 ] && at=

stats() { curl -q -s --noproxy '*' "http://$ASKER:$target/stats"; }

# reached: the addresses at which the target was connected to, but for ours.
reached() {
    stats | sed -n '/"connections_at"/,/}/s/^ *"\([^"]*\)": [0-9].*/\1/p' |
        grep -v -x -e "$ASKER" | sort | tr '\n' ' '
}

# ---- the fleet: one worker as it comes, one that may reach the redirector, both with our names -----
cat >names <<END
private.test 127.0.0.1
private6.test ::1
mapped.test ::ffff:127.0.0.1
metadata.test 169.254.169.254
lan.test 10.1.2.3
ula.test fc00::1
nat64.test 64:ff9b::7f00:1
six2four.test 2002:7f00:1::1
zero.test 0.0.0.0
many.test 10.0.0.1,192.168.1.1,172.16.0.1,fc00::1,::1
redirector.test 127.0.0.1
public.test 8.8.4.4
both.test 10.1.2.3,8.8.4.4
both-turned.test 8.8.4.4,10.1.2.3
both6.test fc00::1,2606:4700::1
rebind.test 8.8.4.4
rebind.test 127.0.0.1
bind.test 127.0.0.1
bind.test 8.8.4.4
flap.test 8.8.4.4
flap.test 127.0.0.1
flap.test 8.8.4.4
flap.test 10.1.2.3
END
export ARGOSY_DNS="$work/names" ARGOSY_DNS_LOG="$work/lookups"
: >lookups
argosy-broker --bind "$ARGOSY_CONNECT" --log warning 2>broker.log &
pids="$pids $!"
until_true test -S broker

start_worker() { # TAG OPTION...: each with proxies in its environment, which it must not ask
    tag=$1
    shift
    http_proxy=http://127.9.9.8:$target https_proxy=http://127.9.9.8:$target \
        HTTPS_PROXY=http://127.9.9.8:$target all_proxy=socks5h://127.9.9.8:$target \
        ALL_PROXY=http://127.9.9.8:$target LD_PRELOAD=$ARGOSY_PRELOAD_DNS \
        argosy-worker --kinds fetch --tag "$tag" --log warning "$@" 2>"$tag.log" &
    pids="$pids $!"
    workers="$workers $!"
}
workers=
start_worker default
start_worker narrow --allow-net "$redirector"

# ---- judging ----------------------------------------------------------------------------------------
# types FILE: for each line of NDJSON the error's type, or "ok" with the address that answered.
types() {
    sed -n '/^{"job"/!d
        s/.*"error": *{"type": *"\([^"]*\)".*/\1/p;t
        s/.*"state": *"succeeded".*"peer": *"\([^"]*\)".*/ok \1/p;t
        s/.*"state": *"\([^"]*\)".*/\1/p' "$1"
}

# expect TAG NAME [OPTION...] <CASES: lines of "PATTERN URL"; a pattern is of the shell, as in case.
expect() {
    tag=$1 name=$2
    shift 2
    cat >"$name.cases"
    sed 's/^[^ ]* //' "$name.cases" >"$name.urls"
    timeout 60 argosy fetch -i "$name.urls" --requires "$tag" --json --ordered --retries 0 --body none \
        --connect-timeout 5s --timeout 10s "$@" >"$name.out" 2>"$name.err" </dev/null
    types "$name.out" >"$name.types"
    [ "$(wc -l <"$name.cases")" -eq "$(grep -c '^{"job"' "$name.out")" ] || {
        fail "$name: not as many answers as questions: $(tail -3 "$name.err")"
        return
    }
    paste -d '\n' "$name.cases" "$name.types" >"$name.both"
    while read -r pattern url && read -r type; do
        echo "$url" >>checked
        matches "$pattern" "$type" || fail "$name ($tag): $url: expected $pattern, got $type"
    done <"$name.both"
}

matches() { # PATTERN|PATTERN... TEXT
    rest=$1\|
    while [ -n "$rest" ]; do
        # shellcheck disable=SC2254 # a pattern is wanted
        case $2 in ${rest%%|*}) return 0 ;; esac
        rest=${rest#*|}
    done
    return 1
}

# reaches NAME ADDRESS...: since the beginning the target was connected to at these only.
reaches() {
    name=$1
    shift
    echo "$name" >>checked
    expected=$(printf '%s\n' "$@" | sort | sed '/^$/d' | tr '\n' ' ')
    got=$(reached)
    [ "$expected" = "$got" ] || fail "$name: the target was reached at '$got', not at '$expected'"
}

# ---- the cases --------------------------------------------------------------------------------------
private_addresses() {
    for address in 127.0.0.1 127.255.255.254 2130706433 017700000001 0x7f000001 0177.0.0.1 0x7f.1 \
        0x7f.0.0.0x1 127.1 127.0.1 0 0.0.0.0 00.0 %31%32%37.0.0.1 \
        10.0.0.1 10.255.255.255 167772161 0xa.1 100.64.0.1 100.127.255.255 169.254.169.254 2852039166 \
        0xa9fea9fe 169.254.0.1 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 3232235521 \
        192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 \
        224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
        '[::1]' '[0:0:0:0:0:0:0:1]' '[::]' '[::0.0.0.1]' '[::127.0.0.1]' '[::ffff:127.0.0.1]' \
        '[::ffff:7f00:1]' '[::ffff:a9fe:a9fe]' '[::ffff:10.0.0.1]' '[::ffff:0:127.0.0.1]' \
        '[64:ff9b::7f00:1]' '[64:ff9b::10.0.0.1]' '[64:ff9b::169.254.169.254]' '[64:ff9b:1::7f00:1]' \
        '[2002:7f00:1::]' '[2002:a00:1::1]' '[2002:a9fe:a9fe::1]' '[2002:c0a8:1::1]' \
        '[2001:0:4136:e378:8000:63bf:80ff:fffe]' '[2001::1]' '[2001:db8::1]' '[3fff::1]' '[5f00::1]' \
        '[100::1]' '[fe80::1]' '[fe80::1%25lo]' '[fe80::1%25eth0]' '[febf::1]' '[fec0::1]' '[fc00::1]' \
        '[fd12:3456::1]' '[ff02::1]' '[ff0e::1]' localhost LOCALHOST; do
        echo "fetch.policy http://$address$at/"
    done
    # These may be names that nobody knows.
    for address in 127.0.0.1. localhost. x.localhost 4294967297 256.256.256.256 127.0.0.0x100 1.2.3.4.5 ①②⑦.⓪.⓪.① \
        127。0。0。1 127.0.0.1 ⑯⑨。②⑤④。⑯⑨｡②⑤④ lⓞcalhost 127.0.0.1%00.public.test '[::1%00]' \
        '[::ffff:127.0.0.1' '[127.0.0.1]'; do
        echo "fetch.policy|fetch.url|fetch.dns http://$address$at/"
    done
}

private_names() {
    for name in private private6 mapped metadata lan ula nat64 six2four zero many PRIVATE; do
        echo "fetch.policy http://$name.test$at/"
    done
}

tricky_urls() {
    for url in "http://public.test@127.0.0.1$at/" "http://public.test:80@127.0.0.1$at/" \
        "http://a@b@127.0.0.1$at/" "http://127.0.0.1$at#@public.test/" "http://127.0.0.1$at?@public.test/" \
        "http://127.0.0.1$at/@public.test/" "HTTP://127.0.0.1$at/" "http:///127.0.0.1$at/" "127.0.0.1$at/" \
        "//127.0.0.1$at/" "http:127.0.0.1$at/" "http:/127.0.0.1$at/" "http:\\\\127.0.0.1$at\\" \
        "http://127.0.0.1$at:80:x/" "http://127.0.0.1 .public.test/" "http://[::1]x$at/"; do
        printf '%s %s\n' 'fetch.policy|fetch.url|fetch.dns' "$url"
    done
    for scheme in ftp ftps sftp scp gopher gophers dict ldap ldaps smb smbs telnet tftp imap pop3 smtp \
        rtsp rtmp mqtt ws; do
        echo "fetch.policy $scheme://127.0.0.1$at/x"
    done
    echo "fetch.policy file:///etc/passwd"
    echo "fetch.policy file://127.0.0.1/etc/passwd"
    echo "fetch.policy|fetch.url file:/etc/passwd"
    echo "fetch.policy|fetch.url data:text/plain,x"
    echo "fetch.policy|fetch.url unix:///var/run/x.sock"
}

# Here others see 127.0.0.1 and libcurl a public host, or nothing.
urls_of_two_minds() {
    for url in 'http://127.0.0.1\@public.test/' 'http://127.0.0.1:80\@public.test/' \
        'http://127.0.0.1;@public.test/' 'http://127.0.0.1%2f@public.test/' 'http://127.0.0.1%23@public.test/' \
        'http://public.test#@127.0.0.1/' 'http://public.test?@127.0.0.1/' 'http://public.test\@127.0.0.1/'; do
        printf '%s %s\n' 'fetch.policy|fetch.url|fetch.dns|ok?8.8.4.4:80' "$url"
    done
}

# redirects ORIGIN: from a server that may be asked to one that may not.
redirects() {
    for status in 301 302 303 307 308; do
        for to in "http://127.0.0.1$at/" "//127.0.0.1$at/" "http://localhost$at/" "http://[::1]$at/" \
            "http://[::ffff:127.0.0.1]$at/" "http://2130706433$at/" "http://private.test$at/" \
            "http://169.254.169.254$at/latest/meta-data/" "http://x@127.0.0.1$at/"; do
            echo "fetch.policy|fetch.url http://$1/redirto?status=$status&url=$to"
        done
        for scheme in ftp gopher dict ldap smb tftp; do
            echo "fetch.policy http://$1/redirto?status=$status&url=$scheme://127.0.0.1$at/x"
        done
        for to in file:///etc/passwd file://127.0.0.1/etc/passwd FILE:///etc/passwd; do
            echo "fetch.policy http://$1/redirto?status=$status&url=$to"
        done
    done
    # Round and back: the second hop is looked at as the first one was.
    echo "fetch.policy http://$1/redirto?url=http://$1/redirto?url%3Dhttp://127.0.0.1$at/"
    echo "fetch.policy http://$1/setcookie/a/b?url=http://127.0.0.1$at/"
}

refused() {
    private_addresses | expect "$1" "addresses-$1"
    private_names | expect "$1" "names-$1"
    tricky_urls | expect "$1" "urls-$1"
    private_addresses | sed 's/http:/https:/' | expect "$1" "tls-$1"
}

# A body goes nowhere either, and a method of one's own.
refused_posts() {
    { private_names && redirects "$redirector" | grep -e 'status=30[178]'; } |
        expect narrow posts --data secret
    private_names | expect default purges --request PURGE
}

allowed_by_the_narrow_option() {
    port=${redirector#*:}
    for host in 127.0.0.1 127.1 2130706433 localhost private.test redirector.test '[::ffff:127.0.0.1]' \
        mapped.test; do
        echo "ok?*127.0.0.1*:$port http://$host:$port/bytes/5"
    done
    echo "ok?$redirector http://$redirector/redirect/3"
    echo "ok?$redirector http://$redirector/redirto?url=http://localhost:$port/bytes/5"
    echo "ok?$redirector http://$redirector/bytes/5"
    echo "fetch.policy http://127.0.0.2:$port/" # a connection that is kept is not for all
    echo "fetch.policy http://[::1]:$port/"
    echo "fetch.policy http://127.0.0.1$at/"
}

credentials_stay_at_home() {
    port=${redirector#*:}
    for url in "http://$redirector/redirto?url=/echo" \
        "http://$redirector/redirto?url=http://redirector.test:$port/echo"; do
        argosy fetch "$url" --requires narrow --json --retries 0 --header 'Authorization: Bearer secret-1' \
            --header 'Cookie: secret=2' >home.out 2>home.err
        told=$(grep -c 'secret-1' home.out) told2=$(grep -c 'secret=2' home.out)
        echo "$url" >>checked
        case $url in
        *redirector.test*) [ "$told$told2" = 00 ] || fail "credentials went to another host" ;;
        *) [ "$told$told2" = 11 ] || fail "credentials did not stay: $(cat home.out)" ;;
        esac
    done
}

public_ones() {
    for address in 8.8.4.4 134743044 0x8080404 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.1.2.3 \
        128.0.0.1 169.253.1.1 169.255.1.1 172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 \
        198.17.255.255 198.20.0.1 223.255.255.255 '[2606:4700::1]' '[2400::1]' '[::ffff:8.8.4.4]' \
        '[64:ff9b::808:404]' '[2002:808:404::1]' public.test PUBLIC.test; do
        echo "ok?* http://$address/bytes/5"
    done
    # The public one of two addresses, or neither.
    for name in both both-turned; do
        echo "ok?8.8.4.4:80|fetch.policy http://$name.test/bytes/5"
    done
    echo "ok?\[2606:4700::1\]:80|fetch.policy http://both6.test/bytes/5"
}

# The other scheme makes libcurl ask for the name anew. Nobody trusts the target's certificate, so a
# name that is remembered as public fails by that.
names_that_change() {
    echo "ok?8.8.4.4:80 http://rebind.test/raw/close"
    echo "ok?8.8.4.4:80|fetch.policy http://rebind.test/bytes/5"
    echo "fetch.policy|fetch.tls https://rebind.test/"
    echo "ok?8.8.4.4:80|fetch.policy http://rebind.test/bytes/5" # on a connection that was kept
    echo "fetch.policy https://bind.test/"
    echo "ok?8.8.4.4:80|fetch.policy http://bind.test/bytes/5"
    echo "fetch.policy|fetch.tls http://flap.test/redirto?url=https://flap.test/"
}

# From a public server by redirect to what is private, with the default policy.
redirects_from_public() { redirects public.test; }

# Only ports 80 and 443 of public servers, and those that an option opens.
ports_beside_the_web() {
    for port in 22 25 6379 8080; do
        "$ARGOSY_TEST_HTTP_SERVER" --with-parent --address $everywhere --port $port --port-file "port-$port" \
            >"port-$port.log" &
        pids="$pids $!"
        until_true test -s "port-$port"
    done
    start_worker ports --allow-port 8080 --allow-net 127.0.0.1:6379
    for host in 8.8.4.4 public.test '[2606:4700::1]'; do
        for port in 22 25 6379 8080; do echo "fetch.policy http://$host:$port/"; done
        echo "ok?* http://$host:80/"
    done | expect default ports
    for port in 22 25 6379 8080; do
        echo "$port" >>checked
        curl -q -s --noproxy '*' "http://$ASKER:$port/stats" | grep -q '"connections": 1,' ||
            fail "port $port was connected to"
    done
    cat <<END | expect ports ports-allowed
ok?* http://8.8.4.4:8080/
ok?* http://8.8.4.4/
fetch.policy http://8.8.4.4:6379/
fetch.policy http://8.8.4.4:22/
ok?* http://127.0.0.1:6379/
fetch.policy http://127.0.0.1:8080/
fetch.policy http://127.0.0.1:80/
fetch.policy http://127.0.0.2:6379/
fetch.policy http://8.8.4.4/redirto?url=http://8.8.4.4:22/
END
}

# ---- the test ----------------------------------------------------------------------------------------
refused default
refused narrow
redirects "$redirector" | expect narrow redirects
refused_posts
reaches refused
grep -q '^private.test$' lookups || fail "the worker does not ask for names as this test means"
allowed_by_the_narrow_option | expect narrow allowed
credentials_stay_at_home
reaches "refused by the narrow option"

if [ "$ARGOSY_SAFETY_NETWORK" = own ]; then
    urls_of_two_minds | expect default urls-of-two-minds
    redirects_from_public | expect default redirects-public
    names_that_change | expect default names-that-change --concurrency 1
    reaches "names that change" 8.8.4.4
    public_ones | expect default public
    reaches public 8.8.4.4 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.1.2.3 128.0.0.1 \
        169.253.1.1 169.255.1.1 172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 198.17.255.255 \
        198.20.0.1 223.255.255.255 2606:4700::1 2400::1 64:ff9b::808:404 2002:808:404::1
    if argosy-worker --help | grep -q -e --allow-port; then
        ports_beside_the_web
    else
        echo "this worker knows no --allow-port: ports are left out"
    fi
fi
# shellcheck disable=SC2086 # a list
kill $workers
# shellcheck disable=SC2086
wait $workers
grep -l -e Sanitizer -e 'runtime error' ./*.log && fail "a sanitizer complains: $(cat ./*.log)"
echo "$(wc -l <checked) checks, $(wc -l <failed) failures"
[ ! -s failed ]
