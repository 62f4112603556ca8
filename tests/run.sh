#!/bin/sh
# Install what is missing, build with the sanitizers, run every test. Extra arguments go to ctest:
#     sh tests/run.sh -R core
set -eu
cd "$(dirname "$0")/.."

sh deploy/packages.sh
jobs=$(nproc)
cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs" -- --no-print-directory -s
ctest --preset asan -j "$jobs" "$@"

# Where threads meet: the same tests again, under ThreadSanitizer.
cmake --preset tsan >/dev/null
cmake --build --preset tsan -j "$jobs" --target tests_with_threads -- --no-print-directory -s
ctest --preset tsan -j "$jobs" -L threads
