"""Each kind of target through a chain of proxies: what the last dialog hears is the server's, and the times, the
answers and the certificates are those of the target, not of a proxy."""
import contextlib
import socket

import fdialtest
import proxies
import rig
import starttls_peers
import websocket_peer


class Targets(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.pair = cls.authority.issue()

    def setUp(self):
        super().setUp()
        secret = "Kahn-7-on-the-way"
        self.plain = self.serve(proxies.HttpProxy("joe", secret))
        self.other = self.serve(proxies.HttpProxy("joe", secret))
        config = f'tls "t" {{ ca-file = "{self.authority.certificate}" }}\n' + "".join(
            f'proxy "{name}" {{ url = "http://127.0.0.1:{proxy.port}" auth = "digest" credential = "c" }}\n'
            for name, proxy in (("plain", self.plain), ("other", self.other))) \
            + rig.rule(via=rig.strings("plain", "other"), tls='"t"')
        self.daemon = self.start_daemon(config, credentials={"c": f"joe:{secret}"})
        self.state = rig.State(self.daemon)
        self.s = self.session(self.daemon)

    def tearDown(self):
        self.close_all()
        self.state.check()

    def assert_stages(self, m, *behind):
        stages = [(stage, hop) for stage, hop, _ in m.times()]
        self.assertEqual(stages, [("resolve", 0), ("resolve", 1), ("connect", 1), ("proxy", 1), ("proxy", 2),
                                  *((stage, 0) for stage in behind)])

    def one(self, m):
        """Its connection."""
        self.assertEqual((m.code, len(m.fds)), (0, 1), m)
        s = socket.socket(fileno=m.fds[0])
        s.settimeout(rig.WAIT_S)
        self.addCleanup(s.close)
        self.opened.append(s)
        return s

    def test_websocket(self):
        first = websocket_peer.frame(b"first")

        def serve(conn):
            conn.sendall(websocket_peer.answer(websocket_peer.read_head(conn), "X: y") + first)
            fdialtest.echo(conn)

        for scheme, origin, behind in (("ws", self.serve(fdialtest.Origin(serve)), ["upgrade"]),
                                       ("wss", self.serve(fdialtest.Tls(*self.pair, serve)), ["tls", "upgrade"])):
            with self.subTest(scheme):
                m = self.s.connect(f"{scheme}://localhost:{origin.port}/chat")
                s = self.one(m)
                self.assert_stages(m, *behind)
                self.assertIn(b"X: y\r\n", m.attributes[rig.RESPONSE][0])
                self.assertEqual(s.recv(len(first), socket.MSG_WAITALL), first)
                self.assert_echo(s)

    def test_half_close(self):
        """Of TLS, through a proxy that knows no half-close of TCP: the answer comes all the same."""
        def answer(conn):
            while conn.recv(65536):
                pass
            conn.sendall(b"the answer")

        origin = self.serve(fdialtest.Tls(*self.pair, answer))
        self.plain.knows_half = self.other.knows_half = False
        s = self.one(self.s.connect(f"tls://localhost:{origin.port}"))
        s.sendall(b"the question")
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100), b"the answer")
        self.assertEqual(s.recv(100), b"")

    def test_websocket_refused(self):
        def refuse(conn):
            websocket_peer.read_head(conn)
            conn.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

        origin = self.serve(fdialtest.Origin(refuse))
        m = self.s.connect(f"ws://localhost:{origin.port}/")
        self.assertEqual((m.stage, m.number(rig.HOP), m.fds), ("upgrade", None, []), m)

    def test_starttls(self):
        for protocol in starttls_peers.PROTOCOLS:
            with self.subTest(protocol.scheme):
                origin = self.serve(starttls_peers.Starttls(protocol, *self.pair))
                m = self.s.connect(f"{protocol.scheme}://localhost:{origin.port}")
                self.one(m)
                self.assert_stages(m, "starttls", "tls")
                self.assertEqual(m.attributes.get(rig.RESPONSE, [b""]), [protocol.response])
                self.assertEqual(origin.wrong, [])

    def test_certificate_is_the_targets(self):
        pair = self.authority.issue("somebody.example")
        origin = self.serve(fdialtest.Tls(*pair))
        m = self.s.connect(f"tls://localhost:{origin.port}")
        self.assertEqual((m.stage, m.number(rig.HOP)), ("tls", None), m)
        m = self.s.connect(f"tls://localhost:{origin.port}", rig.attr(rig.TLS_NAME, "somebody.example"))
        self.assert_echo(self.one(m))
        self.assertEqual([x[0] for x in origin.seen if x[0]][-1], "somebody.example")

    def test_unreachable_and_unwilling(self):
        """The proxy cannot, or the target does not: that is told apart."""
        m = self.s.connect(f"tls://localhost:{self.serve(fdialtest.Closed()).port}")
        self.assertEqual((m.stage, m.number(rig.HOP)), ("proxy", 2), m)
        self.assertIn("503", m.detail)
        m = self.s.connect(f"tls://localhost:{self.serve(fdialtest.Garbage()).port}")
        self.assertEqual((m.stage, m.number(rig.HOP)), ("tls", None), m)
        m = self.s.connect(f"tls://localhost:{self.serve(fdialtest.Mute()).port}", timeout_ms=5000 if fdialtest.IS_SLOW else 2000)
        self.assertEqual((m.stage, m.number(rig.HOP), m.code), ("tls", None, 11), m)

    def test_many(self):
        """All at once, all their own."""
        origin = self.serve(fdialtest.Tls(*self.pair))
        m = self.s.connect(f"tls://localhost:{origin.port}", rig.u32(rig.COUNT, 20))
        self.assertEqual((m.code, len(m.fds)), (0, 20), m)
        connections = [socket.socket(fileno=fd) for fd in m.fds]
        with contextlib.ExitStack() as stack:
            for i, s in enumerate(connections):
                stack.enter_context(s)
                s.settimeout(rig.WAIT_S)
                s.sendall(b"%02d" % i)
            for i, s in enumerate(connections):
                self.assertEqual(s.recv(2, socket.MSG_WAITALL), b"%02d" % i)

    def test_cancelled(self):
        """While a proxy is silent, by the client's word or its end; the proxy is left."""
        silent = self.serve(fdialtest.Mute())
        config = f'proxy "mute" {{ url = "http://127.0.0.1:{silent.port}" }}\n' + rig.rule(via='"mute"')
        daemon = self.start_daemon(config)
        state = rig.State(daemon)
        s = self.session(daemon)
        ids = [s.submit("tcp://127.0.0.1:9") for _ in range(8)]
        fdialtest.wait_until(lambda: silent.accepted == 8)
        for ident in ids[:4]:
            s.send(rig.message(rig.CANCEL, ident))
            m = s.recv_kind(rig.RESULT)
            self.assertEqual((m.code, m.id, m.fds), (10, ident, []), m)
        s.close()
        state.check()
        fdialtest.wait_until(lambda: not silent._open)  # pylint: disable=protected-access


if __name__ == "__main__":
    fdialtest.main()
