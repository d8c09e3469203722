# Whose a session is; SO_PEERPIDFD came with 6.5.
# shellcheck source=tests/vm/guest/tap.sh
. /fdial/guest/tap.sh
plan 2

socket=/run/fdial/identity.sock
mkdir -p /run/fdial
cat >/tmp/identity.conf <<END
workers = 1
rule "anybody" {
  client  = { "uid:0", "uid:12345" }
  allow   = { "tcp://127.0.0.1:7" }
  handoff = { "tcp" }
}
END
fdiald --config /tmp/identity.conf --socket $socket >&2 3>&- &
daemon=$!
wait_for_file $socket

# Its own cases, with their own plan.
heir-test $socket $daemon
check 'nobody but the opener got an answer' [ $? = 0 ]

kill $daemon
wait $daemon
check 'the daemon ends with status 0' [ $? = 0 ]
finish
