# In the container, as root: the units as the README has them installed, with clients.
# shellcheck disable=SC2317 # functions are called through check
# shellcheck source=tests/vm/guest/tap.sh
if [ ! -e /fdial/guest/tap.sh ] || ! systemd-detect-virt --quiet --container; then
    echo 'only for the container of container.py' >&2
    exit 1
fi
. /fdial/guest/tap.sh
plan 48

export LC_ALL=C SYSTEMD_COLORS=0
socket=/run/fdial/fdial.sock
config=/etc/fdial/fdiald.conf
first=tcp://127.0.0.1:7007
second=tcp://127.0.0.1:7008

as_user() { # user command…
    user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --init-groups "$@"
}

prop() { # property of the service
    systemctl show -P "$1" fdiald.service
}

wait_for() { # command…
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        "$@" && return 0
        sleep 0.3
    done
    return 1
}

# What fdiald itself has written with a priority.
has_message() { # priority text [match]
    journalctl --sync
    journalctl -q -o json --output-fields=PRIORITY,MESSAGE _SYSTEMD_UNIT=fdiald.service \
        _COMM=fdiald ${3+"$3"} | grep -F "\"PRIORITY\":\"$1\"" | grep -F "$2"
}

has_prefixed_message() {
    journalctl -q -o cat -u fdiald.service | grep '^<[0-9]>'
}

# A record of fdiald's with these fields.
has_record() { # FIELD=value…
    journalctl --sync
    journalctl -q -o json _SYSTEMD_UNIT=fdiald.service _COMM=fdiald "$@" | grep .
}

scrape() { # user; nothing else here speaks to a Unix socket
    # shellcheck disable=SC2016 # they are Perl's
    as_user "$1" perl -MIO::Socket::UNIX -e '
        my $s = IO::Socket::UNIX->new(Peer => "/run/fdial/metrics.sock") or die "$!\n";
        print $s "GET /metrics HTTP/1.0\r\n\r\n";
        print while <$s>'
}

is_scraped() { # user
    scrape "$1" | grep '^fdial_workers 2$'
}

write_config() { # allowed targets, in quotes and with commas
    cat >$config <<END
workers = 2
rule "echo" {
  client    = { "uid:12345" }
  allow     = { $1 }
  addresses = { "loopback" }
}
END
}

has_status() { # status command…
    want=$1 got=0
    shift
    "$@" || got=$?
    echo "status $got, expected $want: $*"
    [ "$got" = "$want" ]
}

is() { # what is expected, what is there
    echo "is '$2', expected '$1'"
    [ "$1" = "$2" ]
}

# By the socket, not by a rule.
is_kept_out() { # user
    has_status 4 as_user "$1" fdial explain "$first" 2>&1 | grep -F "may not use $socket"
}

is_confined() { # pid
    awk -v uid="$(id -u fdiald)" '
        /^Uid:/ && $2 == uid && $3 == uid && $4 == uid { n++ }
        /^Cap(Prm|Eff|Bnd|Amb):/ && $2 == "0000000000000000" { n++ }
        /^NoNewPrivs:/ && $2 == 1 { n++ }
        END { exit n != 6 }' "/proc/$1/status"
}

write_job() { # unit file, lines of its service, target, [command in front]
    cat >"$1" <<END
[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
$2
ExecStart=/bin/sh -c '$4 fdial explain $3 >/tmp/jobs/%n 2>&1; echo "status \$\$?" >>/tmp/jobs/%n'
END
}

# A oneshot's start waits for its end.
is_told() { # unit allowed|denied
    systemctl start "$1"
    cat "/tmp/jobs/$1"
    case $2 in
        allowed) grep -qx 'status 0' "/tmp/jobs/$1" ;;
        denied) grep -qx 'status 4' "/tmp/jobs/$1" ;;
    esac
}

does_job() { # unit allowed|denied who
    is_told "$1" "$2" && grep "^client: uid 12345 .*$3" "/tmp/jobs/$1"
}

does_user_job() { # unit who; denied
    rm -f "/tmp/jobs/$1"
    as_user client env XDG_RUNTIME_DIR=/run/user/12345 systemctl --user start "$1"
    cat "/tmp/jobs/$1"
    grep -qx 'status 4' "/tmp/jobs/$1" && grep "^client: uid 12345 .*$2" "/tmp/jobs/$1"
}

