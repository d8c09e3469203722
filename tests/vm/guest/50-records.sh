# What fdial_recv makes of each kind of record, blocking and behind poll(); the peer is record-server.
# shellcheck source=tests/vm/guest/tap.sh
. /fdial/guest/tap.sh
# shellcheck source=tests/vm/guest/ktls.sh
. /fdial/guest/ktls.sh
plan 141

# The client prints just this, and the server has heard just that (*: whatever it was).
# shellcheck disable=SC2317,SC2086 # called through check; words
plays() { # "VERSION CIPHER" client's-line server's-line server's-words client's-words
    record-server /fdial/server.pem /fdial/server.key $1 $4 -- $client ktls-client $5 >/tmp/played
    cat /tmp/played >&2
    [ "$(sed -n 's/^client: //p' /tmp/played)" = "$2" ] || return 1
    [ "$3" = '*' ] || [ "$(sed -n 's/^server: //p' /tmp/played)" = "$3" ]
}

both() { # what client's-line server's-line server's-words client's-words
    check "TLS $version: $1" plays "$version $cipher" "$2" "$3" "$4" "$5"
    [ "$version" = 1.3 ] || return # the kernel and the library do the same
    check "TLS $version: $1, polled" plays "$version $cipher" "$2" "$3" "$4" "--poll $5"
    check "TLS $version: $1, polled first" plays "$version $cipher" "$2" "$3" "$4" \
        "--poll-first $5"
}

common() {
    ended='alert=1,0 FIN'
    both 'data each way, and a clean end each way' 'one two 0' "hi you $ended" \
        'hear=2 data=one flush hear=3 data=two close wait' \
        'send=hi recv send=you recv recv shut'
    both 'data that comes with Finished, and the end behind it' 'early 0' "$ended" \
        'glued data=early close fin wait' 'recv recv shut'
    both 'records of full size' '131072 0' "$ended" '8*long close wait' 'get=/dev/null shut'
    both 'a record byte by byte' 'he llo 0' "$ended" 'slow=hello close wait' \
        'recv=2 recv recv shut'
    both 'FIN without close_notify' '1 ECONNABORTED' "$ended" 'data=x fin wait' 'get=/dev/null shut'
    both 'FIN within a record' 'ECONNABORTED' "$ended" 'cut=hello fin wait' 'recv shut'
    both 'a reset' 'ECONNRESET' 'x' 'hear=1 rst' 'send=x recv'
    both 'a fatal alert' '(TLS alert: handshake_failure)' "$ended" 'alert=2,40 wait' \
        'recv shut'
    both 'a fatal alert behind data' 'x (TLS alert: internal_error)' "$ended" \
        'data=x alert=2,80 fin wait' 'recv recv shut'
    both 'an unknown alert' '(TLS alert without a name)' "$ended" 'alert=2,222 wait' 'recv shut'
    both 'an empty alert' 'EPROTO' '*' 'half-alert= wait' 'recv'
    both 'an alert in two records' 'EPROTO' '*' 'half-alert=2 half-alert=40 wait' 'recv'
    both 'a few empty records' 'x 0' "$ended" '3*empty data=x 3*empty close wait' \
        'recv recv shut'
    both 'empty records a while apart' 'x 0' "$ended" '20*lone-empty=5 data=x close wait' \
        'recv recv shut'
    both 'a flood of empty records' 'EPROTO' '*' '200*lone-empty=5 data=x wait' 'recv'
    both 'many empty records at once, which the kernel drops' 'x 0' "$ended" \
        '1000*empty data=x close wait' 'recv recv shut'
    both 'a bad tag' 'x EPROTO' '*' 'data=x flush hear=1 bad-tag wait' 'recv send=y recv'
    both 'clear text' 'EPROTO' '*' 'clear wait' 'recv'
    both 'a record that is too long' 'EPROTO' '*' 'oversized wait' 'recv'
    both 'a wrong version' 'EPROTO' '*' 'wrong-version wait' 'recv'
    # The error is told once; nothing may take it that does not tell it.
    both 'clear text behind data' 'x EPROTO' '*' 'data=x clear wait' 'recv recv'
    both 'a record that is too long behind data' 'x EPROTO' '*' 'data=x oversized wait' 'recv recv'
    both 'a reset behind data' 'x ECONNRESET' '*' 'hear=1 data=x rst' 'send=y recv recv'
    both 'an unknown type' 'EPROTO' '*' 'type=99 wait' 'recv'
}

