# A kernel that cannot seal, which it is without the module: a plain connection is relayed, or refused
# to who does not take that, and is never the bare socket.
# shellcheck source=tests/vm/guest/tap.sh
. /fdial/guest/tap.sh
plan 18

socket=/run/fdial-no-seal.sock
cat >/tmp/no-seal.conf <<END
workers = 1
rule "client" {
  client    = { "uid:12345" }
  allow     = { "tcp://127.0.0.1:8", "http://127.0.0.1:8" }
  addresses = { "loopback" }
}
END

# shellcheck disable=SC2317 # called through check
as_client() {
    /fdial/tools/unshare -n /fdial/tools/setpriv --reuid=12345 --regid=12345 --clear-groups \
        env FDIAL_SOCKET="$socket" "$@"
}

# shellcheck disable=SC2317 # called through check
is_relayed() { # target kinds
    as_client fdial check "$1" --json --handoff "$2" >/tmp/check.json || return 1
    grep -q '"handoff": *"relay"' /tmp/check.json
}

# shellcheck disable=SC2317 # called through check
is_refused() { # target kinds
    ! as_client fdial check "$1" --json --handoff "$2" >/tmp/check.json || return 1
    grep -q '"stage": *"handoff"' /tmp/check.json
}

check 'the module is unloaded' unload tls
seal-test --serve 8 >&2 3>&- &
server=$!
fdiald --config /tmp/no-seal.conf --socket $socket --log-level debug >&2 3>&- &
daemon=$!
check 'the daemon makes its socket' wait_for_file $socket
chmod 666 $socket
for target in tcp://127.0.0.1:8 http://127.0.0.1:8; do
    for kinds in relay tcp,relay ktls,relay tcp,ktls,relay; do
        check "$target as $kinds: a relay" is_relayed $target $kinds
    done
    for kinds in tcp ktls tcp,ktls; do
        check "$target as $kinds: refused" is_refused $target $kinds
    done
done
kill $daemon
wait $daemon
check 'the daemon ends with status 0' [ $? = 0 ]
kill $server
check 'the module is there again' insmod /modules/tls.ko
finish
