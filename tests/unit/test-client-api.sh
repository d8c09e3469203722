#!/bin/sh
# What libfdial exports is what the version script, the header and the manual say, and it needs nothing
# but libc.
srcdir=${srcdir:-..}
library=.libs/libfdial.so
failed=0

complain() {
    echo "$*"
    failed=1
}

[ -e "$library" ] || { echo "$library is not there"; exit 1; }
LC_ALL=C
export LC_ALL
exported=$(nm -D --defined-only "$library" | sed -n 's/.* T \([a-z_]*\)@@FDIAL_0$/\1/p' | sort)
mapped=$(sed -n 's/^    \([a-z_]*\);$/\1/p' "$srcdir/client/libfdial.map" | sort)
declared=$(grep -v '^ \*\|^/\*' "$srcdir/client/fdial.h" | grep -o '\<fdial\(_[a-z_]*\)\?(' | tr -d '(' | sort -u)
described=$(sed -n 's/^\.F[no] \(fdial[a-z_]*\)\( ".*\)\?$/\1/p' "$srcdir/client/fdial.3" | sort -u)
named=$(sed -n 's/^\.Nm \(fdial[a-z_]*\).*$/\1/p' "$srcdir/client/fdial.3" | sort -u)

[ -n "$exported" ] || complain "nothing is exported"
[ "$exported" = "$mapped" ] || complain "the version script and the library differ"
[ "$exported" = "$declared" ] || complain "the header and the library differ"
[ "$exported" = "$described" ] || complain "the manual's text and the library differ"
[ "$exported" = "$named" ] || complain "the manual's names and the library differ"
[ "$(nm -D --defined-only "$library" | grep -cv 'fdial\|FDIAL_0')" = 0 ] || complain "other symbols are exported"

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -v '^libc\.so\|^ld-linux\|^libasan\|^libubsan')
[ -z "$needed" ] || complain "the library needs $needed"
exit $failed
