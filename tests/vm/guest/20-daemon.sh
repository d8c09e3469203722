# A client of another user in an empty network namespace: what the daemon hands it is the TCP socket
# itself, and is sealed.
# shellcheck source=tests/vm/guest/tap.sh
. /fdial/guest/tap.sh
plan 6

socket=/run/fdial/fdial.sock
target=tcp://127.0.0.1:7
mkdir /run/fdial
cat >/tmp/fdiald.conf <<END
workers = 1
rule "client" {
  client    = { "uid:12345" }
  allow     = { "$target" }
  addresses = { "loopback" }
  handoff   = { "tcp" }
}
END

# With their paths, because busybox prefers its own setpriv, which cannot do this.
# shellcheck disable=SC2317 # called through check
as_client() {
    /fdial/tools/unshare -n /fdial/tools/setpriv --reuid=12345 --regid=12345 --groups=991 \
        env ADDRESS=127.0.0.1 PORT=7 FDIAL_SOCKET=$socket "$@"
}

seal-test --serve 7 >&2 3>&- &
server=$!
fdiald --config /tmp/fdiald.conf --socket $socket --log-level debug >&2 3>&- &
daemon=$!
check 'the daemon makes its socket' wait_for_file $socket

check 'the client has no network of its own' \
    as_client sh -c '! echo x | nc -w 2 127.0.0.1 7'
as_client fdial check $target --json >/tmp/check.json
check 'fdial check' [ $? = 0 ]
cat /tmp/check.json >&2
check 'the hand-over is the TCP socket' grep -q '"handoff": *"tcp"' /tmp/check.json

# Its own cases, with their own plan.
as_client fdial exec $target --fd 5 -- seal-test --fd 5
check 'all attacks on it failed' [ $? = 0 ]

kill $daemon
wait $daemon
check 'the daemon ends with status 0' [ $? = 0 ]
kill $server
finish
