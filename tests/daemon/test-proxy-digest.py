"""Digest to proxies made by hand, which reckon for themselves: what was learned serves the next connection,
an old nonce and a wanted new connection are no obstacle, in chains neither; a refusal is final."""
import contextlib
import hashlib
import os
import re
import socket
import threading

import fdialtest
import proxies
import rig

USER, PASSWORD = "joe", "Kahn-7-digested"
CREDENTIALS = {"right": f"{USER}:{PASSWORD}", "wrong": f"{USER}:not-what-it-is"}
REALM = "a realm"
HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
AUTH = 50
TARGET = "tcp://127.0.0.1:9"


class DigestProxy(fdialtest.Origin):
    """`requests` has what each CONNECT said of digest, or None; `connections` how many were on each
    connection. After its yes it is an echo, or the way to where it was asked for. A nonce's count has
    to grow, as with servers that look for replays."""

    def __init__(self, algorithm="SHA-256", *, has_userhash=False, end="Content-Length: 0\r\n", stays=True,
                 is_tunnel=False):
        self.algorithm, self.has_userhash, self.end, self.stays = algorithm, has_userhash, end, stays
        self.is_tunnel = is_tunnel
        self.nonce, self.counts, self.lock = "nonce-1", {}, threading.Lock()
        self.requests, self.connections, self.heads = [], [], []
        super().__init__()

    def hash(self, *parts):
        return hashlib.new(HASHES[self.algorithm.removesuffix("-sess")], ":".join(parts).encode()).hexdigest()

    def is_right(self, f, target):
        ha1 = self.hash(USER, REALM, PASSWORD)
        if self.algorithm.endswith("-sess"):
            ha1 = self.hash(ha1, f["nonce"], f["cnonce"])
        user = self.hash(USER, REALM) if self.has_userhash else USER
        expected = self.hash(ha1, f["nonce"], f["nc"], f["cnonce"], "auth", self.hash("CONNECT", target))
        return (f["username"], f["response"], f["uri"]) == (user, expected, target)

    def is_replay(self, f):
        with self.lock:
            is_new = int(f["nc"], 16) > self.counts.get(f["nonce"], 0)
            self.counts[f["nonce"]] = max(int(f["nc"], 16), self.counts.get(f["nonce"], 0))
            if not is_new:
                self.nonce = f"other-{len(self.counts)}"
                self.counts[self.nonce] = 0
            return not is_new

    def is_old(self, f):
        return f["nonce"] != self.nonce and not self.nonce.startswith("other")

    def serve(self, conn):
        at = len(self.connections)
        self.connections.append(0)
        while head := proxies.read_head(conn).decode():
            self.connections[at] += 1
            self.heads.append(head)
            target = head.split()[1]
            said = re.search(r"(?im)^proxy-authorization: digest (.*?)\r$", head)
            fields = dict(re.findall(r'([a-z]+)="?([^",]*)"?', said[1])) if said else None
            self.requests.append(fields)
            is_right = fields and self.is_right(fields, target)
            if is_right and not self.is_old(fields) and not self.is_replay(fields):
                self.open(conn, target)
                return
            conn.sendall(
                f'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Digest realm="{REALM}", nonce="{self.nonce}",'
                f' algorithm={self.algorithm}, qop="auth"{", stale=true" if is_right else ""}'
                f'{", userhash=true" if self.has_userhash else ""}\r\n{self.end}\r\n'.encode())
            if not self.stays:
                return

    def open(self, conn, target):
        conn.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
        if not self.is_tunnel:
            fdialtest.echo(conn)
            return
        host, port = target.split(":")
        with socket.create_connection((host, int(port)), rig.WAIT_S) as up:
            proxies.pump_both(conn, up)

    def counts_said(self):
        """(nonce, count) of each request; None where nothing was said."""
        return [(f["nonce"], int(f["nc"], 16)) if f else None for f in self.requests]


