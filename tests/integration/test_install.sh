#!/bin/sh
# The library as users get it: installed elsewhere, found by pkg-config and CMake, and the example of
# the guide built with it and run against a broker and a worker that meet without any option.
set -eu
build=${ARGOSY_BIN%/bin}
work=$(mktemp -d)
pids=
finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

cmake --install "$build" --prefix "$work/usr" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$work/usr" -name argosy.pc)")
export PKG_CONFIG_PATH
library=$(dirname "$(find "$work/usr" -name libargosy.so)")

# Nothing but the API is visible.
if nm -D --defined-only "$library/libargosy.so" | awk '{ print $3 }' |
    grep -v -e '^argosy_' -e '^__' -e '^_' -e '^$'; then
    echo 'libargosy.so exports what is not its API' >&2
    exit 1
fi

flags=
case $build in
*/asan) flags=-fsanitize=address,undefined ;;
*/tsan) flags=-fsanitize=thread ;;
esac
# shellcheck disable=SC2046,SC2086 # lists of flags
cc -Wall -Wextra -Werror $flags "$ARGOSY_SOURCE_DIR/doc/examples/gather.c" \
    $(pkg-config --cflags --libs argosy) "-Wl,-rpath,$library" \
    $(ls /usr/lib/*/libmsgpack-c.so >/dev/null 2>&1 && echo -lmsgpack-c || echo -lmsgpackc) \
    -o "$work/gather"

mkdir "$work/cmake"
cat >"$work/cmake/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(argosy 0.1 REQUIRED)
file(WRITE ${PROJECT_BINARY_DIR}/user.c
     "#include <argosy/argosy.h>\nint main(void) { return argosy_strerror(0) == 0; }\n")
add_executable(user ${PROJECT_BINARY_DIR}/user.c)
target_link_libraries(user argosy::SHARED)
CMAKE
cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$work/usr" \
    -DCMAKE_C_FLAGS="$flags" >/dev/null
cmake --build "$work/cmake/build" >/dev/null
"$work/cmake/build/user"

"$ARGOSY_TEST_HTTP_SERVER" --with-parent --port-file "$work/ports" >/dev/null &
pids="$pids $!"
until grep -q '^ca ' "$work/ports" 2>/dev/null; do sleep 0.02; done
http=$(sed -n 's/^http /http:\/\//p' "$work/ports")

export XDG_RUNTIME_DIR="$work" XDG_CONFIG_HOME="$work" XDG_STATE_HOME="$work"
"$ARGOSY_BIN/argosy" broker --log error &
pids="$pids $!"
"$ARGOSY_BIN/argosy" worker --log error --allow-net 127.0.0.0/8 &
pids="$pids $!"
rc=0
"$work/gather" "$http/bytes/5" "$http/status/404" >"$work/out" 2>"$work/err" || rc=$?
[ "$rc" = 1 ] || { echo "gather ended with $rc: $(cat "$work/err")" >&2; exit 1; }
grep -q '^job 0: done after ' "$work/out"
grep -q '^job 1: failed after ' "$work/out"
grep -q 'ExceptionGroup: gather: 1 of 2 jobs failed' "$work/err"
