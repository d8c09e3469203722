# For shell tests: . "$abs_top_srcdir/tests/lib/skip.sh"
# shellcheck shell=sh

skip() { # reason
    printf '%s\n' "$*"
    exit 77
}

fail() { # what
    printf 'FAIL: %s\n' "$*"
    exit 1
}

need_command() { # name…
    for _name in "$@"; do
        command -v "$_name" >/dev/null 2>&1 || skip "no $_name here"
    done
}

need_root() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
}
