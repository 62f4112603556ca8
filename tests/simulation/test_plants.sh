#!/bin/sh
# Every bug that can be planted is found within 10,000 seeds, and without one nothing is.
set -u
simulate=$ARGOSY_BIN/argosy-simulate
failed=0
for bug in $("$simulate" --help | awk '/^  [a-z]/ && $1 != "none" { print $1 }'); do
    if "$simulate" --seeds 10000 --from 1 --plant "$bug" >found 2>&1; then
        echo "$bug was not found in 10,000 seeds" >&2
        failed=1
    else
        printf '%-18s %s\n' "$bug" "$(grep -m 1 '^seed' found)"
    fi
done
rm -f found
exit $failed