# The other end closes when it has our end of file.
echoes() { # target
    is 'there and back' "$(echo 'there and back' | as_user client fdial connect "$1")"
}

# A session that the old process had accepted may end with it, unanswered, which the client cannot
# tell from a refusal: with one client at a time, one a restart. A closed socket would cut dozens.
few_were_cut() { # restarts
    awk -v n_restarts="$1" '
        /^status/ { n++ }
        /^status [^0]/ { n_failed++ }
        END { exit n_failed > n_restarts || n < 30 }' /tmp/answers
}

# ---- a server, made by systemd as well: what comes in goes out again ----
cat >/run/systemd/system/echo.socket <<END
[Socket]
ListenStream=127.0.0.1:7007
ListenStream=127.0.0.1:7008
Accept=yes
END
cat >/run/systemd/system/echo@.service <<END
[Service]
ExecStart=/bin/cat
StandardInput=socket
StandardError=journal
END
systemctl daemon-reload
systemctl start echo.socket

# ---- installed ----
systemd-sysusers
systemd-tmpfiles --create fdial.conf
check 'sysusers makes the user' getent passwd fdiald
check 'and the group' getent group fdial
useradd --no-create-home --uid 12345 --groups fdial client >&2
useradd --no-create-home --uid 12346 stranger >&2
mkdir /etc/fdial
write_config "\"$first\""

check 'the socket is enabled and started' systemctl enable --now fdiald.socket
check 'at boot as well' is enabled "$(systemctl is-enabled fdiald.socket)"
check 'the socket listens' is active "$(systemctl is-active fdiald.socket)"
check 'it is for the group' is 'root fdial 660' "$(stat -c '%U %G %a' $socket)"
check 'the service waits for a client' is inactive "$(prop ActiveState)"

# ---- activated ----
check 'somebody outside the group has no access' is_kept_out stranger
check 'that starts nothing' is inactive "$(prop ActiveState)"
check 'a client starts the service, and may' as_user client fdial explain $first
check 'it has told that it is ready' is 'notify active running' \
    "$(prop Type) $(prop ActiveState) $(prop SubState)"
pid=$(prop MainPID)
check 'it runs as its own user, without capabilities' is_confined "$pid"
check 'a connection by the rule' echoes $first
check 'none without a rule' has_status 4 as_user client fdial connect $second
check 'the start is in the journal, a notice' has_message 5 'workers: 2, rules: 1'
check 'the refusal, information' has_message 6 "$second"
check 'its record has fields' has_record FDIAL_EVENT=denied FDIAL_UID=12345 \
    FDIAL_UNIT=fdial-test.service FDIAL_STAGE=policy FDIAL_CODE=DENIED "FDIAL_TARGET=$second"
check 'so has that of a connection' has_record FDIAL_EVENT=connected FDIAL_RULE=echo \
    "FDIAL_TARGET=$first" FDIAL_ADDRESS=127.0.0.1:7007
check 'and only once' is 1 "$(has_record FDIAL_EVENT=connected | wc -l)"

# ---- recognised by unit and cgroup: all of them the same user ----
cat >>$config <<END
rule "unit" {
  client    = { "unit:ci-runner.service", "unit:ci@1.service", "unit:ci-runner.scope",
                "unit:granted.service" }
  allow     = "$second"
  addresses = { "loopback" }
}
rule "slice" {
  client    = "cgroup:/ci.slice"
  allow     = "$second"
  addresses = { "loopback" }
}
END
for unit in ci-runner ci@ other; do
    write_job /run/systemd/system/$unit.service 'User=client' "$second"
done
for unit in granted ungranted; do
    write_job /run/systemd/system/$unit.service 'User=client' "$second" \
        "fdial grant --allow $second --"
done
write_job /run/systemd/system/in-slice.service 'User=client
Slice=ci-jobs.slice' "$second"
# What a login would start; the container has no PAM module for it.
mkdir -p /run/systemd/system/user@12345.service.d /etc/systemd/user
printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/12345\n' \
    >/run/systemd/system/user@12345.service.d/runtime.conf
