# What holds for a kernel TLS socket in its holder's hands, and what `fdial check` says where there is
# none.
# shellcheck source=tests/vm/guest/tap.sh
. /fdial/guest/tap.sh
# shellcheck source=tests/vm/guest/ktls.sh
. /fdial/guest/ktls.sh
plan 39
export OPENSSL_CONF=/dev/null
servers=

serve() { # "VERSION CIPHER" words -- command…
    pair=$1 words=$2
    shift 2
    # shellcheck disable=SC2086 # words
    record-server /fdial/server.pem /fdial/server.key $pair $words "$@"
}

start_server() { # port option…
    port=$1
    shift
    openssl s_server -accept "127.0.0.1:$port" -quiet -rev -cert /fdial/server.pem \
        -key /fdial/server.key "$@" >/dev/null 2>&1 3>&- </dev/null &
    servers="$servers $!"
    wait_for_port "$port"
}

# shellcheck disable=SC2317,SC2086 # called through check; words
keys_are_readable() { # "VERSION CIPHER" name
    [ "$(serve "$1" wait -- $alone $client ktls-client keys shut)" = "client: $2 readable
server: alert=1,0 FIN" ]
}

# shellcheck disable=SC2317,SC2086,SC2016 # called through check; words; of the inner shell
connect_carries() { # "VERSION CIPHER"
    rm -f /tmp/got
    serve "$1" 'echo close wait' -- $alone $client sh -c \
        'fdial connect --handoff ktls "$TARGET" </fdial/text >/tmp/got' >&2 && cmp /fdial/text /tmp/got
}

# What came until then, and why there is no more; a hang would be ended from outside.
# shellcheck disable=SC2317,SC2086,SC2016 # called through check; words; of the inner shell
connect_tells() { # words text reason
    serve '1.3 TLS_AES_128_GCM_SHA256' "$1" -- $alone $client sh -c \
        'timeout 20 fdial connect --handoff ktls "$TARGET" </dev/null >/tmp/got 2>/tmp/why; echo $?' \
        >/tmp/played
    cat /tmp/played /tmp/why >&2
    grep -qx 1 /tmp/played && [ "$(cat /tmp/got)" = "$2" ] && grep -qi "$3" /tmp/why
}

# A peer may be gone before the socket got its ULP; now and then it is.
# shellcheck disable=SC2317,SC2086,SC2016 # called through check; words; of the inner shell
fails_at_once() { # word
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        serve '1.3 TLS_AES_128_GCM_SHA256' "$1" -- $alone $client sh -c \
            'timeout 20 fdial check --handoff ktls,relay "$TARGET" >/dev/null 2>/tmp/why; echo $?' \
            >/tmp/played
        if ! grep -qx 1 /tmp/played || ! grep -q '^fdial: tls://.*: \(connect\|tls\): ' /tmp/why; then
            cat /tmp/played /tmp/why >&2
            return 1
        fi
    done
}

# Its own cases, with their own plan.
# shellcheck disable=SC2086,SC2016 # words; of the inner shell
attack() { # "VERSION CIPHER"
    serve "$1" echo -- $alone $client env ADDRESS=127.0.0.1 PORT=7 sh -c \
        'exec fdial exec --handoff ktls --fd 5 "$TARGET" -- seal-test --fd 5' >/tmp/attacks
    status=$?
    grep -E '^(1\.\.|ok|not ok|Bail)' /tmp/attacks
    return $status
}

# shellcheck disable=SC2317,SC2086 # called through check; words
check_says() { # target kinds kind reason
    $alone $client fdial check "$1" --handoff "$2" --json >/tmp/check.json || return 1
    grep -E '"(handoff|handoff_reason|cipher)"' /tmp/check.json >&2
    grep -q "\"handoff\": *\"$3\"" /tmp/check.json && grep -q "\"handoff_reason\": *$4" /tmp/check.json
}

# shellcheck disable=SC2317,SC2086 # called through check; words
check_refuses() { # target kinds message
    ! $alone $client fdial check "$1" --handoff "$2" >/tmp/check.out 2>&1 || return 1
    cat /tmp/check.out >&2
    grep -q "$3" /tmp/check.out
}

# shellcheck disable=SC2317,SC2086 # called through check; words
knows() { # cipher directions
    $client fdial status >/tmp/status
    grep -E "^ktls_$1=" /tmp/status >&2
    grep -q "ktls_$1=$2" /tmp/status
}

seal-test --serve 7 >&2 3>&- &
servers="$servers $!"
check 'the daemon makes its socket' start_daemon
for version in 1.2 1.3; do
    for name in aes-128-gcm aes-256-gcm chacha20-poly1305; do
        check "the kernel does $name of TLS $version" knows "tls$version-$name" tx,rx
    done
done
for pair in '1.3 TLS_AES_256_GCM_SHA384' '1.2 ECDHE-ECDSA-AES128-GCM-SHA256'; do
    attack "$pair"
    check "TLS $pair: all attacks on it failed" [ $? = 0 ]
    check "TLS $pair: fdial connect" connect_carries "$pair"
done
check 'the holder can read the keys' keys_are_readable '1.3 TLS_AES_128_GCM_SHA256' AES-128-GCM
check 'the holder can read the keys, CHACHA20' keys_are_readable \
    '1.3 TLS_CHACHA20_POLY1305_SHA256' CHACHA20-POLY1305

check 'fdial connect: a KeyUpdate right behind data' connect_tells 'data=x update wait' x 'keys'
check 'fdial connect: an alert' connect_tells 'data=x alert=2,40 wait' x handshake_failure
check 'fdial connect: cut off' connect_tells 'data=x fin wait' x 'without'
check 'a peer that hangs up before TLS' fails_at_once hang-up
check 'a peer that resets before TLS' fails_at_once reset

start_server 1 -tls1_3
start_server 2 -tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256
check 'ktls' check_says tls://127.0.0.1:1 ktls ktls null
check 'ktls rather than a relay' check_says tls://127.0.0.1:2 tcp,ktls,relay ktls null
check 'the daemon ends with status 0' stop_daemon

check 'a kernel without CHACHA20' unload chacha20poly1305
check 'the daemon makes its socket' start_daemon
check 'which it knows' knows tls1.3-chacha20-poly1305 no
check 'a relay then' check_says tls://127.0.0.1:2 ktls,relay relay \
    '"this kernel.s TLS cannot do TLS_CHACHA20_POLY1305_SHA256"'
check 'or nothing' check_refuses tls://127.0.0.1:2 ktls handshake_failure
check 'the others as before' check_says tls://127.0.0.1:1 ktls,relay ktls null
check 'the daemon ends with status 0' stop_daemon
insmod /modules/chacha20poly1305.ko

check 'the daemon makes its socket' start_daemon 'ktls = false'
check 'switched off: a relay' check_says tls://127.0.0.1:1 ktls,relay relay '".*switched off.*"'
check 'switched off: refused' check_refuses tls://127.0.0.1:1 ktls 'switched off'
check 'the daemon ends with status 0' stop_daemon

check 'the daemon makes its socket' start_daemon '' 'handoff = { "tcp", "relay" }'
check 'a rule without it: a relay' check_says tls://127.0.0.1:1 ktls,relay relay '".*rule.*"'
check 'a rule without it: refused' check_refuses tls://127.0.0.1:1 ktls 'rule'
check 'the daemon ends with status 0' stop_daemon

check 'the daemon makes its socket' start_daemon \
    'proxy "tls" { url = "https://127.0.0.1:9" tls = "guest" }' 'via = { "tls" }'
check 'TLS inside TLS: refused' check_refuses tls://127.0.0.1:1 ktls 'no TLS inside TLS'
check 'the daemon ends with status 0' stop_daemon
# shellcheck disable=SC2086 # words
kill $servers
finish
