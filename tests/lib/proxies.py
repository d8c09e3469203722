"""An HTTP proxy that is honest: it authenticates, connects to where it is asked to, and pumps. What came
in is kept: `heads`, `targets`."""
import contextlib
import hashlib
import os
import re
import select
import socket
import threading

from origins import Origin

__all__ = ["HttpProxy", "tunnel"]

CONNECT_TIMEOUT_S = 30
REALM = "fdial test"


def read_head(conn):
    """All to the empty line, and not a byte more; b"" when the peer closes before."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = conn.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def _pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass  # a reset is passed on as an end
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def pump_both(a, b, knows_half=True):
    thread = threading.Thread(target=_pump, args=(b, a), daemon=True)
    thread.start()
    _pump(a, b)
    if not knows_half:
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
    thread.join()


def tunnel(conn):
    """What an HTTP proxy does behind its TLS, until one side ends, for origins on 127.0.0.1. In one thread:
    an SSLSocket is not for two."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += conn.recv(1)
    with socket.create_connection(("127.0.0.1", int(head.split()[1].rsplit(b":", 1)[1])), timeout=60) as to:
        conn.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        while True:
            ready = [conn] if conn.pending() else select.select([conn, to], [], [], 60)[0]
            for a in ready:
                data = a.recv(65536)
                if not data:
                    return
                (to if a is conn else conn).sendall(data)
            if not ready:
                return


class HttpProxy(Origin):
    """With a user, digest authentication (RFC 7616, SHA-256) on the connection that asks for it. Names are
    looked up in `hosts` first. One that knows no half-close ends all when the client has ended."""

    def __init__(self, user=None, password=None, *, hosts=None, knows_half=True, **kwargs):
        self.knows_half = knows_half
        self.user, self.password, self.hosts = user, password, hosts or {}
        self.nonce = os.urandom(16).hex()
        self.heads, self.targets = [], []
        super().__init__(self._serve_proxy, **kwargs)

    def is_allowed(self, head, target):
        fields = dict(re.findall(r'(\w+)="?([^",\r]*)"?', "".join(
            re.findall(r"(?im)^proxy-authorization: digest (.*)$", head))))
        if not self.user:
            return True

        def digest(*parts):
            return hashlib.sha256(":".join(parts).encode()).hexdigest()

        expected = digest(digest(self.user, REALM, self.password), self.nonce, fields.get("nc", ""),
                          fields.get("cnonce", ""), "auth", digest("CONNECT", target))
        return fields.get("nonce") == self.nonce and fields.get("response") == expected

    def _challenge(self, conn):
        conn.sendall((f'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Digest realm="{REALM}", '
                      f'nonce="{self.nonce}", qop="auth", algorithm=SHA-256\r\nContent-Length: 0\r\n\r\n').encode())

    def _serve_proxy(self, conn):
        while head := read_head(conn).decode("latin-1"):
            self.heads.append(head)
            target = head.split()[1]
            if self.is_allowed(head, target):
                self._tunnel(conn, target)
                return
            self._challenge(conn)

    def _tunnel(self, conn, target):
        self.targets.append(target)
        host, port = target.rsplit(":", 1)
        try:
            up = socket.create_connection((self.hosts.get(host, host.strip("[]")), int(port)), CONNECT_TIMEOUT_S)
        except OSError:
            conn.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            return
        with up:
            up.settimeout(None)
            conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pump_both(conn, up, self.knows_half)
