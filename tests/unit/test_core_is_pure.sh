#!/bin/sh
# The pure cores call nothing that reads a clock, a file, a socket or a random source: the symbols
# they need from outside are compared with a list of what is allowed.
set -eu

allowed='^(_GLOBAL_OFFSET_TABLE_|__asan_|__ubsan_|__tsan_|__sanitizer|__stack_chk_fail|__assert_fail'
allowed="$allowed|abort|fprintf|stderr|ntohs|ntohl|htons|htonl|malloc|calloc|realloc|free|mem(cpy|move|set|cmp|chr)|str(len|cmp|ncmp|chr|spn|cspn)"
allowed="$allowed|__(v|)(sn|s|f)printf_chk|(v|)snprintf|sprintf|__mem(cpy|set|move)_chk|qsort"
allowed="$allowed|ag_(buffer|bytes|error|fail|heap|id|list|map|message|proto|random|retry|selector)"
allowed="$allowed|outcome_(fail|fini)|ag_assert|ag_drop_half_character|argosy_strerror|ag_wire|ag_read|msgpack_pack)"

status=0
IFS=:
for library in $ARGOSY_CORE_LIBRARIES; do
    own=$(nm --defined-only "$library" | awk 'NF == 3 { print $3 }' | sort -u)
    for symbol in $(nm --undefined-only "$library" | awk 'NF == 2 { print $2 }' | sort -u | tr '\n' :); do
        echo "$own" | grep -qxF "$symbol" && continue
        echo "$symbol" | grep -qE "$allowed" && continue
        echo "$library needs '$symbol', which a pure core must not" >&2
        status=1
    done
done
exit $status