write_job /etc/systemd/user/ci-runner.service '' "$second"
write_job /etc/systemd/user/in-slice.service 'Slice=ci.slice' "$second"
write_job /etc/systemd/user/scope.service '' "$second" \
    'systemd-run --user --scope --quiet --unit=ci-runner.scope'
systemctl daemon-reload
systemctl reload fdiald.service
mkdir -m 777 /tmp/jobs
check 'a unit that a rule names' wait_for does_job ci-runner.service allowed \
    'unit ci-runner.service cgroup /.*system.slice/ci-runner.service$'
check 'another unit of the same user' does_job other.service denied 'unit other.service'
check 'an instance' does_job ci@1.service allowed 'unit ci@1.service'
check 'another instance' does_job ci@2.service denied 'unit ci@2.service'
check 'a slice below the one that a rule names' does_job in-slice.service allowed \
    'unit in-slice.service cgroup /.*ci.slice/ci-jobs.slice/in-slice.service$'
check 'a grant has the unit of its maker' is_told granted.service allowed
check 'also where no rule names that' is_told ungranted.service denied
check "the user's own service manager" systemctl start user@12345.service
check 'he names a unit like it' does_user_job ci-runner.service \
    'unit user@12345.service cgroup /.*/user@12345.service/.*ci-runner.service$'
check 'he names a slice like it' does_user_job in-slice.service \
    'unit user@12345.service cgroup /.*/user@12345.service/.*ci.slice/in-slice.service$'
check 'he names a scope like it' does_user_job scope.service \
    'unit user@12345.service cgroup /.*/user@12345.service/.*ci-runner.scope$'
systemctl stop user@12345.service
write_config "\"$first\""

# ---- reloaded ----
write_config "\"$first\", \"$second\""
check 'reload' systemctl reload fdiald.service
check 'the new rule applies' wait_for echoes $second

printf '\nbroken = true\n' >>$config
check 'reload of a broken configuration fails' has_status 1 systemctl reload fdiald.service
check 'the journal has file and line, an error' wait_for has_message 3 "$config:8: "
kill -HUP "$pid"
check 'the daemon itself refuses it, too' wait_for has_message 3 "$config:8: " "_PID=$pid"
check 'and goes on as before' echoes $second
check 'all that in one process' is "$pid active" "$(prop MainPID) $(prop ActiveState)"
check 'no priority is left in a text' has_status 1 has_prefixed_message
write_config "\"$first\", \"$second\""

# ---- restarted: clients that come meanwhile wait ----
while [ ! -e /tmp/enough ]; do
    as_user client fdial explain $first 2>&1
    echo "status $?"
done >/tmp/answers &
clients=$!
restarted=yes
for _ in 1 2 3; do
    sleep 0.3
    systemctl restart fdiald.service || restarted=no
done
sleep 0.3
touch /tmp/enough
wait $clients
sort /tmp/answers | uniq -c >&2
check 'restarts' is yes $restarted
check 'the socket is open meanwhile: no more than one client a restart is cut' few_were_cut 3

# ---- metrics, on a socket beside that of systemd ----
mkdir /run/systemd/system/fdiald.service.d
printf '[Service]\nSupplementaryGroups=staff\n' >/run/systemd/system/fdiald.service.d/metrics.conf
printf 'metrics = "/run/fdial/metrics.sock"\nmetrics-group = "staff"\n' >>$config
usermod --append --groups staff stranger
systemctl daemon-reload
systemctl restart fdiald.service
check 'metrics are served' is_scraped root
check 'to the group' is 'fdiald staff 660' "$(stat -c '%U %G %a' /run/fdial/metrics.sock)"
check 'which need not be that of the clients' is_scraped stranger
check 'nobody else' has_status 1 is_scraped client
check "the daemon's user cannot take the clients' socket away" has_status 1 \
    as_user fdiald rm -f $socket

# ---- stopped ----
systemctl stop fdiald.service
check 'it ends cleanly' is 'inactive success 0' \
    "$(prop ActiveState) $(prop Result) $(prop ExecMainStatus)"
check 'with its own socket' has_status 1 test -e /run/fdial/metrics.sock
check 'the next client starts it again' echoes $first

[ "$n_failed" = 0 ] || journalctl -q -u fdiald.service -u fdiald.socket >&2
finish
