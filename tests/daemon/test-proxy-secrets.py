"""What is for one proxy reaches that one alone: no other hop, no origin, nobody whom a rule only reports, no
proxy that has not asked, in no scheme that is not named. (What comes out of the daemon is searched in every
test, see leaks.py.)"""
import contextlib
import os
import socket
import ssl
import threading

import fdialtest
import leaks
import rig
from hostile_proxies import hear_greeting, hear_http, hear_login, hear_request, hear_socks4

TOKEN = "token-7-for-one-gateway"
PASSWORDS = {"outer": "Kahn-7-outer-hop", "inner": "Kahn-8-inner-hop", "socks": "Kahn-9-socks-hop"}
CREDENTIALS = {name: f"joe:{password}" for name, password in PASSWORDS.items()} | {"token": TOKEN}


class Noting(fdialtest.Origin):
    """`said` has all that its clients said."""

    def __init__(self, context=None):
        self.said = b""
        self.context = context
        super().__init__()

    def serve(self, conn):
        if self.context:
            conn = self.context.wrap_socket(conn.dup(), server_side=True)
        with conn:
            self.talk(conn)

    def note(self, data):
        self.said += data
        return data

    def talk(self, conn):
        while data := conn.recv(65536):
            conn.sendall(self.note(data))

    def pump(self, conn, port):
        with socket.create_connection(("127.0.0.1", port), rig.WAIT_S) as up:
            def upward():
                with contextlib.suppress(OSError):
                    while data := conn.recv(65536):
                        up.sendall(self.note(data))
                    up.shutdown(socket.SHUT_WR)

            thread = threading.Thread(target=upward, daemon=True)
            thread.start()
            with contextlib.suppress(OSError):
                while data := up.recv(65536):
                    conn.sendall(data)
                conn.shutdown(socket.SHUT_WR)
            thread.join(rig.WAIT_S)


class HttpProxy(Noting):
    """Asks with these challenges till something is said, and believes it; () asks nothing."""

    def __init__(self, *challenges, context=None):
        self.challenges, self.heads = challenges, []
        super().__init__(context)

    def talk(self, conn):
        while True:
            head = self.note(hear_http(conn)).decode()
            self.heads.append(head)
            if not self.challenges or "Proxy-Authorization:" in head:
                conn.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
                self.pump(conn, int(head.split()[1].rpartition(":")[2]))
                return
            lines = "".join(f"Proxy-Authenticate: {c}\r\n" for c in self.challenges)
            conn.sendall(f"HTTP/1.1 407 Who?\r\n{lines}Content-Length: 0\r\n\r\n".encode())


class SocksProxy(Noting):
    """Takes whatever method comes first."""

    def __init__(self):
        self.methods = []
        super().__init__()

    def talk(self, conn):
        self.methods.append(self.note(hear_greeting(conn))[2:])
        conn.sendall(b"\x05" + self.methods[-1][:1])
        if self.methods[-1][0] == 2:
            self.note(hear_login(conn))
            conn.sendall(b"\x01\0")
        request = self.note(hear_request(conn))
        conn.sendall(b"\x05\0\0\x01\x7f\0\0\1\0\0")
        self.pump(conn, int.from_bytes(request[-2:], "big"))


class Socks4Proxy(Noting):
    def talk(self, conn):
        request = self.note(hear_socks4(conn))
        conn.sendall(b"\0\x5a" + bytes(6))
        self.pump(conn, int.from_bytes(request[2:4], "big"))


def section(name, server, *lines, scheme="http"):
    return f'proxy "{name}" {{\n  url = "{scheme}://localhost:{server.port}"\n' \
        + "".join(f"  {line}\n" for line in lines) + "}\n"


