#!/usr/bin/env python3
"""The daemon against a client that was written from PROTOCOL.md alone (protocol_client.py)."""
import os
import re
import socket
import subprocess
import sys
import tempfile

import fdialtest
import protocol_client
from protocol_client import Failed, Session, SessionError

CONFIG = """
rule "plain" {{
  client = "uid:{uid}"
  allow = {{ "tcp://127.0.0.1:*", "tcp://[::1]:*", "http://127.0.0.1:*" }}
  deny = "tcp://127.0.0.1:1"
  addresses = "loopback"
}}
rule "tls" {{
  client = "uid:{uid}"
  allow = {{ "https://localhost:*", "tls://localhost:*" }}
  addresses = "loopback"
  tls = "ca"
}}
rule "unix" {{ client = "uid:{uid}" allow = "unix:{directory}/echo.sock" }}
tls "ca" {{ ca-file = "{ca}" }}
"""


def examples():
    """The hex dumps of PROTOCOL.md, by title."""
    with open(f"{fdialtest.SRCDIR}/proto/PROTOCOL.md", encoding="utf-8") as f:
        text = f.read().partition("## Examples")[2]
    for title, dump in re.findall(r"^(\w[\w, ]*)\n\n((?:    (?:[0-9a-f]{2} ?)+\n)+)", text + "\n", re.M):
        yield title, bytes.fromhex(dump)


class Text(fdialtest.Case):
    """What the text says about itself."""

    def test_examples_decode(self):
        found = {title: protocol_client.decode(data) for title, data in examples()}
        self.assertEqual(len(found), 19)
        self.assertEqual(found["welcome"].values, {
            "version": 1, "software": "fdiald/1", "message max": 16384, "pending max": 4096,
            "count max": 64})
        result = found["result"].values
        self.assertEqual(result["peer"], ("192.0.2.1", 443))
        self.assertEqual(result["local"], ("2001:db8::2", 40000))
        self.assertEqual([t.stage for t in result["time"]], ["resolve", "connect", "tls"])
        self.assertEqual(found["result, failed"].values["detail"], "192.0.2.1 port 22")
        self.assertEqual(found["status reply"].values["stat"], ["version=1", "sessions=7"])
        first = found["status reply, the first of several"].values
        self.assertEqual((first["text"], first["more"]), ([b"fdial_sessions 7\n"], 1))

    def test_examples_encode(self):
        found = dict(examples())
        encode = protocol_client.encode
        self.assertEqual(encode(1, version=1, software="demo/1"), found["hello"])
        self.assertEqual(encode(2, 1, target="https://example.org", timeout=5000, handoff=5,
                                alpn=["http/1.1"]), found["connect"])
        self.assertEqual(encode(3, 2), found["cancel"])
        self.assertEqual(encode(4, 3, target="tcp://192.0.2.1:22", as_user="build"), found["explain"])
        self.assertEqual(encode(5, 4), found["status"])
        self.assertEqual(encode(5, 5, format=1), found["status, as metrics"])
        self.assertEqual(encode(6, 5, pattern=["https://*.example.org", "tcp://192.0.2.1:22"]), found["grant"])
        self.assertEqual(encode(7), found["open"])


