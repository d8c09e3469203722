"""The relay: bytes both ways, half-close, back-pressure, how connections end and that it is told, limits,
what comes glued to the handshake, and KeyUpdate in mid-transfer."""
# time-limit: 240
import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import threading
import time

import fdialtest
import rig

MIB = 1 << 20
TRANSFER_BYTES = (10 if fdialtest.IS_SLOW else 100) * MIB
BLOCKED_MEMORY_MAX_KIB = 8 * 1024
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def pattern(n, seed):
    """n bytes that differ from place to place, made quickly."""
    block = hashlib.shake_256(bytes([seed])).digest(MIB + 13)
    return (block * (n // len(block) + 1))[:n]


def receive_all(s):
    digest, n = hashlib.sha256(), 0
    while data := s.recv(MIB):
        digest.update(data)
        n += len(data)
    return n, digest.hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Relay(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()

    def setUp(self):
        super().setUp()
        tls = f'tls "t" {{ ca-file = "{self.authority.certificate}" }}\n'
        self.daemon = self.start_daemon(
            "workers = 1\n" + tls
            + rig.rule("idle", allow='"*://127.0.0.2:*"', idle_timeout="3", handoff='"relay"')
            + rig.rule("life", allow='"*://127.0.0.3:*"', max_lifetime="1", handoff='"relay"')
            + rig.rule(tls='"t"', handoff='"relay"'))
        self.s = self.session(self.daemon)
        self.state = rig.State(self.daemon)

    def tearDown(self):
        for s in self.opened[1:]:
            s.close()
        self.state.check()
        self.close_all()

    def origin(self, kind, handle, **kwargs):
        """kind: None for plain, else a TLS version. Returns the origin and its target."""
        if kind is None:
            origin = self.serve(fdialtest.Origin(handle, **kwargs))
            return origin, f"tcp://127.0.0.1:{origin.port}"
        origin = self.serve(fdialtest.Tls(*self.certificate, handle, minimum=kind, maximum=kind,
                                          **kwargs))
        return origin, f"tls://localhost:{origin.port}"

    def each(self, handle, **kwargs):
        """A connection to an origin of each kind."""
        for kind in (None, V12, V13):
            with self.subTest(kind=kind):
                _, target = self.origin(kind, handle, **(kwargs if kind else {}))
                yield kind, self.dial(self.s, target)

    def assert_ended(self, *ends):
        self.assertIn(self.s.ended(), ends)

    def test_transfer(self):
        """100 MB each way at once."""
        up, down = pattern(TRANSFER_BYTES, 1), pattern(TRANSFER_BYTES, 2)
        wanted = (TRANSFER_BYTES, sha256(up)), (TRANSFER_BYTES, sha256(down))
        at_origin = []

        def handle(conn):
            # One thread alone may use a TLS socket of Python: up first, as fast as it comes.
            at_origin.append(receive_exactly(conn, TRANSFER_BYTES))
            conn.sendall(down)

        def receive_exactly(conn, n):
            digest, left = hashlib.sha256(), n
            while left > 0 and (data := conn.recv(min(left, MIB))):
                digest.update(data)
                left -= len(data)
            return n - left, digest.hexdigest()

        for _, c in self.each(handle):
            c.settimeout(120)
            c.sendall(up)
            self.assertEqual(receive_all(c), wanted[1])
            self.assertEqual(at_origin.pop(), wanted[0])
            c.close()
            m = self.s.recv_kind(rig.ENDED)
            self.assertEqual(m.number(rig.END), rig.CLEAN, m)
            self.assertEqual((m.number(rig.BYTES_SENT), m.number(rig.BYTES_RECEIVED)),
                             (TRANSFER_BYTES, TRANSFER_BYTES))

    def test_both_directions_at_once(self):
        """The echo of what is still being sent; nobody waits for the other."""
        data = pattern(TRANSFER_BYTES // 4, 3)
        for _, c in self.each(fdialtest.echo):
            c.settimeout(120)
            sender = threading.Thread(target=lambda c=c: (c.sendall(data), c.shutdown(socket.SHUT_WR)))
            sender.start()
            self.assertEqual(receive_all(c), (len(data), sha256(data)))
            sender.join()
            c.close()
            self.assert_ended(rig.CLEAN)

    def test_half_close_by_the_client(self):
        """Its end arrives; what the origin says afterwards comes back."""

        def handle(conn):
            got = b""
            while data := conn.recv(65536):
                got += data
            if isinstance(conn, ssl.SSLSocket):
                conn.unwrap = lambda c=conn: c  # our close_notify comes after the answer
                ssl.SSLSocket.sendall(conn, b"got " + got)
            else:
                conn.sendall(b"got " + got)

        for kind, c in self.each(handle, is_clean=False):
            c.sendall(b"question")
            c.shutdown(socket.SHUT_WR)
            self.assertEqual(c.makefile("rb").read(), b"got question")
            c.close()
            self.assert_ended(rig.TRUNCATED if kind else rig.CLEAN)

    def test_half_close_by_the_origin(self):
        """Its end arrives as the end of file; what the client says afterwards gets there."""
        got, is_done = [], threading.Event()

        def handle(conn):
            conn.sendall(b"hello")
            conn.shutdown(socket.SHUT_WR)
            got.append(conn.makefile("rb").read())
            is_done.set()

        _, target = self.origin(None, handle)
        c = self.dial(self.s, target)
        self.assertEqual(c.makefile("rb").read(), b"hello")
        c.sendall(b"and you?")
        c.shutdown(socket.SHUT_WR)
        self.assertTrue(is_done.wait(rig.WAIT_S))
        self.assertEqual(got, [b"and you?"])
        c.close()
        self.assert_ended(rig.CLEAN)

    def test_clean_and_truncated(self):
        """close_notify is the end; a FIN without it too, but that is told."""
        for kind in (V12, V13):
            for is_clean, end in ((True, rig.CLEAN), (False, rig.TRUNCATED)):
                with self.subTest(kind=kind, is_clean=is_clean):
                    _, target = self.origin(kind, lambda conn: conn.sendall(b"bye"),
                                            is_clean=is_clean)
                    c = self.dial(self.s, target)
                    self.assertEqual(c.makefile("rb").read(), b"bye")
                    c.close()
                    self.assert_ended(end)
        self.assertEqual(self.s.status()["relays_truncated"], "2")

    def test_reset(self):
        for kind in (None, V13):
            with self.subTest(kind=kind):
                is_ready = threading.Event()

                def handle(conn, is_ready=is_ready):
                    conn.sendall(b"x")
                    is_ready.wait(rig.WAIT_S)
                    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    if isinstance(conn, ssl.SSLSocket):
                        conn.unwrap = lambda conn=conn: conn

                origin, target = self.origin(kind, handle, **({"is_clean": False} if kind else {}))
                c = self.dial(self.s, target)
                self.assertEqual(c.recv(1), b"x")
                is_ready.set()
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(c.recv(1), b"")
                self.assert_ended(rig.RESET)
                c.close()
                origin.stop()

    def test_client_closes_early(self):
        """With bytes unread, in mid-transfer, at once: the origin sees an end, nothing stays."""
        ended = []

        def handle(conn):
            try:
                while True:
                    conn.sendall(bytes(65536))
            except OSError as e:
                ended.append(e)
                raise

        for _, c in self.each(handle):
            self.assertEqual(len(c.recv(10)), 10)
            c.close()
            self.assert_ended(rig.RESET, rig.CLEAN)
        fdialtest.wait_until(lambda: len(ended) == 3, rig.WAIT_S, "the origins' end")
        for _, c in self.each(fdialtest.echo):
            c.close()
            self.assert_ended(rig.CLEAN)

    def test_what_was_sent_before_the_close_arrives(self):
        got = []
        for _, c in self.each(lambda conn: got.append(receive_all(conn))):
            data = pattern(3 * MIB, 4)
            c.sendall(data)
            c.close()
            fdialtest.wait_until(lambda: got, rig.WAIT_S, "the data")
            self.assertEqual(got.pop(), (len(data), sha256(data)))
            self.assert_ended(rig.CLEAN)

    def test_client_that_does_not_read(self):
        """The origin is blocked, the daemon's memory is not the buffer; then everything comes."""
        total = 24 * MIB
        n_sent = [0]

        def handle(conn):
            data = pattern(total, 5)
            while n_sent[0] < total:
                n_sent[0] += conn.send(data[n_sent[0] : n_sent[0] + 65536])

        for _, c in self.each(handle):
            rss_before = self.daemon.rss_kib()
            before = -1
            while n_sent[0] != before:  # until it stands still
                before = n_sent[0]
                time.sleep(0.3)
            self.assertLess(before, total)
            if not fdialtest.IS_SLOW:
                self.assertLess(self.daemon.rss_kib() - rss_before, BLOCKED_MEMORY_MAX_KIB)
            self.assertEqual(receive_all(c), (total, sha256(pattern(total, 5))))
            c.close()
            self.assert_ended(rig.CLEAN)
            n_sent[0] = 0  # not only by the next one's thread, which may be late

    def test_origin_that_does_not_read(self):
        """The client is blocked; others are not; it may leave."""
        may_go = threading.Event()
        self.addCleanup(may_go.set)
        for _, c in self.each(lambda conn: may_go.wait(rig.WAIT_S)):
            rss_before = self.daemon.rss_kib()
            c.setblocking(False)
            n_sent, n_stalled = 0, 0
            while n_stalled < 10 and n_sent < 64 * MIB:
                try:
                    n_sent, n_stalled = n_sent + c.send(bytes(65536)), 0
                except BlockingIOError:
                    n_stalled += 1
                    time.sleep(0.03)
            self.assertLess(n_sent, 64 * MIB)
            if not fdialtest.IS_SLOW:
                self.assertLess(self.daemon.rss_kib() - rss_before, BLOCKED_MEMORY_MAX_KIB)
            _, target = self.origin(None, fdialtest.echo)
            with contextlib.closing(self.s.dial(target)) as other:
                self.assert_echo(other)
            self.assert_ended(rig.CLEAN)
            c.close()
        may_go.set()
        for _ in range(3):
            self.assert_ended(rig.CLEAN, rig.TRUNCATED, rig.RESET)

    def test_many_relays(self):
        for kind in (None, V13):
            _, target = self.origin(kind, fdialtest.echo)
            connections = [self.dial(self.s, target) for _ in range(30)]
            for c in connections:
                c.sendall(b"x" * 1000)
            for c in connections:
                self.assertEqual(len(c.recv(1000, socket.MSG_WAITALL)), 1000)
                c.close()
            for _ in connections:
                self.assert_ended(rig.CLEAN)

    def test_idle_timeout(self):
        origin = self.serve(fdialtest.Echo(host="127.0.0.2"))
        c = self.dial(self.s, f"tcp://127.0.0.2:{origin.port}")
        started = time.monotonic()
        for _ in range(4):  # traffic keeps it
            self.assert_echo(c)
            time.sleep(1)
        self.assertEqual(c.recv(1), b"")
        self.assertGreater(time.monotonic() - started, 6)
        self.assert_ended(rig.IDLE)

    def test_max_lifetime(self):
        origin = self.serve(fdialtest.Echo(host="127.0.0.3"))
        c = self.dial(self.s, f"tcp://127.0.0.3:{origin.port}")
        until = time.monotonic() + rig.WAIT_S
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < until:  # traffic does not keep it
                c.sendall(b"x")
                if not c.recv(1):
                    break
                time.sleep(0.05)
        self.assertLess(time.monotonic(), until)
        self.assert_ended(rig.LIFETIME)

    def test_server_speaks_first(self):
        """Its banner comes in one piece with its part of the handshake, and its end too."""
        for is_over in (False, True):
            for kind, c in self.each(lambda conn: (conn.sendall(b"220 hello\r\n"),
                                                   is_over or conn.recv(1))):
                self.assertEqual(c.recv(11, socket.MSG_WAITALL), b"220 hello\r\n", kind)
                if not is_over:
                    c.sendall(b"q")
                self.assertEqual(c.recv(1), b"")
                c.close()
                self.assert_ended(rig.CLEAN, rig.RESET)

    def test_banner_glued_to_the_handshake(self):
        """TLS 1.3: Finished of ours, then banner and tickets; held back and passed on as one."""
        origin, _ = self.origin(V13, lambda conn: (conn.sendall(b"220 hello\r\n"), conn.recv(1)))

        class Gluing(fdialtest.Between):
            """Collects what the origin sends after the client's second flight."""

            def _downward(self, conn, up):
                first = up.recv(65536)
                conn.sendall(first)
                time.sleep(0.3)
                conn.sendall(up.recv(65536))
                return super()._downward(conn, up)

        gluing = self.serve(Gluing(origin.port))
        c = self.dial(self.s, f"tls://localhost:{gluing.port}")
        self.assertEqual(c.recv(11, socket.MSG_WAITALL), b"220 hello\r\n")
        c.sendall(b"q")
        self.assertEqual(c.recv(1), b"")

    def test_key_update(self):
        """K: the server changes its keys and asks for ours; k: only its own. In mid-conversation."""
        fdialtest.need_command("openssl")
        port = fdialtest.free_port()
        certificate, key = self.certificate
        server = subprocess.Popen(
            ["stdbuf", "-o0", "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key,
             "-tls1_3", "-naccept", "1", "-crlf"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        said = []
        reader = threading.Thread(target=lambda: [said.append(line) for line in server.stdout],
                                  daemon=True)
        reader.start()

        def count_updates():
            return sum(b"SSL_do_handshake -> 1" in line for line in said)  # what K and k print

        try:
            fdialtest.wait_until(lambda: any(b"ACCEPT" in line for line in said), rig.WAIT_S, "s_server")
            c = self.dial(self.s, f"tls://localhost:{port}")
            for i in range(12):
                for command in (b"K\n", b"k\n")[i % 2 :]:
                    n_before = count_updates()
                    server.stdin.write(command)
                    server.stdin.flush()
                    # It takes commands only at the start of what it reads at once.
                    fdialtest.wait_until(lambda n=n_before: count_updates() > n, rig.WAIT_S, "the update")
                line = b"line %d\r\n" % i
                server.stdin.write(line.replace(b"\r", b""))
                server.stdin.flush()
                self.assertEqual(c.recv(len(line), socket.MSG_WAITALL), line)
                c.sendall(b"answer %d\n" % i)
                fdialtest.wait_until(lambda i=i: any(b"answer %d\n" % i in x for x in said), rig.WAIT_S,
                                     f"answer {i}: {said[-3:]}")
            server.stdin.write(b"Q\n")
            server.stdin.flush()
            self.assertEqual(c.recv(1), b"")
        finally:
            server.stdin.close()
            server.kill()
            server.wait()
            reader.join(5)
            server.stdout.close()

    def test_key_update_under_load(self):
        """Many megabytes both ways while the server changes keys all the time."""
        helper = f"{fdialtest.BUILDDIR}/tests/lib/key-updater"
        if not os.path.exists(helper):
            self.fail("tests/lib/key-updater was not built")
        server = subprocess.Popen([helper, *self.certificate], stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline())
            c = self.dial(self.s, f"tls://localhost:{port}")
            data = pattern(8 * MIB, 6)
            sender = threading.Thread(target=lambda: (c.sendall(data), c.shutdown(socket.SHUT_WR)))
            sender.start()
            self.assertEqual(receive_all(c), (len(data), sha256(data)))
            sender.join()
            self.assert_ended(rig.CLEAN)
            self.assertGreater(int(server.stdout.readline()), 50)  # updates done
            self.assertEqual(server.wait(rig.WAIT_S), 0)
        finally:
            server.kill()
            server.wait()
            server.stdout.close()


if __name__ == "__main__":
    fdialtest.main()
