# 2 MB each way with each server, version and cipher; and much, in whose middle the daemon is killed:
# 100 MB on the newer kernel, where emulation takes its time, and 10 on the older.
# shellcheck source=tests/vm/guest/tap.sh
. /fdial/guest/tap.sh
# shellcheck source=tests/vm/guest/ktls.sh
. /fdial/guest/ktls.sh
plan 23
export OPENSSL_CONF=/dev/null
size=$(wc -c </fdial/text)
mkdir -p /tmp/www /tmp/nginx
servers=

# The n-th cipher is on port 1000 + n with nginx, 2000 + n with OpenSSL, 3000 + n with GnuTLS.
start_servers() {
    n=0
    cat >/tmp/nginx/conf <<END
user root;
daemon off;
pid /tmp/nginx/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_max_body_size 0;
    client_body_temp_path /tmp/nginx/body;
    proxy_temp_path /tmp/nginx/proxy;
    fastcgi_temp_path /tmp/nginx/fastcgi;
    uwsgi_temp_path /tmp/nginx/uwsgi;
    scgi_temp_path /tmp/nginx/scgi;
    ssl_certificate /fdial/server.pem;
    ssl_certificate_key /fdial/server.key;
    root /tmp/www;
    dav_methods PUT;
END
    while read -r version cipher name; do
        [ "$version" ] || continue
        n=$((n + 1))
        if [ "$version" = 1.3 ]; then
            choice="ssl_conf_command Ciphersuites $cipher" option="-tls1_3 -ciphersuites"
        else
            choice="ssl_ciphers $cipher" option="-tls1_2 -cipher"
        fi
        echo "server { listen 127.0.0.1:$((1000 + n)) ssl; ssl_protocols TLSv$version; $choice; }" \
            >>/tmp/nginx/conf
        # shellcheck disable=SC2086 # two options
        openssl s_server -accept 127.0.0.1:$((2000 + n)) -quiet -rev $option "$cipher" \
            -cert /fdial/server.pem -key /fdial/server.key >&2 3>&- </dev/null &
        servers="$servers $!"
        gnutls-serv --quiet --echo --port $((3000 + n)) \
            --priority "NORMAL:-VERS-ALL:+VERS-TLS$version:-CIPHER-ALL:+$name" \
            --x509certfile /fdial/server.pem --x509keyfile /fdial/server.key >/dev/null 2>&1 3>&- &
        servers="$servers $!"
    done <<END
$ciphers
END
    echo '}' >>/tmp/nginx/conf
    nginx -e stderr -p /tmp/nginx -c /tmp/nginx/conf >&2 3>&- &
    servers="$servers $!"
}

# shellcheck disable=SC2317 # called through check
are_ready() {
    for n in 1 2 3 4 5 6; do
        wait_for_port $((1000 + n)) && wait_for_port $((2000 + n)) && wait_for_port $((3000 + n)) ||
            return 1
    done
}

# shellcheck disable=SC2317 # called through check
nginx_both_ways() { # port
    rm -f /tmp/www/up /tmp/got
    TARGET=https://127.0.0.1:$1
    says "HTTP/1.1 201 Created HTTP/1.1 200 OK $size 0" \
        put=/tmp/put.head put=/fdial/text line put=/tmp/get.head line get=/tmp/got &&
        cmp /fdial/text /tmp/www/up && cmp /fdial/text /tmp/got
}

# shellcheck disable=SC2317 # called through check
echoes() { # port file
    rm -f /tmp/got
    TARGET=tls://127.0.0.1:$1
    says "$size" echo=/fdial/text:/tmp/got shut && cmp "$2" /tmp/got
}

# In numbered pieces, so that each has its place.
make_big() {
    case $(uname -r) in
    6.1.*) pieces=5 ;;
    *) pieces=50 ;;
    esac
    for i in $(seq $pieces); do
        echo "$i"
        cat /fdial/text
    done >/tmp/www/big
}

# The client has read the head of the answer when this ends, and waits for /tmp/resumed.
start_transfer() {
    mkfifo -m 666 /tmp/reached /tmp/resumed
    # shellcheck disable=SC2086 # words
    TARGET=https://127.0.0.1:1001 $alone $client ktls-client put=/tmp/big.head line \
        meet=/tmp/reached meet=/tmp/resumed same=/tmp/www/big >/tmp/said 3>&- &
    holder=$!
    cat /tmp/reached
}

# shellcheck disable=SC2317 # called through check
tcp_sockets_of() { # pid
    for fd in "/proc/$1/fd/"*; do
        inode=$(readlink "$fd" | sed -n 's/^socket:.\([0-9]*\).$/\1/p')
        awk -v inode="$inode" 'inode != "" && $10 == inode' /proc/net/tcp
    done
}

# shellcheck disable=SC2317 # called through check
is_the_holders() {
    [ "$(tcp_sockets_of "$holder" | wc -l)" = 1 ] && [ -z "$(tcp_sockets_of "$daemon")" ]
}

# shellcheck disable=SC2317 # called through check
kill_daemon() {
    kill -9 "$daemon"
    wait "$daemon"
    ! [ -e "/proc/$daemon" ]
}

# shellcheck disable=SC2317 # called through check
is_unharmed() {
    cat /tmp/resumed
    wait "$holder"
    cat /tmp/said >&2
    [ "$(cat /tmp/said)" = "client: HTTP/1.1 200 OK $(wc -c </tmp/www/big) 0" ]
}

printf 'PUT /up HTTP/1.1\r\nHost: guest\r\nContent-Length: %s\r\n\r\n' "$size" >/tmp/put.head
printf 'GET /up HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n' >/tmp/get.head
printf 'GET /big HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n' >/tmp/big.head
start_servers
check 'the servers are ready' are_ready
check 'the daemon makes its socket' start_daemon
n=0
while read -r version _ name; do
    [ "$version" ] || continue
    n=$((n + 1))
    check "TLS $version $name with nginx" nginx_both_ways $((1000 + n))
    check "TLS $version $name with OpenSSL" echoes $((2000 + n)) /fdial/text-reversed
    check "TLS $version $name with GnuTLS" echoes $((3000 + n)) /fdial/text
done <<END
$ciphers
END
make_big
start_transfer
check 'much has begun: the client has the socket, the daemon nothing of it' is_the_holders
check 'the daemon is killed' kill_daemon
check 'all of it comes' is_unharmed
# shellcheck disable=SC2086 # words
kill $servers
finish