class Secrets(rig.Case):
    def start(self, text, *via, more="", **keys):
        daemon = self.start_daemon("workers = 1\n" + text + rig.rule(via=rig.strings(*via), **keys) + more,
                                   credentials=CREDENTIALS)
        return self.session(daemon)

    def ask(self, session, target, word=b"what is said to the origin"):
        with contextlib.closing(session.dial(target)) as s:
            self.assert_echo(s, word)

    def assert_knows(self, server, *names):
        """These of the passwords, and no other, in whatever form."""
        for name, password in PASSWORDS.items():
            with self.subTest(type(server).__name__, secret=name):
                self.assertEqual(leaks.is_in(server.said, password), name in names, server.said[-2000:])

    def test_chain(self):
        """In the clear the outer hop carries what is for the inner ones, as the manual says; no hop gets
        what is for one before it, and the origin nothing."""
        outer, inner, socks, origin = (self.serve(server) for server in (
            HttpProxy('Basic realm="x"'), HttpProxy('Basic realm="x"'), SocksProxy(), Noting()))
        session = self.start(
            section("outer", outer, 'auth = "basic"', 'credential = "outer"')
            + section("inner", inner, 'auth = { "digest", "basic" }', 'credential = "inner"')
            + section("socks", socks, 'credential = "socks"', scheme="socks5"), "outer", "inner", "socks")
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.assertEqual(origin.said, b"what is said to the origin")
        self.assert_knows(origin)
        self.assert_knows(socks, "socks")
        self.assert_knows(inner, "inner", "socks")
        self.assert_knows(outer, "outer", "inner", "socks")

    def test_chain_with_tls(self):
        """What is for a hop by TLS is read by nobody before it."""
        authority = fdialtest.Authority()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue())
        outer, inner, origin = (self.serve(server) for server in (
            HttpProxy('Basic realm="x"'), HttpProxy('Basic realm="x"', context=context), Noting()))
        session = self.start(
            f'tls "t" {{ ca-file = "{authority.certificate}" }}\n'
            + section("outer", outer, 'auth = "basic"', 'credential = "outer"')
            + section("inner", inner, 'auth = "basic"', 'credential = "inner"', 'tls = "t"', scheme="https"),
            "outer", "inner")
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.assert_knows(outer, "outer")
        self.assert_knows(inner, "inner")
        self.assert_knows(origin)

    def test_report(self):
        """What only a report lets through presents nothing, however well the proxy is known."""
        origin, other = self.serve(Noting()), self.serve(Noting())
        allow = f'"tcp://127.0.0.1:{origin.port}"'
        for auth in ('"basic"', '{ "digest", "basic" }'):
            with self.subTest(auth):
                proxy = self.serve(HttpProxy('Basic realm="x"'))
                session = self.start(section("p", proxy, f"auth = {auth}", 'credential = "outer"'), "p",
                                     mode='"report"', allow=allow)
                self.ask(session, f"tcp://127.0.0.1:{origin.port}")
                self.assert_knows(proxy, "outer")
                proxy.heads.clear()
                proxy.challenges = ()
                self.ask(session, f"tcp://127.0.0.1:{other.port}")
                proxy.challenges = ('Basic realm="x"', 'Digest realm="x", nonce="y", qop="auth"')
                m = session.connect(f"tcp://127.0.0.1:{other.port}")
                self.assertEqual((m.code, m.stage, m.number(rig.HOP)), (50, "proxy", 1), m)
                self.assertEqual(len(proxy.heads), 2)
                self.assertNotIn("authorization", "".join(proxy.heads).lower())

    def test_report_socks(self):
        origin, other = self.serve(Noting()), self.serve(Noting())
        allow = f'"tcp://127.0.0.1:{origin.port}"'
        proxy, old = self.serve(SocksProxy()), self.serve(Socks4Proxy())
        session = self.start(section("p", proxy, 'credential = "socks"', scheme="socks5"), "p",
                             mode='"report"', allow=allow)
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.ask(session, f"tcp://127.0.0.1:{other.port}")
        self.assertEqual(proxy.methods, [b"\x02", b"\x00"])
        self.assertEqual(proxy.said.count(PASSWORDS["socks"].encode()), 1)
        session = self.start(section("p", old, 'user = "joe-the-known"', scheme="socks4"), "p",
                             mode='"report"', allow=allow)
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.ask(session, f"tcp://127.0.0.1:{other.port}")
        self.assertEqual(old.said.count(b"joe-the-known"), 1)

    def test_only_when_asked(self):
        """With a choice, or a scheme that needs a question, nothing is said before it."""
        origin = self.serve(Noting())
        for auth, is_unasked in (('"basic"', True), ('{ "digest", "basic" }', False), ('"digest"', False)):
            with self.subTest(auth):
                proxy = self.serve(HttpProxy())
                session = self.start(section("p", proxy, f"auth = {auth}", 'credential = "outer"'), "p")
                self.ask(session, f"tcp://127.0.0.1:{origin.port}")
                self.ask(session, f"tcp://127.0.0.1:{origin.port}")
                self.assertEqual(["Proxy-Authorization:" in head for head in proxy.heads], [is_unasked] * 2)
                self.assert_knows(proxy, *(["outer"] if is_unasked else []))

    def test_scheme_that_is_not_named(self):
        origin = self.serve(Noting())
        for auth, challenges, pattern in (
                ('"digest"', ('Basic realm="x"',), "Basic"),
                ('"digest"', ('Negotiate', 'NTLM', 'Bearer', 'Basic realm="x"'), "Basic"),
                ('"basic"', ('Digest realm="x", nonce="y", qop="auth"',), None)):
            with self.subTest(auth, challenges=challenges):
                proxy = self.serve(HttpProxy(*challenges))
                session = self.start(section("p", proxy, f"auth = {auth}", 'credential = "outer"'), "p")
                m = session.connect(f"tcp://127.0.0.1:{origin.port}")
                if pattern:
                    self.assertEqual((m.code, m.stage), (50, "proxy"), m)
                    self.assertRegex(m.detail, pattern)
                    self.assert_knows(proxy)
                for fd in m.fds:
                    os.close(fd)
                self.assertNotIn(b"Digest", proxy.said if auth == '"basic"' else b"")

    def test_digest_tells_no_password(self):
        proxy, origin = self.serve(HttpProxy('Digest realm="x", nonce="y", qop="auth"')), self.serve(Noting())
        session = self.start(section("p", proxy, 'auth = { "digest", "basic" }', 'credential = "outer"'), "p")
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.assertIn(b"Digest username=", proxy.said)
        self.assert_knows(proxy)

    def test_bearer(self):
        proxy, origin = self.serve(HttpProxy('Bearer')), self.serve(Noting())
        session = self.start(section("p", proxy, 'auth = "bearer"', 'credential = "token"'), "p")
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.assertIn(f"Proxy-Authorization: Bearer {TOKEN}\r\n", proxy.heads[0])
        self.assertFalse(leaks.is_in(origin.said, TOKEN))

    def test_direct(self):
        """A target that goes without the proxy is told nothing that is for it."""
        proxy, origin = self.serve(HttpProxy()), self.serve(Noting())
        session = self.start(section("p", proxy, 'auth = "basic"', 'credential = "outer"'), "p",
                             no_proxy='"127.0.0.1"')
        self.ask(session, f"tcp://127.0.0.1:{origin.port}")
        self.assertEqual((proxy.said, origin.said), (b"", b"what is said to the origin"))


if __name__ == "__main__":
    fdialtest.main()
