"""Proxies made by hand, which do what no proxy should: each plays a script once for every connection, notes
that it was left by its client, and is one hop, or the second behind an honest one."""
import base64
import os
import socket
import threading

import fdialtest
import proxies

USER, PASSWORD = "joe", "Kahn-7-never-told"
CREDENTIALS = {"secret": f"{USER}:{PASSWORD}"}


class Left(Exception):
    """The client closed before it said what the script waits for."""


def take(conn, n):
    data = b""
    while len(data) < n:
        part = conn.recv(n - len(data))
        if not part:
            raise Left
        data += part
    return data


def take_to_nul(conn):
    data = b""
    while not data.endswith(b"\0"):
        data += take(conn, 1)
    return data


def hear_http(conn):
    head = proxies.read_head(conn)
    if not head:
        raise Left
    return head


def hear_socks4(conn):
    head = take(conn, 8)
    user = take_to_nul(conn)
    name = take_to_nul(conn) if head[4:7] == b"\0\0\0" else b""
    return head + user + name


def hear_greeting(conn):
    head = take(conn, 2)
    return head + take(conn, head[1])


def hear_login(conn):
    head = take(conn, 2)
    user = take(conn, head[1] + 1)
    return head + user + take(conn, user[-1])


def hear_request(conn):
    head = take(conn, 5)
    return head + take(conn, {1: 3, 4: 15, 3: head[4]}[head[3]] + 2)


SOCKS5_YES = b"\x05\x00\x00\x01\x7f\0\0\1\x12\x34"
# Whatever is said already is of no use any more, so that a daemon that remembers is asked as well.
ASKS = b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Digest realm="x", nonce="y", qop="auth", stale=true\r\n'
ASKS_FOR_BASIC = b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm="x"\r\n'
ASKS_KEPT = ASKS + b"Content-Length: 5\r\n\r\nwho?\n"
YES = b"HTTP/1.1 200 Yes\r\nVia: 1.1 hand\r\n\r\n"

# What is heard and what is said, to the open tunnel.
GOOD = {
    "http": [(hear_http, ASKS_KEPT), (hear_http, YES)],
    "socks4": [(hear_socks4, b"\0\x5a\x12\x34\x7f\0\0\1")],
    "socks4a": [(hear_socks4, b"\0\x5a\x12\x34\x7f\0\0\1")],
    "socks5": [(hear_greeting, b"\x05\x02"), (hear_login, b"\x01\0"), (hear_request, SOCKS5_YES)],
}
KEYS = {
    "http": 'auth = { "digest", "basic" }\n  credential = "secret"',
    "socks4": 'user = "joe"',
    "socks4a": 'user = "joe"',
    "socks5": 'credential = "secret"',
}


def say(replies, cut=None, piece=None):
    """A script: these replies, each after what it waits for, in pieces of so many bytes, or only the first
    `cut` bytes of them all."""

    def play(conn):
        left = sum(len(reply) for _, reply in replies) if cut is None else cut
        for hear, reply in replies:
            hear(conn)
            step = piece or len(reply) or 1
            for at in range(0, min(len(reply), left), step):
                conn.sendall(reply[at:min(at + step, left)])
            left -= min(len(reply), left)
            if left == 0 and cut is not None:
                return

    return play


def echo_after(play):
    """… and the tunnel is open, to an echo."""

    def play_and_echo(conn):
        play(conn)
        fdialtest.echo(conn)

    return play_and_echo


def forever(data, first=b""):
    """As long as somebody takes it."""

    def play(conn):
        hear_http(conn)
        conn.sendall(first)
        while True:
            conn.sendall(data)

    return play


def silent_after(play):
    """… and then not a word more."""

    def play_and_wait(conn):
        play(conn)
        while conn.recv(65536):
            pass
        raise Left

    return play_and_wait


def reset_after(play):
    def play_and_reset(conn):
        play(conn)
        fdialtest.reset(conn)
        raise Left

    return play_and_reset


class Scripted(fdialtest.Origin):
    """Plays `script`, as it is when the connection comes (n_begun), then ends its side. Each must be closed
    by the client, too: n_left counts them."""

    def __init__(self, context=None, **kwargs):
        self.script = None
        self.n_begun = self.n_left = 0
        self._context = context
        self._count = threading.Lock()
        super().__init__(**kwargs)

    def serve(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._count:
            script = self.script
            self.n_begun += 1
        try:
            if self._context:
                conn = self._context.wrap_socket(conn.dup(), server_side=True)
            with conn:
                script(conn)
                conn.shutdown(socket.SHUT_WR)
                while conn.recv(65536):
                    pass
        except (Left, OSError):
            pass
        finally:
            with self._count:
                self.n_left += 1

    def wait_until_left(self):
        fdialtest.wait_until(lambda: self.n_left == self.accepted, what="the daemon closes the connection")


def config(kind, port, honest_port, is_tls=False):
    """Two listeners: `first` goes through this proxy, `second` through an honest one to it."""
    scheme = "https" if is_tls else kind
    keys = KEYS[kind] + ('\n  tls = "test"' if is_tls else "")
    rules = "".join(
        f'rule "{name}" {{ client = "uid:{os.getuid()}" socket = "{name}" allow = "*://*:*"'
        f' addresses = "loopback" seal = "off" via = {{ {via} }} tls = "test" }}\n'
        for name, via in (("first", '"evil"'), ("second", '"honest", "evil"')))
    return (f'proxy "honest" {{ url = "http://127.0.0.1:{honest_port}" }}\n'
            f'proxy "evil" {{\n  url = "{scheme}://localhost:{port}"\n  {keys}\n}}\n' + rules)


def spoken_secret():
    return base64.b64encode(f"{USER}:{PASSWORD}".encode())
