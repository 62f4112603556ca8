#!/bin/sh
# Archives through a real fleet: the same answer as for the directory that was packed, failures with
# their types and exit codes, roots that links do not lead out of.
. "$(dirname "$0")/harness.sh"

mkdir -p in/p-1.0/src out
printf 'int a;\n// b\n\n' >in/p-1.0/src/a.c
printf 'x = 1\n' >"in/p-1.0/src/$(printf '\303\244').py"
ln -s a.c in/p-1.0/src/link.c
(cd in && tar cf - p-1.0) >in/x.tar
gzip -k in/x.tar
# A zip of p-1.0/a.c ("int a;"), stored.
printf 'PK\003\004\012\000\000\000\000\000\000\000\041\000b\366\256\210\007\000\000\000\007\000\000\000\011\000\000\000p-1.0/a.cint a;\012PK\001\002\012\003\012\000\000\000\000\000\000\000\041\000b\366\256\210\007\000\000\000\007\000\000\000\011\000\000\000\000\000\000\000\000\000\000\000\244\201\000\000\000\000p-1.0/a.cPK\005\006\000\000\000\000\001\000\001\0007\000\000\000.\000\000\000\000\000' >in/x.zip

# ---- argosy run: as the directory, but for its name
rows() { argosy run analyze --by file --format csv "$1" | sed 's/^[^,]*,//'; }
mkdir tree && cp -R in/p-1.0 tree
rows tree >want || fail "the directory cannot be counted"
for name in x.tar x.tar.gz; do
    rows "in/$name" >got || fail "$name cannot be counted"
    cmp want got || fail "$name: $(cat got)"
done
argosy run analyze --format json in/x.zip >got || fail 'a zip cannot be counted'
grep -q "\"source\":\"$work/in/x.zip\"" got || fail "another source: $(cat got)"
grep -q '"totals":{"files":1,"lines":1,"code":1,' got || fail "wrong counts: $(cat got)"

# ---- damage: counted in part and told, exit code 1
size=$(wc -c <in/x.tar.gz)
head -c $((size - 4)) in/x.tar.gz >in/cut.tar.gz
argosy run analyze --format csv in/cut.tar.gz >got 2>report
[ $? -eq 1 ] || fail 'a cut archive is no success'
grep -q ',Python,1,1,1,' got || fail "nothing was counted: $(cat got)"
grep -q 'analyze.archive: cut off' report || fail "not told: $(cat report)"
grep -q 'analyze in/cut.tar.gz: 1 of 1 job succeeded only in part' report ||
    fail "no success in part: $(cat report)"
grep -q " $work/in/cut.tar.gz  attempt 1 of 3" report || fail "of which source? $(cat report)"
head -c 20 in/x.tar.gz >in/stub.tar.gz
argosy run analyze in/stub.tar.gz >got 2>report && fail 'a stub is no success'
grep -q 'analyze.archive' report || fail "not told: $(cat report)"
# What the terminal shows of a name is safe.
printf '\033]0;x\007.c' | {
    read -r name
    mkdir odd && printf 'int a;\n' >"odd/$name"
}
tar cf in/odd.tar odd
for format in table csv; do
    argosy run analyze --by file --format $format in/odd.tar >got 2>report || fail "odd names fail"
    grep -q 'x1b\]0;x.x07.c' got || fail "$format: $(cat -v got)"
    LC_ALL=C tr -d '\n\r -\176\200-\377' <got | grep -q . && fail "$format has control characters"
done

# ---- a fleet: what its roots hold, and nothing that a link leads to
cp in/x.tar.gz out
ln -s "$work/out/x.tar.gz" in/link.tar.gz
argosy-broker --bind "$ARGOSY_CONNECT" 2>broker.log &
pids="$pids $!"
argosy-worker --name w --kinds analyze --root "$work/in" 2>w.log &
pids="$pids $!"
argosy analyze --format csv in/x.tar.gz >got || fail 'the fleet does not count it'
grep -q ',Python,1,1,1,' got || fail "wrong counts: $(cat got)"
for name in in/link.tar.gz out/x.tar.gz; do
    argosy analyze "$work/$name" >got 2>report && fail "$name was read"
    grep -q 'analyze.source.denied' report || fail "$name: $(cat report)"
done
argosy submit analyze "{\"path\": \"$work/in/link.tar.gz\"}" >got 2>&1 && fail 'the link was followed'
grep -q 'analyze.source.denied' got || fail "the link: $(cat got)"
echo 'ok archives'
