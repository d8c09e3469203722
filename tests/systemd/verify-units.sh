#!/bin/sh
# systemd itself finds nothing to complain about in the units.
set -eu
: "${abs_top_srcdir:?is set by make check}" "${abs_top_builddir:?}"
. "$abs_top_srcdir/tests/lib/skip.sh"
need_command systemd-analyze

unit="$abs_top_builddir/systemd/fdiald.service"
[ -e "$unit" ] || skip 'configured without units'

# Checked as installed: the program must exist, so a copy names one that does.
mkdir "$TMPDIR/units"
sed "s|=[^ ]*/fdiald\>|=$abs_top_builddir/fdiald|" "$unit" >"$TMPDIR/units/fdiald.service"
cp "$abs_top_srcdir/systemd/fdiald.socket" "$TMPDIR/units"
grep -q "^ExecStart=/.*/fdiald$" "$unit" || fail "$unit: ExecStart was not filled in"

output=$(systemd-analyze verify --man=no --recursive-errors=one \
    "$TMPDIR/units/fdiald.service" "$TMPDIR/units/fdiald.socket" 2>&1) ||
    fail "systemd-analyze verify: $output"
[ -z "$output" ] || fail "systemd-analyze verify: $output"

if command -v systemd-sysusers >/dev/null 2>&1; then
    mkdir -p "$TMPDIR/root/etc"
    systemd-sysusers --root="$TMPDIR/root" - <"$abs_top_srcdir/systemd/fdial-sysusers.conf"
    grep -q '^fdiald:' "$TMPDIR/root/etc/passwd" || fail 'sysusers made no user fdiald'
    grep -q '^fdial:' "$TMPDIR/root/etc/group" || fail 'sysusers made no group fdial'
    output=$(systemd-tmpfiles --root="$TMPDIR/root" --create - \
        <"$abs_top_srcdir/systemd/fdial-tmpfiles.conf" 2>&1) || fail "tmpfiles: $output"
    [ -d "$TMPDIR/root/run/fdial" ] || fail 'tmpfiles made no /run/fdial'
fi
