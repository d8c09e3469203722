# For guest scripts about kernel TLS, behind tap.sh: . /fdial/guest/ktls.sh
# shellcheck shell=sh
socket=/run/fdial/ktls.sock
export TARGET

# A client of another user, in an empty network namespace. With their paths, because busybox prefers
# its own setpriv, which cannot do this.
client="/fdial/tools/setpriv --reuid=12345 --regid=12345 --groups=991 env FDIAL_SOCKET=$socket"
alone="/fdial/tools/unshare -n"
# A version, and a cipher of it as OpenSSL and as GnuTLS calls it.
# shellcheck disable=SC2034 # for who reads this
ciphers='
1.3 TLS_AES_128_GCM_SHA256 AES-128-GCM
1.3 TLS_AES_256_GCM_SHA384 AES-256-GCM
1.3 TLS_CHACHA20_POLY1305_SHA256 CHACHA20-POLY1305
1.2 ECDHE-ECDSA-AES128-GCM-SHA256 AES-128-GCM
1.2 ECDHE-ECDSA-AES256-GCM-SHA384 AES-256-GCM
1.2 ECDHE-ECDSA-CHACHA20-POLY1305 CHACHA20-POLY1305'

start_daemon() { # lines for the configuration, for the rule
    mkdir -p /run/fdial
    rm -f $socket
    cat >/tmp/ktls.conf <<END_OF_CONFIGURATION
workers = 1
$1
tls "guest" { ca-file = "/fdial/root.pem" }
rule "client" {
  client    = { "uid:12345" }
  allow     = { "tls://127.0.0.1:*", "https://127.0.0.1:*" }
  addresses = { "loopback" }
  tls       = "guest"
  $2
}
END_OF_CONFIGURATION
    fdiald --config /tmp/ktls.conf --socket $socket >&2 3>&- &
    daemon=$!
    wait_for_file $socket
}

# shellcheck disable=SC2317 # called through check
stop_daemon() {
    kill "$daemon"
    wait "$daemon"
}

wait_for_port() { # port
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -q "$(printf ':%04X 0*:0000 0A' "$1")" /proc/net/tcp /proc/net/tcp6 && return 0
        sleep 0.5
    done
    return 1
}

# The client of the words prints just this.
# shellcheck disable=SC2317 # called through check
says() { # what word…
    said=$1
    shift
    # shellcheck disable=SC2086 # words
    $alone $client ktls-client "$@" >/tmp/said
    cat /tmp/said >&2
    [ "$(cat /tmp/said)" = "client: $said" ]
}