class Digest(rig.Case):
    def start(self, *hops, credential="right", auth='"digest"'):
        """One worker: each has a memory of its own."""
        text = "".join(f'proxy "p{i}" {{ url = "http://127.0.0.1:{p.port}" auth = {auth}'
                       f' credential = "{credential}" }}\n' for i, p in enumerate(hops, 1))
        via = rig.strings(*[f"p{i}" for i in range(1, len(hops) + 1)])
        self.daemon = self.start_daemon("workers = 1\n" + text + rig.rule(via=via), credentials=CREDENTIALS)
        self.state = rig.State(self.daemon)
        return self.session(self.daemon)

    def ask(self, session, n=1):
        for _ in range(n):
            with contextlib.closing(session.dial(TARGET)) as s:
                self.assert_echo(s)

    def tearDown(self):
        self.close_all()
        self.state.check()

    def test_nonce_is_used_again(self):
        proxy = self.serve(DigestProxy())
        self.ask(self.start(proxy), 5)
        self.assertEqual(proxy.counts_said(), [None] + [("nonce-1", n) for n in range(1, 6)])
        self.assertEqual(proxy.connections, [2, 1, 1, 1, 1])

    def test_many_at_once(self):
        """Each has a count of its own. Where they overtake each other, the proxy gives a new nonce."""
        proxy = self.serve(DigestProxy())
        session = self.start(proxy)
        self.ask(session)
        for _ in range(20):
            session.submit(TARGET)
        for _ in range(20):
            m = session.recv_kind(rig.RESULT)
            self.assertEqual(m.code, 0, m)
            os.close(m.fds[0])
        counts = [said for said in proxy.counts_said() if said]
        self.assertEqual(len(set(counts)), len(counts))

    def test_stale_nonce(self):
        proxy = self.serve(DigestProxy())
        session = self.start(proxy)
        self.ask(session, 2)
        proxy.nonce = "nonce-2"
        self.ask(session, 2)
        self.assertEqual(proxy.counts_said(), [None, ("nonce-1", 1), ("nonce-1", 2), ("nonce-1", 3),
                                               ("nonce-2", 1), ("nonce-2", 2)])
        self.assertEqual(proxy.connections, [2, 1, 2, 1])

    def test_new_connection(self):
        """Which the proxy says, or means by a body without an end of its own, or makes necessary."""
        for end in ("Connection: close\r\nContent-Length: 0\r\n", "Proxy-Connection: close\r\n"
                    "Content-Length: 0\r\n", "", "Content-Length: 0\r\n"):
            with self.subTest(end):
                proxy = self.serve(DigestProxy(end=end, stays=False))
                self.ask(self.start(proxy), 2)
                self.assertEqual(proxy.counts_said(), [None, ("nonce-1", 1), ("nonce-1", 2)])
                self.assertEqual(proxy.connections, [1, 1, 1])
                self.close_all()

    def test_bodies(self):
        """They are read, and the connection is used again."""
        for end in ("Content-Length: 0\r\n", "Content-Length: 6\r\n\r\nwho?", "Transfer-Encoding: chunked\r\n"
                    "\r\n4\r\nwho?\r\n0\r\n"):
            with self.subTest(end):
                proxy = self.serve(DigestProxy(end=end))  # with one more CRLF
                self.ask(self.start(proxy))
                self.assertEqual(proxy.connections, [2])
                self.close_all()

    def test_algorithms(self):
        for algorithm in (*HASHES, *(f"{h}-sess" for h in HASHES)):
            for has_userhash in (False, True):
                with self.subTest(algorithm, userhash=has_userhash):
                    if HASHES[algorithm.removesuffix("-sess")] not in hashlib.algorithms_available:
                        fdialtest.skip(f"no {algorithm} in this Python")
                    proxy = self.serve(DigestProxy(algorithm, has_userhash=has_userhash))
                    self.ask(self.start(proxy), 2)
                    self.assertEqual(proxy.counts_said(), [None, ("nonce-1", 1), ("nonce-1", 2)])
                    self.assertEqual(USER in str(proxy.requests[1]["username"]), not has_userhash)
                    self.close_all()

    def test_refused(self):
        """Once said, and not said again; the next connection waits to be asked."""
        proxy = self.serve(DigestProxy())
        session = self.start(proxy, credential="wrong", auth='{ "digest", "basic" }')
        for n in range(1, 4):
            m = session.connect(TARGET)
            self.assertEqual((m.code, m.stage, m.number(rig.HOP)), (AUTH, "proxy", 1), m)
            self.assertRegex(m.detail, "^p1: ")
            self.assertEqual(len(proxy.requests), 2 * n)
        self.assertEqual([bool(said) for said in proxy.requests], [False, True] * 3)
        self.assertNotIn("Basic", "".join(proxy.heads))  # nobody asked for that

    def test_chain(self):
        """The second hop wants a new connection: all is done anew, the first with what it knows."""
        first, second = self.serve(DigestProxy(is_tunnel=True)), \
            self.serve(DigestProxy("MD5", end="Connection: close\r\n", stays=False))
        session = self.start(first, second)
        m = session.connect(TARGET)
        self.assertEqual((m.code, len(m.fds)), (0, 1), m)
        self.assertEqual([(stage, hop) for stage, hop, _ in m.times() if stage == "proxy"],
                         [("proxy", 1), ("proxy", 2)])
        with socket.socket(fileno=m.fds[0]) as s:
            s.settimeout(rig.WAIT_S)
            self.assert_echo(s)
        self.assertEqual(first.counts_said(), [None, ("nonce-1", 1), ("nonce-1", 2)])
        self.assertEqual(second.counts_said(), [None, ("nonce-1", 1)])
        self.assertEqual((first.connections, second.connections), ([2, 1], [1, 1]))
        self.ask(session)
        self.assertEqual((first.connections, second.connections), ([2, 1, 1], [1, 1, 1]))

    def test_chain_with_both(self):
        """The first hop wants one too, for every question."""
        first, second = (self.serve(DigestProxy(end="Connection: close\r\n", stays=False, is_tunnel=t))
                         for t in (True, False))
        session = self.start(first, second)
        self.ask(session)
        first.nonce = second.nonce = "nonce-2"
        self.ask(session)
        self.assertEqual(first.counts_said(), [None, ("nonce-1", 1), ("nonce-1", 2), ("nonce-1", 3),
                                               ("nonce-2", 1), ("nonce-2", 2)])
        self.assertEqual(second.counts_said(), [None, ("nonce-1", 1), ("nonce-1", 2), ("nonce-2", 1)])


if __name__ == "__main__":
    fdialtest.main()