only_13() {
    both 'tickets' 'x y 0' "z $ended" '2*ticket data=x flush hear=1 ticket data=y ticket close wait' \
        'recv send=z recv recv shut'
    both 'as many tickets as there may be' 'x 0' "$ended" '32*ticket data=x close wait' \
        'recv recv shut'
    both 'one ticket more' 'EPROTO' '*' '33*ticket data=x wait' 'recv'
    both 'a flood of tickets' 'EPROTO' '*' '1000*ticket wait' 'recv'
    both 'a flood of tickets a while apart' 'EPROTO' '*' '200*lone-ticket=5 data=x wait' 'recv'
    both 'a ticket in two records' 'x 0' "$ended" 'half-ticket other-half data=x close wait' \
        'recv recv shut'
    both 'a KeyUpdate' 'EKEYEXPIRED' "$ended" 'update data=x wait' 'recv shut'
    both 'a KeyUpdate behind data' 'x EKEYEXPIRED' "$ended" 'data=x update data=y wait' \
        'recv recv shut'
    both 'a KeyUpdate behind data and a ticket' 'x EKEYEXPIRED' "$ended" \
        'data=x ticket update data=y wait' 'recv recv shut'
    both 'a KeyUpdate that asks for one' 'EKEYEXPIRED' "$ended" 'update-asked wait' \
        'recv shut'
    both 'a KeyUpdate behind a ticket in one record' 'EKEYEXPIRED' "$ended" 'ticket+update wait' \
        'recv shut'
    both 'user_canceled before the end' '0' "$ended" 'alert=1,90 close wait' 'recv shut'
}

only_12() {
    both 'HelloRequest' 'x 0' "$ended" 'request data=x close wait' 'recv recv shut'
    both 'a warning' 'x 0' "$ended" 'alert=1,100 data=x close wait' 'recv recv shut'
}

# The kernel itself would begin the limit anew at each of them.
limited() {
    check "a time limit and empty records" plays "$version $cipher" 'EAGAIN x 0' "$ended" \
        '30*lone-empty=100 data=x close wait' 'limit=1000 recv limit=30000 recv recv shut'
}

# A KeyUpdate ends one direction only: what the peer sends behind it does not cut off the other one.
half_over() {
    head -c 1000000 /dev/zero >/tmp/long
    check "a KeyUpdate, and a peer that is slow to read" plays "$version $cipher" 'x EKEYEXPIRED' \
        "1000000 bytes $ended" 'data=x update lone-empty=1500 count wait' \
        '--poll-first recv put=/tmp/long shut recv sent'
}

# What a plain read() sees, and that fdial_recv goes on from there.
plain() {
    check 'read() and a ticket' plays "$version $cipher" 'EIO EIO x 0' "$ended" \
        'ticket data=x close wait' 'read read recv recv shut'
    check 'read() and close_notify' plays "$version $cipher" 'x EIO 0' "$ended" \
        'data=x close wait' 'read read recv shut'
    check 'read() and FIN without it' plays "$version $cipher" 'x 0 ECONNABORTED' "$ended" \
        'data=x fin wait' 'read read recv shut'
}

check 'the daemon makes its socket' start_daemon
version=1.3 cipher=TLS_AES_128_GCM_SHA256
common
only_13
limited
half_over
plain
version=1.2 cipher=ECDHE-ECDSA-CHACHA20-POLY1305
common
only_12
check 'the daemon ends with status 0' stop_daemon
finish
