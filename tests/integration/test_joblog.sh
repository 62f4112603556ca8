#!/bin/sh
# --joblog, --resume, --resume-failed, --results.
. "$(dirname "$0")/harness.sh"
lines() { awk -F '\t' 'NR > 1 { print $1, $7 }' log | sort -n | tr '\n' ';'; }

printf '0\n1\n0\n' | argosy run exec --joblog log --results out --quiet -i - -- sh -c 'exit {}' 2>err
[ "$(lines)" = '1 0;2 1;3 0;' ] || fail "the log is $(cat log)"
head -n 1 log | grep -q '^Seq	Host	Starttime	JobRuntime	Send	Receive	Exitval	Signal	Command$' ||
    fail "the head is $(head -n 1 log)"
grep -q '"type":"handler.exec.exit.1"' out/2.json || fail "out/2.json is $(cat out/2.json)"

out=$(printf '0\n0\n0\n9\n' | argosy run exec --joblog log --resume-failed -i - -- sh -c 'echo {}' 2>err)
[ "$(echo "$out" | sort | tr '\n' ' ')" = '0 9 ' ] || fail "it did $out"
grep -q '2 of 4 were done before' err || fail "it says $(cat err)"
[ "$(lines)" = '1 0;2 0;2 1;3 0;4 0;' ] || fail "the log is $(cat log)"
out=$(printf '0\n0\n0\n9\n7\n' | argosy run exec --joblog log --resume -i - -- sh -c 'echo {}' 2>err)
[ "$out" = 7 ] || fail "it did $out"

argosy exec --resume true 2>err
[ $? -eq 2 ] && grep -q 'need a --joblog' err || fail "without a log: $(cat err)"
echo nonsense >>log
echo 1 | argosy run exec --joblog log --resume -i - -- true 2>err
[ $? -eq 2 ] && grep -q 'log:[0-9]* is not a line of a job log' err || fail "a bad log: $(cat err)"
echo 1 | argosy run exec --joblog "$work/none/log" -i - -- true 2>err
[ $? -eq 2 ] && grep -q 'cannot write' err || fail "no folder: $(cat err)"
echo 0 | argosy run exec --joblog /dev/full -i - -- true 2>err
[ $? -eq 1 ] && grep -q 'joblog: cannot write' err || fail "a full disk: $(cat err)"
exit 0