class Protocol(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.path = tempfile.mkdtemp(prefix="protocol-")
        os.chmod(cls.path, 0o755)
        cls.config = CONFIG.format(uid=os.getuid(), ca=cls.authority.certificate, directory=cls.path)
        cls.daemon = fdialtest.start_daemon(cls.config)
        cls.daemon.wait_log("workers")  # all of them have their descriptors

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def session(self, **kwargs):
        session = Session(self.daemon.socket, **kwargs)
        self.addCleanup(session.close)
        return session

    def echo(self, fd):
        with socket.socket(fileno=fd) as s:
            s.settimeout(30)
            s.sendall(b"ping")
            self.assertEqual(s.recv(100), b"ping")
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(s.recv(100), b"")

    def test_plain(self):
        origin = self.serve(fdialtest.Echo())
        session = self.session()
        session.connect(f"tcp://127.0.0.1:{origin.port}", 7, timeout=20000, handoff=5)
        message = session.result(7)
        self.assertEqual(message.values["peer"], ("127.0.0.1", origin.port))
        self.assertTrue(os.get_blocking(message.fds[0]))
        self.echo(message.fds[0])
        is_relay = message.values["hand-over"] == protocol_client.RELAY
        self.assertEqual("hand-over reason" in message.values, is_relay)
        if is_relay:
            self.assertEqual(session.ended(7), {"end": "clean", "index": 0, "bytes sent": 4,
                                                "bytes received": 4})

    def test_grant(self):
        origin = self.serve(fdialtest.Echo())
        targets = [f"tcp://127.0.0.1:{origin.port}", "tcp://127.0.0.1:1"]
        maker = self.session()
        with self.assertRaisesRegex(protocol_client.SessionError, "4: 127.0.0.1: "):
            maker.grant("127.0.0.1")
        grant = maker.grant(targets[0], "tcp://127.0.0.2:*")
        maker.close()
        for _ in range(2):
            session = self.session(fd=grant)
            session.connect(targets[0])
            self.echo(session.result().fds[0])
            session.connect(targets[1])
            with self.assertRaisesRegex(protocol_client.Failed, "policy: 20: .*grant"):
                session.result()
        os.close(grant)
        session = self.session(fd=session.grant(targets[0]))
        self.assertEqual(session.explain(targets[1])["code"], 20)

    def test_fd_of_a_session(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(self.daemon.socket)
            self.assertIn("version", self.session(fd=s.fileno()).status())

    def test_tls(self):
        origin = self.serve(fdialtest.Tls(*self.authority.issue(), alpn=["http/1.1"]))
        session = self.session()
        session.connect(f"https://localhost:{origin.port}", 0)
        message = session.result(0)
        values = message.values
        self.assertEqual((values["tls version"], values["alpn"]), (0x304, ["http/1.1"]))
        self.assertRegex(values["tls cipher"], "^TLS_")
        self.assertEqual(values["certificate"][0][:1], b"\x30")
        self.assertEqual([t.stage for t in values["time"]], ["resolve", "connect", "tls"])
        self.assertEqual(values["hand-over"], protocol_client.RELAY)
        self.assertEqual(values["local"].host, "127.0.0.1")
        self.echo(message.fds[0])
        self.assertEqual(session.ended(0)["end"], "clean")
        self.assertFalse({"tls resumed", "hand-over reason"} & set(values))
        session.connect(f"https://localhost:{origin.port}", 1)
        message = session.result(1)
        self.assertEqual(message.values["tls resumed"], 1)
        self.echo(message.fds[0])

    def test_ended_truncated(self):
        handle = lambda conn: conn.recv(4)  # noqa: E731
        origin = self.serve(fdialtest.Tls(*self.authority.issue(), handle, is_clean=False))
        session = self.session()
        session.connect(f"tls://localhost:{origin.port}", 3)
        with socket.socket(fileno=session.result(3).fds[0]) as s:
            s.settimeout(30)
            s.sendall(b"ping")
            try:
                self.assertEqual(s.recv(100), b"")
            except ConnectionResetError:
                pass
        self.assertEqual(session.ended(3)["end"], "truncated")

    def test_unix(self):
        self.serve(fdialtest.Echo(path=f"{self.path}/echo.sock"))
        session = self.session()
        session.connect(f"unix:{self.path}/echo.sock")
        message = session.result()
        self.assertEqual(message.values["peer"], (f"{self.path}/echo.sock", None))
        self.assertEqual(message.values["hand-over"], protocol_client.TCP)
        self.echo(message.fds[0])

    def test_count(self):
        origin = self.serve(fdialtest.Echo())
        session = self.session()
        session.connect(f"tcp://127.0.0.1:{origin.port}", count=3)
        message = session.result()
        self.assertEqual(len(message.fds), 3)
        for fd in message.fds:
            self.echo(fd)
        if message.values["hand-over"] == protocol_client.RELAY:
            self.assertEqual(sorted(session.ended()["index"] for _ in range(3)), [0, 1, 2])
        self.assertEqual(origin.accepted, 3)

    def test_many_in_any_order(self):
        origin, hole = self.serve(fdialtest.Echo()), self.serve(fdialtest.BlackHole())
        session = self.session()
        session.connect(f"tcp://127.0.0.1:{hole.port}", 1)
        for ident in range(2, 12):
            session.connect(f"tcp://127.0.0.1:{origin.port}", ident)
        for ident in reversed(range(2, 12)):
            self.echo(session.result(ident).fds[0])
        session.cancel(1)
        with self.assertRaises(Failed) as raised:
            session.result(1)
        self.assertEqual((raised.exception.code, raised.exception.stage), (10, "request"))
        session.cancel(1)  # an unknown id by now: ignored
        session.connect(f"tcp://127.0.0.1:{origin.port}", 1)  # and free again
        self.echo(session.result(1).fds[0])

    def failed(self, session, target, **options):
        session.connect(target, 9, **options)
        with self.assertRaises(Failed) as raised:
            for fd in session.result(9).fds:
                os.close(fd)
        return raised.exception.code, raised.exception.stage

    def test_errors(self):
        closed, hole = self.serve(fdialtest.Closed()), self.serve(fdialtest.BlackHole())
        garbage, echo = self.serve(fdialtest.Garbage()), self.serve(fdialtest.Echo())
        expired = self.serve(fdialtest.Tls(*self.authority.issue(days=(-9, -2))))
        session = self.session()
        for target, options, expected in (
                ("nonsense", {}, (3, "request")),
                ("tcp://127.0.0.1", {}, (3, "request")),
                ("ws://127.0.0.1:80/x", {}, (20, "policy")),
                (f"tcp://127.0.0.1:{echo.port}", {"alpn": ["h2"]}, (4, "request")),
                (f"tcp://127.0.0.1:{echo.port}", {"family": 6}, (31, "resolve")),
                (f"tls://localhost:{echo.port}", {"handoff": 1}, (90, "handoff")),
                ("tcp://127.0.0.1:1", {}, (20, "policy")),
                ("tcp://192.0.2.1:80", {}, (20, "policy")),
                (f"tcp://127.0.0.1:{closed.port}", {}, (40, "connect")),
                (f"tcp://127.0.0.1:{hole.port}", {"timeout": 200}, (11, "connect")),
                (f"tls://localhost:{garbage.port}", {}, (60, "tls")),
                (f"tls://localhost:{expired.port}", {}, (70, "tls")),
                ("unix:/nonexistent", {}, (20, "policy"))):
            with self.subTest(target):
                self.assertEqual(self.failed(session, target, **options), expected)

    def test_explain(self):
        session = self.session()
        values = session.explain("https://localhost:443")
        self.assertEqual((values["code"], values["rule"]), (0, "tls"))
        self.assertRegex(values["plan"], "resolve.*connect.*tls.*handoff")
        values = session.explain("https://elsewhere.example", 5)
        self.assertEqual(values["code"], 20)
        self.assertTrue(values["detail"])
        self.assertEqual(session.explain("x:y", 6)["code"], 3)
        if fdialtest.is_root():
            self.assertEqual(session.explain("https://localhost:443", as_user="12345")["code"], 20)

    def test_status(self):
        stats = self.session().status(2)
        self.assertRegex(stats["version"], r"^\d")
        self.assertGreaterEqual(int(stats["workers"]), 1)

    def ends_with(self, code, *data):
        session = self.session()
        with self.assertRaises(SessionError) as raised:
            for one in data:
                session.send(one)
            while session.receive():
                pass
        self.assertEqual(raised.exception.code, code)
        self.assertIsNone(session.receive())

    def test_session_errors(self):
        hole = self.serve(fdialtest.BlackHole())
        good = protocol_client.encode(protocol_client.STATUS, 1)
        twice = protocol_client.encode(protocol_client.CONNECT, 1,
                                       target=f"tcp://127.0.0.1:{hole.port}")
        self.ends_with(1, b"x")
        self.ends_with(1, good[:-1])
        self.ends_with(1, good + b"\0")
        self.ends_with(1, b"\x05\0\1\0" + good[4:])  # flags
        self.ends_with(1, b"\x63\0\0\0" + good[4:])  # type 99
        self.ends_with(1, protocol_client.encode(protocol_client.STATUS, 1, target="tcp://a:1"))
        self.ends_with(1, protocol_client.encode(protocol_client.CONNECT, 1))
        self.ends_with(1, protocol_client.encode(protocol_client.HELLO, version=1))
        self.ends_with(1, bytes(16385))
        self.ends_with(6, twice, twice)

    def test_optional_attributes_are_skipped(self):
        session = self.session()
        session.send(b"\x05\0\0\0\x15\0\0\0" + bytes(8) + b"\x63\x80\x01\0x")
        self.assertEqual(session.receive().type, protocol_client.STATUS_REPLY)

    def test_versions(self):
        self.assertEqual(self.session(version=9).welcome["version"], 1)
        with self.assertRaises(SessionError):
            self.session(version=0)

    def test_wrong_sender(self):
        session = self.session()
        code = ("import socket; s = socket.socket(fileno=0);"
                "s.send(bytes.fromhex('05000000100000000100000000000000'))")
        subprocess.run([sys.executable, "-c", code], stdin=session.socket, check=True)
        with self.assertRaises(SessionError) as raised:
            session.receive()
        self.assertEqual(raised.exception.code, 13)

    def test_nothing_is_left(self):
        before = self.daemon.fd_count()
        self.test_count()
        self.test_many_in_any_order()
        self.doCleanups()
        fdialtest.wait_until(lambda: self.daemon.fd_count() <= before, what="the fds' end")


if __name__ == "__main__":
    fdialtest.main()
