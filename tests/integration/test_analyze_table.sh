#!/bin/sh
# What argosy analyze prints for people: the table, what is found besides below it; and --gitignore.
. "$(dirname "$0")/harness.sh"

mkdir -p p/src p/build
printf '// SPDX-License-Identifier: MIT\n// TODO: more\n// FIXME FIXME\nint a;\n' >p/src/a.c
cp p/src/a.c p/src/b.c
printf 'int \344;\r\nint c;\r\n' >p/src/c.c
printf 'y = 1' >p/src/d.js
printf 'x = 1\nx = 2\nx = 3\n\n\n' >p/long.py
printf 'Nobody may use this.\n' >p/LICENSE
printf 'int out;\n' | tee p/build/out.c >p/build/more.c
printf 'build/\n*.o\n!keep.o\n' >p/.gitignore
printf 'a\n' | tee p/a.o >p/keep.o

# table OPTIONS...: all that is printed, without the path.
table() {
    argosy run analyze "$@" p >got 2>report || fail "it cannot be counted: $(cat report)"
    sed -i '1d' got
}
block() { sed -n '/^$/,$p' got; }

# ---- below the table: as doc/analysis.md shows it
table --gitignore
block >block
cat >want <<'END'

largest     src/a.c, 68 B
longest     long.py, 5 lines
marks       2 TODO, 4 FIXME
duplicates  1 file, 68 B; most by src/a.c (2 times)
licenses    LICENSE (not known)
SPDX        MIT in 2 files
encodings   1 latin1
line ends   1 crlf, 1 without a newline at the end
END
cmp -s want block || fail "not what is wanted: $(diff want block)"
sed -n '/^$/q;$!p' got | grep -q '^total ' || fail "no table above: $(cat got)"

# ---- --gitignore: build/ and a.o are left out; nothing is without it
grep -q '^C  *3  *10 ' got || fail "ignored files are counted: $(cat got)"
grep '^skipped: ' got | grep -q '2 ignored' || fail "ignored ones are not told: $(cat got)"
table
grep -q '^C  *5  *12 ' got || fail "not all is counted: $(cat got)"
grep -q ignored got && fail "something is ignored unasked: $(cat got)"
tar cf p.tar p
argosy run analyze --gitignore p.tar >got 2>report && fail 'an archive with --gitignore is no success'
grep -q "rejected.payload: .*'gitignore' is for directories" report || fail "not told: $(cat report)"

# ---- quiet is the table alone; the others are data
table --quiet
block | grep -q . && fail "not quiet: $(cat got)"
grep -q '^total ' got || fail "no table: $(cat got)"
argosy run analyze --format csv p | grep -q 'largest ' && fail 'CSV has more than rows'
argosy run analyze --format json p | grep -q '^{.*"marks":{"todo":2,' || fail 'JSON is another'

# ---- nothing worth telling is no line; and what names hold does not reach the terminal
mkdir plain odd
printf 'int a;\n' >plain/a.c
argosy run analyze plain >got
block | grep -q . && fail "told of nothing: $(cat got)"
long=$(printf 'a\033]0;x\007\nb.c')
printf 'int a;\nint b;\n' >"odd/$long"
cp "odd/$long" "odd/$(printf '\377\376.c')"
argosy run analyze odd >got
block >block
cat >want <<'END'

largest     a\x1b]0;x\x07\x0ab.c, 14 B; also the longest, 2 lines
duplicates  1 file, 14 B; most by a\x1b]0;x\x07\x0ab.c (2 times)
END
cmp -s want block || fail "odd names: $(diff want block)"
argosy run analyze "odd/$long" >got
[ "$(head -n 1 got)" = "$work/odd/a\\x1b]0;x\\x07\\x0ab.c" ] || fail "an odd source: $(cat -v got)"
echo 'ok table'
