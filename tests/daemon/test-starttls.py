"""STARTTLS of all eight protocols through the running daemon: what is said in the clear and handed on as
such, what is behind TLS, and servers that refuse, inject, break off at each byte, or are silent."""
# time-limit: 240
import json
import socket
import threading

import fdialtest
import rig
import starttls_peers as peers
from rig import attr, u32
from starttls_peers import PROTOCOLS, Hear, Starttls

CANCELLED, DEADLINE, NOT_TLS, TLS_CLOSED, REFUSED, BROKEN, INJECTED = 10, 11, 60, 63, 85, 86, 87
WRONG_NAME, UNKNOWN_ISSUER = 72, 73
EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_TRUSTED, EXIT_TIMED_OUT = 0, 1, 2, 5, 6
SHORT_S = 5 if fdialtest.IS_SLOW else 2
WORDS_FIRST = b"* the server speaks first\r\n"


def greet(conn):
    """Says something as soon as TLS is there, then gives back what comes."""
    conn.sendall(WORDS_FIRST)
    fdialtest.echo(conn)


def wait_for_end(conn):
    while conn.recv(65536):
        pass


class StartTls(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()

    def setUp(self):
        super().setUp()
        self.daemon = self.start_daemon(
            f'workers = 1\ntls "t" {{ ca-file = "{self.authority.certificate}" }}\n' + rig.rule(tls='"t"'))
        self.s = self.session(self.daemon)
        self.state = rig.State(self.daemon)

    def tearDown(self):
        while len(self.opened) > 1:
            self.opened.pop().close()
        self.state.check()
        self.close_all()

    def server(self, protocol, handle=greet, certificate=None, **kwargs):
        """With its target."""
        origin = self.serve(Starttls(protocol, *(certificate or self.certificate), handle, **kwargs))
        return origin, f"{protocol.scheme}://localhost:{origin.port}"

    def plain(self, protocol, handle):
        """One that does not do TLS."""
        return f"{protocol.scheme}://localhost:{self.serve(fdialtest.Origin(handle)).port}"

    def each(self, protocols=PROTOCOLS, **kwargs):
        for protocol in protocols:
            print(f"# {protocol.scheme}")
            yield protocol, *self.server(protocol, **kwargs)

    def assert_fails(self, m, code, detail, stage="starttls"):
        self.assertEqual((m.code, m.stage, m.fds), (code, stage, []), m)
        self.assertRegex(m.detail, detail)

    def assert_works(self, m):
        self.assertEqual((m.code, m.number(rig.HANDOVER)), (0, rig.RELAY), m)
        for fd in m.fds:
            with socket.socket(fileno=fd) as c, c.makefile("rb") as file:
                c.settimeout(rig.WAIT_S)
                self.assertEqual(file.read(len(WORDS_FIRST)), WORDS_FIRST)
                c.sendall(b"and then\n")
                self.assertEqual(file.readline(), b"and then\n")

    # ---- good ones ----

    def test_all(self):
        """What was said in the clear is told, and marked; what the server says first behind TLS arrives."""
        for protocol, origin, target in self.each():
            m = self.s.connect(target)
            self.assert_works(m)
            self.assertEqual(m.attributes.get(rig.RESPONSE, [b""]), [protocol.response])
            self.assertEqual(m.number(rig.RESPONSE_IS_CLEAR), 1 if protocol.response else None)
            self.assertEqual(list(m.times_us())[-3:], ["connect", "starttls", "tls"])
            self.assertEqual(len(m.attributes[rig.CERTIFICATE]), 1)
            self.assertEqual(m.number(rig.TLS_VERSION), 0x0304)
            self.assertEqual((origin.wrong, origin.seen), ([], [("localhost", "TLSv1.3", None)]))

    def test_byte_by_byte(self):
        for _, origin, target in self.each(is_dribbling=True):
            self.assert_works(self.s.connect(target))
            self.assertEqual(origin.wrong, [])

    def test_count(self):
        for _, origin, target in self.each():
            m = self.s.connect(target, u32(rig.COUNT, 5))
            self.assertEqual(len(m.fds), 5)
            self.assert_works(m)
            self.assertEqual(origin.wrong, [])

    def test_tls_name(self):
        """It is also the domain that an XMPP server is asked for."""
        certificate = self.authority.issue("im.example", sans=["DNS:im.example"])
        hear = Hear(peers.XMPP.steps[0].replace(b"localhost", b"im.example"))
        origin, target = self.server(peers.XMPP, certificate=certificate, steps=[hear, *peers.XMPP.steps[1:]])
        self.assert_works(self.s.connect(target, attr(rig.TLS_NAME, "im.example")))
        self.assertEqual((origin.wrong, origin.seen[0][0]), ([], "im.example"))

    def test_own_address(self):
        """What we call ourselves to an SMTP server."""
        hear = Hear(b"EHLO [IPv6:::1]\r\n")
        origin, _ = self.server(peers.SMTP, steps=[peers.SMTP.steps[0], hear, *peers.SMTP.steps[2:]],
                                family=socket.AF_INET6)
        self.assert_works(self.s.connect(f"smtp+starttls://[::1]:{origin.port}"))
        self.assertEqual(origin.wrong, [])

    # ---- refusals ----

    def test_refusals(self):
        for protocol in PROTOCOLS:
            words, detail = protocol.refused
            origin, target = self.server(protocol, steps=protocol.instead_of_last(words))
            m = self.s.connect(target)
            self.assert_fails(m, REFUSED, detail)
            self.assertNotIn(rig.RESPONSE, m.attributes)
            done = self.daemon.run_cli(["connect", target])
            self.assert_report(done, EXIT_FAILED, f"^fdial: [a-z0-9+]+://localhost:{origin.port}: starttls: server"
                               f" refused STARTTLS: .*{detail}")
            self.assertEqual((origin.wrong, origin.seen), ([], []))

    def test_not_offered(self):
        greeting, ehlo = peers.SMTP.steps[:2]
        for protocol, steps in (
                (peers.SMTP, [b"554 go away\r\n"]),
                (peers.SMTP, [greeting, ehlo, b"502 no EHLO\r\n"]),
                (peers.SMTP, [greeting, ehlo, b"250-mx\r\n250 SIZE\r\n"]),
                (peers.IMAP, [b"* BYE busy\r\n"]), (peers.IMAP, [b"* PREAUTH you\r\n"]),
                (peers.IMAP, [*peers.IMAP.steps[:2], b"* CAPABILITY IMAP4rev1\r\nfdial1 OK\r\n"]),
                (peers.POP3, [*peers.POP3.steps[:2], b"+OK\r\nUIDL\r\n.\r\n"]),
                (peers.XMPP, [peers.XMPP.steps[0], peers.XMPP_STREAM + b"<stream:features/>"]),
                (peers.MYSQL, [peers.mysql_greeting(0xdfffffff & ~0x800)])):
            _, target = self.server(protocol, steps=[*steps, Hear(b"nothing more")])
            self.assert_fails(self.s.connect(target), REFUSED, ".")

    # ---- injections ----

    def test_injections(self):
        """Bytes in the clear behind the last word, in the same piece. They never get to the client."""
        for protocol in PROTOCOLS:
            for injected in (b"\0", b"250 forged\r\n" * 100):
                *_, last = [s for s in protocol.steps if not isinstance(s, Hear)]
                steps = [s + injected if s is last else s for s in protocol.steps]
                origin, target = self.server(protocol, steps=steps)
                m = self.s.connect(target)
                self.assert_fails(m, INJECTED, ".")
                self.assertEqual(m.attributes.get(rig.RESPONSE, [b""]), [protocol.response])
                self.assertEqual(origin.seen, [])
                if injected == b"\0":
                    continue
                done = self.daemon.run_cli(["check", target])
                self.assert_report(done, EXIT_FAILED, ": starttls: data in the clear behind STARTTLS")
                self.assertNotIn(b"forged", done.stdout + done.stderr)

    # ---- broken ones ----

    def test_cut_at_every_byte(self):
        for protocol in PROTOCOLS:
            n = len(protocol.said)
            _, target = self.server(protocol, cuts=iter(range(1, n)))
            for _ in range(1, n):
                self.s.submit(target)
            for _ in range(1, n):
                self.assert_fails(self.s.recv_kind(rig.RESULT), BROKEN, "it (closed|reset) the connection")
            target = self.plain(protocol, lambda conn: None)
            self.assert_fails(self.s.connect(target), BROKEN, "it (closed|reset) the connection")

    def test_closed_instead_of_tls(self):
        """A server that agrees, and then is gone."""
        for protocol in PROTOCOLS:
            cuts = iter([len(protocol.said)] * 2)
            _, target = self.server(protocol, cuts=cuts)
            m = self.s.connect(target)
            if protocol.is_last_word_theirs:
                self.assertEqual((m.stage, m.attributes.get(rig.RESPONSE, [b""])), ("tls", [protocol.response]), m)
                self.assertIn(m.code, (TLS_CLOSED, 65))
            else:
                self.assertIn((m.stage, m.code), (("starttls", BROKEN), ("tls", TLS_CLOSED), ("tls", 65)), m)

    def test_other_protocols(self):
        for words in (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>", b"SSH-2.0-x\r\n", bytes(100),
                      b"\xff" * 100, b"\r\n" * 50):

            def handle(conn, words=words):
                conn.sendall(words)
                conn.shutdown(socket.SHUT_WR)
                wait_for_end(conn)

            for protocol in PROTOCOLS:
                m = self.s.connect(self.plain(protocol, handle))
                is_agreed = protocol is peers.POSTGRES and words.startswith(b"S")
                self.assert_fails(m, INJECTED if is_agreed else BROKEN, ".")

    def test_tls_on_the_plain_port(self):
        """It waits for our hello, as we do for its greeting; where we speak first it complains."""
        origin = self.serve(fdialtest.Tls(*self.certificate))
        asked = {self.s.submit(f"{protocol.scheme}://localhost:{origin.port}", timeout_ms=SHORT_S * 1000): protocol
                 for protocol in PROTOCOLS}
        for _ in asked:
            m = self.s.recv_kind(rig.RESULT)
            protocol = asked[m.id]
            if isinstance(protocol.steps[0], Hear):
                self.assert_fails(m, BROKEN, ".")
            else:
                self.assert_fails(m, DEADLINE, "the server has not agreed to TLS")

    def test_plain_text_instead_of_tls(self):
        for protocol in PROTOCOLS:

            def handle(conn, protocol=protocol):
                peers.follow(conn, protocol.steps)
                conn.recv(1)  # of our ClientHello
                conn.sendall(b"500 what is this?\r\n")
                wait_for_end(conn)

            target = self.plain(protocol, handle)
            self.assert_fails(self.s.connect(target), NOT_TLS, "500 what is this", "tls")

    def test_endless(self):
        rss_before = self.daemon.rss_kib()
        pieces = {peers.SMTP: b"220-more\r\n", peers.IMAP: b"* OK more\r\n", peers.POP3: b"+OK" + b"x" * 1000,
                  peers.FTP: b"220-more\r\n", peers.LDAP: b"\x30\x84\x7f\xff\xff\xff",
                  peers.XMPP: b"<a x='yyyyyyy'>",
                  peers.POSTGRES: b"E" * 1000, peers.MYSQL: b"\xff\xff\xff\0" * 10}
        for protocol, piece in pieces.items():
            start = protocol.steps[:2] if protocol is peers.IMAP else ()
            if protocol is peers.XMPP:
                start = (protocol.steps[0], peers.XMPP_STREAM + b"<stream:features>")

            def handle(conn, piece=piece, start=start):
                peers.follow(conn, start)
                while True:
                    conn.sendall(piece * 100)

            m = self.s.connect(self.plain(protocol, handle))
            self.assert_fails(m, REFUSED if protocol is peers.POSTGRES else BROKEN, ".")
        if not fdialtest.IS_SLOW:
            self.assertLess(self.daemon.rss_kib() - rss_before, 8 * 1024)

    # ---- trust ----

    def test_not_trusted(self):
        """TLS fails as without STARTTLS, and what was said before it is told all the same."""
        stranger = fdialtest.Authority(name="stranger").issue()
        other = self.authority.issue("other.example", sans=["DNS:other.example"])
        for protocol in PROTOCOLS:
            for certificate, code, name in ((stranger, UNKNOWN_ISSUER, "TLS_UNKNOWN_CA"),
                                            (other, WRONG_NAME, "TLS_WRONG_NAME")):
                _, target = self.server(protocol, certificate=certificate)
                m = self.s.connect(target)
                self.assertEqual((m.code, m.stage), (code, "tls"), (m, name))
                self.assertEqual(m.attributes.get(rig.RESPONSE, [b""]), [protocol.response])
                self.assertEqual(list(m.times_us())[-1], "starttls")
            self.assertEqual(self.daemon.run_cli(["connect", target]).returncode, EXIT_NOT_TRUSTED)

    # ---- slow ones ----

    def test_silence(self):
        """The request's deadline is that of STARTTLS too, wherever the server stops."""
        n_asked = 0
        for protocol in PROTOCOLS:
            for n, step in enumerate(protocol.steps):
                if isinstance(step, Hear):
                    continue

                def handle(conn, steps=protocol.steps[:n]):
                    peers.follow(conn, steps)
                    wait_for_end(conn)

                self.s.submit(self.plain(protocol, handle), timeout_ms=SHORT_S * 1000)
                n_asked += 1
        for _ in range(n_asked):
            m = self.s.recv_kind(rig.RESULT)
            self.assert_fails(m, DEADLINE, "connected, but the server has not agreed to TLS")
            self.assertNotIn("starttls", m.times_us())
        target = self.plain(peers.SMTP, wait_for_end)
        done = self.daemon.run_cli(["check", "--json", "--timeout", str(SHORT_S), target])
        self.assert_report(done, EXIT_TIMED_OUT, ": starttls: deadline passed: ")
        self.assertGreaterEqual(json.loads(done.stdout)["elapsed_us"], SHORT_S * 1e6 - 50e3)

    def test_cancel(self):
        asked, ended = threading.Semaphore(0), threading.Semaphore(0)

        def handle(conn):
            conn.sendall(b"220 mx\r\n250")
            conn.recv(100)
            asked.release()
            try:
                wait_for_end(conn)
            finally:
                ended.release()

        target = self.plain(peers.SMTP, handle)
        ident = self.s.submit(target, u32(rig.COUNT, 3), timeout_ms=600000)
        for _ in range(3):
            self.assertTrue(asked.acquire(timeout=rig.WAIT_S))
        self.s.send(rig.message(rig.CANCEL, ident))
        self.assert_fails(self.s.recv_kind(rig.RESULT), CANCELLED, "^$", "request")
        other = self.session(self.daemon)
        other.submit(target, timeout_ms=600000)
        self.assertTrue(asked.acquire(timeout=rig.WAIT_S))
        other.close()
        for _ in range(4):
            self.assertTrue(ended.acquire(timeout=rig.WAIT_S))

    # ---- the command ----

    def test_command(self):
        for protocol, _, target in self.each():
            done = self.daemon.run_cli(["connect", target], input=b"hello")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (EXIT_DONE, WORDS_FIRST + b"hello", b""))
            status, report = self.daemon.check(target)
            self.assertEqual(status, EXIT_DONE, report)
            self.assertEqual([s["stage"] for s in report["stages"]], ["resolve", "connect", "starttls", "tls"])
            if protocol.response:
                self.assertFalse(report["response"]["is_authenticated"])
            else:
                self.assertIsNone(report["response"])
            text = self.daemon.run_cli(["check", target]).stdout.decode()
            self.assertRegex(text, r"(?m)^starttls +\d+\.\d+ ms$")
            self.assertEqual("response (without TLS, unauthenticated):" in text, bool(protocol.response))
            done = self.daemon.run_cli(["explain", target])
            self.assertRegex(done.stdout.decode(), protocol.scheme.replace("+", r"\+") + r" tls\(localhost\)"
                             r" handoff\(relay\)")

    def test_command_needs_no_upgrade_options(self):
        done = self.daemon.run_cli(["connect", "smtp+starttls://localhost:1", "--header", "X: y"])
        self.assert_report(done, EXIT_USAGE, "header and subprotocol need a ws or wss target")


if __name__ == "__main__":
    fdialtest.main()
