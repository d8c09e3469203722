#!/usr/bin/env python3
"""The fdial command against a daemon played here, which speaks the protocol on its own terms (no code
shared with the library). Runs ./fdial, or $FDIAL."""

import array
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

FDIAL = os.path.abspath(os.environ.get("FDIAL", "./fdial"))

HELLO, CONNECT, CANCEL, EXPLAIN, STATUS, GRANT, OPEN = range(1, 8)
WELCOME, RESULT, ENDED, EXPLAINED, STATUS_REPLY, GRANTED, OPENED = range(129, 136)
TCP, KTLS, RELAY = 1, 2, 4
VERSION, SOFTWARE, MESSAGE_MAX, PENDING_MAX, COUNT_MAX = 1, 2, 3, 4, 5
TARGET, TIMEOUT_MS, FAMILY, ALPN, TLS_NAME, HANDOFF, HEADER, SUBPROTOCOL = range(16, 24)
AS_USER, PATTERN, CODE, STAGE, HOP, ERRNO, DETAIL, WARM, PEER, LOCAL = 25, 26, 32, 33, 34, 35, 36, 37, 38, 39
TLS_VERSION, TLS_CIPHER, CERT, RESPONSE, RESPONSE_CLEAR, TIME = 40, 41, 42, 43, 44, 45
HANDOFF_REASON, TLS_RESUMED = 46, 47
END, INDEX, SENT, RECEIVED, RULE, PLAN, STAT, WHO = 48, 49, 50, 51, 56, 57, 58, 59


def attr(kind, value):
    if isinstance(value, str):
        value = value.encode()
    return struct.pack("<HH", kind, len(value)) + value


def u8(kind, value):
    return attr(kind, struct.pack("<B", value))


def u16(kind, value):
    return attr(kind, struct.pack("<H", value))


def u32(kind, value):
    return attr(kind, struct.pack("<I", value))


def ipv4(kind, address, port):
    return attr(kind, struct.pack(">BBH", 4, 0, port) + socket.inet_aton(address))


def message(kind, ident, *attributes):
    body = b"".join(attributes)
    return struct.pack("<HHIQ", kind, 0, 16 + len(body), ident) + body


def parse(data):
    kind, flags, length, ident = struct.unpack_from("<HHIQ", data)
    assert flags == 0 and length == len(data)
    attributes, at = {}, 16
    while at < length:
        attribute, size = struct.unpack_from("<HH", data, at)
        attributes.setdefault(attribute, []).append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return kind, ident, attributes


def failure(code, stage, detail="", hop=0):
    attributes = [u32(CODE, code), u8(STAGE, stage)]
    if hop:
        attributes.append(u8(HOP, hop))
    if detail:
        attributes.append(attr(DETAIL, detail))
    return attributes


FAILURES = {
    "denied.test": failure(20, 2, "no rule"),
    "refused.test": failure(40, 4, "127.0.0.1:9"),
    "expired.test": failure(70, 6, "CN=expired.test"),
    "slow.test": failure(11, 4),
    "proxyauth.test": failure(50, 5, "", 1),
    "proxyrefused.test": failure(51, 5, "status 503", 2),
    "gone.test": failure(30, 3),
    "nokernel.test": failure(90, 9, "the kernel has no TLS"),
    "rude.test": failure(42, 4, "\\x1b[2J"),
}


class Daemon:
    def __init__(self, directory):
        self.path = os.path.join(directory, "fdial.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.requests = []
        self.received = {}
        self.chain = []
        self.threads = []
        self.has_ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                session, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(session,), daemon=True).start()

    def serve(self, session):
        with session:
            while data := session.recv(65536):
                self.answer(session, *parse(data))

    def answer(self, session, kind, ident, attributes):
        if kind == HELLO:
            session.send(message(WELCOME, 0, u16(VERSION, 1), attr(SOFTWARE, "fake/1"),
                                 u32(MESSAGE_MAX, 16384), u32(PENDING_MAX, 8), u32(COUNT_MAX, 4)))
        elif kind == OPEN:
            session.send(message(OPENED, 0, u32(CODE, 0)))
        elif kind == STATUS:
            session.send(message(STATUS_REPLY, ident, attr(STAT, "version=1.2"),
                                 attr(STAT, "workers=2"), attr(STAT, "sqpoll=no")))
        elif kind == EXPLAIN:
            self.explain(session, ident, attributes)
        elif kind == CONNECT:
            self.requests.append(attributes)
            self.connect(session, ident, attributes[TARGET][0].decode())

    def explain(self, session, ident, attributes):
        if b"silent.test" in attributes[TARGET][0]:
            return
        if AS_USER in attributes:
            reply = [u32(CODE, 20), attr(DETAIL, "as " + attributes[AS_USER][0].decode())]
        elif b"denied" in attributes[TARGET][0]:
            reply = [u32(CODE, 20), attr(WHO, "uid 7"), attr(RULE, "ci"),
                     attr(DETAIL, "target is denied")]
        else:
            reply = [u32(CODE, 0), attr(WHO, "uid 7 unit ci.service"), attr(RULE, "ci"),
                     attr(PLAN, "resolve > connect > handoff")]
        session.send(message(EXPLAINED, ident, *reply))

    def connect(self, session, ident, target):
        host = target.split("://")[1].split("/")[0].split(":")[0]
        if host == "silent.test":
            return
        if host in FAILURES:
            chain = [attr(CERT, c) for c in self.chain] if host == "expired.test" else []
            session.send(message(RESULT, ident, *FAILURES[host], *chain))
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        attributes = [u32(CODE, 0), u8(HANDOFF, RELAY), ipv4(PEER, "192.0.2.7", 443),
                      ipv4(LOCAL, "192.0.2.1", 50000), attr(TIME, struct.pack("<BBI", 3, 0, 1500)),
                      attr(TIME, struct.pack("<BBI", 4, 1, 20250))]
        if target.startswith("https"):
            attributes += [u16(TLS_VERSION, 0x304), attr(TLS_CIPHER, "TLS_AES_128_GCM_SHA256"),
                           attr(ALPN, "http/1.1")] + [attr(CERT, c) for c in self.chain]
        if host == "why.test":
            attributes += [attr(HANDOFF_REASON, b"the kernel has no \x1bTLS"), u8(TLS_RESUMED, 1)]
        if target.startswith("ws"):
            attributes.append(attr(RESPONSE, b"HTTP/1.1 101 \x1b[31mred\r\nA: b\r\n\r\n"))
        peer = getattr(self, "peer_" + host.split(".")[0].replace("-", "_"), self.peer_echo)
        threading.Thread(target=peer, args=(ours,), daemon=True).start()
        socket.send_fds(session, [message(RESULT, ident, *attributes)], [theirs.fileno()])
        theirs.close()
        if host != "no-notice.test":
            end = {"cut.test": 2, "idle.test": 4}.get(host, 1)
            session.send(message(ENDED, ident, u8(END, end), u8(INDEX, 0), attr(SENT, bytes(8)),
                                 attr(RECEIVED, bytes(8))))

    def read_all(self, connection, name):
        data = b""
        while piece := connection.recv(65536):
            data += piece
        self.received[name] = data
        self.has_ended.set()

    def peer_echo(self, connection):
        with connection, contextlib.suppress(BrokenPipeError):
            while piece := connection.recv(65536):
                connection.sendall(piece)
            connection.sendall(b"bye")

    def peer_upload(self, connection):
        with connection:
            connection.shutdown(socket.SHUT_WR)
            self.read_all(connection, "upload")

    def peer_download(self, connection):
        with connection, contextlib.suppress(BrokenPipeError):
            connection.sendall(BLOB)

    def peer_hello(self, connection):
        with connection:
            connection.sendall(b"hello\n")
            self.read_all(connection, "hello")

    def peer_refuse(self, connection):
        with connection:
            connection.recv(1)
            connection.sendall(b"too large\n")

    def peer_gone_at_once(self, connection):
        connection.close()


BLOB = bytes((i * 7 + (i >> 8)) & 255 for i in range(3 << 20))


def ticks_of(pid):
    """CPU time used, in hundredths of a second."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class CliTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="fdial-cli-")
        self.daemon = Daemon(self.directory)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("FDIAL_")}
        self.environment["FDIAL_SOCKET"] = self.daemon.path

    def tearDown(self):
        self.daemon.listener.close()
        shutil.rmtree(self.directory)

    def fdial(self, *arguments, stdin=b"", **more):
        environment = {**self.environment, **more.pop("environment", {})}
        return subprocess.run([FDIAL, *arguments], input=stdin, capture_output=True, timeout=60,
                              env=environment, **more)

    def expect(self, run, status, stderr=None):
        self.assertEqual((run.returncode, run.stderr.decode()),
                         (status, run.stderr.decode() if stderr is None else stderr))
        return run.stdout

    def test_usage(self):
        self.assertIn(b"fdial check", self.expect(self.fdial("--help"), 0))
        self.assertIn(b"--subprotocol", self.expect(self.fdial("check", "--help"), 0))
        self.assertRegex(self.expect(self.fdial("--version"), 0), rb"^fdial \d+\.\d+")
        for arguments in ((), ("nonsense",), ("connect",), ("connect", "a", "b"), ("fdpass", "a"),
                          ("exec", "tcp://echo.test:1"), ("status", "x"), ("status", "--as", "x"),
                          ("check", "--timeout", "0", "tcp://a:1"), ("check", "--bogus"),
                          ("check", "--timeout", "1x", "tcp://a:1"), ("check", "--timeout"),
                          ("check", "--handoff", "udp", "tcp://a:1"),
                          ("check", "--header", "a\nb: c", "tcp://a:1"),
                          ("check", "--alpn", "a,,b", "tcp://a:1")):
            with self.subTest(arguments):
                self.assertNotEqual(self.fdial(*arguments).stderr, b"")
                self.assertEqual(self.fdial(*arguments).returncode, 2)
        for arguments, named in ((("explain", "--timeout", "3", "tcp://a:1"), b"--timeout\n"),
                                 (("status", "-v4"), b"-4\n"), (("check", "-x4"), b"-x\n"),
                                 (("check", "--bogus"), b"--bogus\n"),
                                 (("check", "--json=1"), b"--json takes no value\n"),
                                 (("connect", "--json=1"), b"no such option here: --json\n")):
            with self.subTest(arguments):
                self.assertIn(named, self.fdial(*arguments).stderr)
        self.assertEqual(self.daemon.requests, [])

    def test_bad_target(self):
        run = self.fdial("check", "tcp://host.test")
        self.assertEqual(run.returncode, 2)
        self.assertRegex(run.stderr.decode(), r"^fdial: tcp://host.test: request: \w.*\n$")
        run = self.fdial("check", "tcp://\x1b[31m:1")
        self.assertNotIn(b"\x1b", run.stderr)

    def test_exit_statuses(self):
        for host, status, error in (
                ("denied", 4, "policy: denied by policy: no rule"),
                ("refused", 1, "connect: connection refused: 127.0.0.1:9"),
                ("expired", 5, "tls: certificate has expired: CN=expired.test"),
                ("slow", 6, "connect: deadline passed"),
                ("proxyauth", 7, "proxy (proxy 1): proxy refused the credentials"),
                ("proxyrefused", 7, "proxy (proxy 2): proxy refused the connection: status 503"),
                ("gone", 1, "resolve: no such name")):
            target = f"https://{host}.test"
            for command in (("connect", target), ("check", target), ("exec", target, "--", "true")):
                with self.subTest(command):
                    self.expect(self.fdial(*command), status, f"fdial: {target}: {error}\n")

    def test_no_daemon(self):
        missing = os.path.join(self.directory, "missing.sock")
        run = self.fdial("connect", "--socket", missing, "tcp://a.test:1")
        self.expect(run, 3, f"fdial: tcp://a.test:1: daemon: no daemon at {missing}; "
                            "is fdiald running?\n")
        run = self.fdial("status", environment={"FDIAL_FD": "0"})
        self.assertEqual(run.returncode, 3)
        self.assertIn(b"$FDIAL_FD", run.stderr)
        self.expect(self.fdial("status", "--socket", ""), 3,
                    "fdial: status: daemon: --socket or $FDIAL_SOCKET is empty\n")
        self.assertIn(b"longer than 107 bytes",
                      self.fdial("status", environment={"FDIAL_SOCKET": "/" + 107 * "x"}).stderr)

    def test_silent_daemon(self):
        run = self.fdial("check", "--timeout", "1", "tcp://silent.test:1")
        self.expect(run, 6, "fdial: tcp://silent.test:1: daemon: the daemon does not answer\n")
        run = self.fdial("explain", "tcp://silent.test:1")
        self.expect(run, 6, "fdial: tcp://silent.test:1: daemon: Connection timed out\n")

    def test_options_are_sent(self):
        self.expect(self.fdial("check", "wss://echo.test/chat", "--timeout", "7", "-6", "--alpn",
                               "a,b", "--tls-name", "b\u00fccher.test", "--handoff", "relay",
                               "--header", "X: 1", "--header", "Y: 2", "--subprotocol", "p"), 0)
        request = self.daemon.requests[0]
        self.assertEqual(request[TARGET], [b"wss://echo.test/chat"])
        self.assertEqual(request[TIMEOUT_MS], [struct.pack("<I", 7000)])
        self.assertEqual(request[FAMILY], [b"\6"])
        self.assertEqual(request[ALPN], [b"a", b"b"])
        self.assertEqual(request[TLS_NAME], [b"xn--bcher-kva.test"])
        self.assertEqual(request[HANDOFF], [b"\4"])
        self.assertEqual(request[HEADER], [b"X: 1", b"Y: 2"])
        self.assertEqual(request[SUBPROTOCOL], [b"p"])

    def test_names_in_other_scripts(self):
        self.fdial("check", "https://Stra\u00dfe.test:8443")
        self.assertEqual(self.daemon.requests[0][TARGET], [b"https://xn--strae-oqa.test:8443"])
        # A fullwidth solidus or colon would be mapped to one that ends the host.
        for target in ("tcp://a\uff0f.test:1", "tcp://a\uff1a2.test:1", "tcp://\uff0e.test:1"):
            self.assertEqual(self.fdial("check", target).returncode, 2, target)
        self.assertEqual(len(self.daemon.requests), 1)

    def test_connect_echoes(self):
        for data in (b"", b"one line\n", BLOB):
            out = self.expect(self.fdial("connect", "tcp://echo.test:1", stdin=data), 0, "")
            self.assertEqual(len(out), len(data) + 3)
            self.assertTrue(out == data + b"bye")

    def test_connect_one_way(self):
        self.expect(self.fdial("connect", "tcp://upload.test:1", stdin=BLOB), 0, "")
        self.assertTrue(self.daemon.has_ended.wait(60))
        self.assertTrue(self.daemon.received["upload"] == BLOB)
        out = self.expect(self.fdial("connect", "tcp://download.test:1"), 0, "")
        self.assertTrue(out == BLOB)

    def test_connect_hears_a_refusal(self):
        """The peer answers and closes while there is still much to send."""
        run = self.fdial("connect", "tcp://refuse.test:1", stdin=BLOB)
        self.assertEqual((run.returncode, run.stdout), (1, b"too large\n"))
        self.assertIn(b"fdial: tcp://refuse.test:1: connection: ", run.stderr)

    def test_connect_tells_how_it_ended(self):
        for host, status, error in (("cut", 1, b"connection: the peer ended without the end of TLS"),
                                    ("idle", 1, b"connection: ended by the daemon: idle"),
                                    ("no-notice", 0, b"")):
            run = self.fdial("connect", f"tls://{host}.test:1", stdin=b"data")
            self.assertEqual((run.returncode, run.stdout), (status, b"databye"))
            self.assertIn(error, run.stderr)
            self.assertEqual(run.stderr.count(b"\n"), status)

    def test_connect_without_stdin(self):
        run = subprocess.run(["sh", "-c", '"$0" connect tcp://hello.test:1 <&-', FDIAL],
                             capture_output=True, timeout=60, env=self.environment)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, b"hello\n", b""))
        with open("/dev/null", "rb") as null:
            run = subprocess.run([FDIAL, "connect", "tcp://hello.test:1"], stdin=null,
                                 capture_output=True, timeout=60, env=self.environment)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, b"hello\n", b""))

    def test_connect_over_one_socket(self):
        """stdin and stdout are the same socket, as rsync starts it."""
        ours, theirs = socket.socketpair()
        with ours:
            child = subprocess.Popen([FDIAL, "connect", "tcp://echo.test:1"], stdin=theirs,
                                     stdout=theirs, env=self.environment)
            theirs.close()
            ours.sendall(b"ping")
            self.assertEqual(ours.recv(4), b"ping")
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(ours.recv(16), b"bye")
            self.assertEqual(ours.recv(16), b"")
            self.assertEqual(child.wait(60), 0)

    def test_connect_ends_with_the_connection(self):
        """stdin stays open and idle; the peer is gone altogether."""
        child = subprocess.Popen([FDIAL, "connect", "tcp://gone-at-once.test:1"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env=self.environment)
        self.assertEqual(child.wait(60), 0)
        child.stdin.close()
        child.stdout.close()

    def test_connect_with_a_reader_that_leaves(self):
        child = subprocess.Popen([FDIAL, "connect", "tcp://download.test:1"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.environment)
        child.stdout.read(10)
        child.stdout.close()
        self.assertEqual(child.wait(60), 1)
        self.assertIn(b"stdout", child.stderr.read())
        child.stderr.close()

    def test_connect_is_idle_when_nothing_moves(self):
        child = subprocess.Popen([FDIAL, "connect", "tcp://hello.test:1"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, env=self.environment)
        self.assertEqual(child.stdout.readline(), b"hello\n")
        before = ticks_of(child.pid)
        time.sleep(0.5)
        self.assertLess(ticks_of(child.pid) - before, 5)
        child.stdin.close()
        child.stdout.close()
        self.assertEqual(child.wait(60), 0)

    def make_certificate(self):
        der = os.path.join(self.directory, "cert.der")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                        os.path.join(self.directory, "key.pem"), "-outform", "DER", "-out", der,
                        "-days", "30", "-subj", "/O=T\u00e4st \x1b[1m/CN=host.test", "-utf8",
                        "-addext", "subjectAltName=DNS:host.test,IP:192.0.2.7,IP:2001:db8::1,"
                        "URI:spiffe://a/b"], check=True, capture_output=True)
        with open(der, "rb") as file:
            return file.read()

    def test_check_text(self):
        self.daemon.chain = [self.make_certificate(), b"not a certificate"]
        out = self.expect(self.fdial("check", "https://host.test"), 0, "").decode()
        for text in ("resolve          1.500 ms\n", "connect         20.250 ms  (proxy 1)\n",
                     "address     192.0.2.7:443  (proxy 1)\n", "tls         1.3\n", "alpn        http/1.1\n",
                     "name      DNS:host.test\n", "name      IP:2001:db8::1\n",
                     "certificate 1 is not readable\n", "hand-over   relay\n"):
            self.assertIn(text, out)
        self.assertNotIn("\x1b", out)
        out = self.expect(self.fdial("check", "ws://host.test"), 0, "").decode()
        self.assertIn("  HTTP/1.1 101 \\x1b[31mred\n  A: b\n", out)

    def test_check_json(self):
        self.daemon.chain = [self.make_certificate()]
        report = json.loads(self.expect(self.fdial("check", "--json", "https://host.test"), 0, ""))
        self.assertEqual((report["ok"], report["status"], report["error"]), (True, 0, None))
        self.assertEqual(report["target"], "https://host.test")
        self.assertEqual(report["stages"], [{"stage": "resolve", "hop": 0, "us": 1500},
                                            {"stage": "connect", "hop": 1, "us": 20250}])
        self.assertEqual((report["peer"], report["local"]), ("192.0.2.7:443", "192.0.2.1:50000"))
        self.assertEqual(report["tls"], {"version": "1.3", "cipher": "TLS_AES_128_GCM_SHA256",
                                         "alpn": "http/1.1", "resumed": False})
        self.assertEqual((report["handoff"], report["warm"]), ("relay", False))
        self.assertIsNone(report["handoff_reason"])
        certificate = report["certificates"][0]
        self.assertEqual(certificate["names"], ["DNS:host.test", "IP:192.0.2.7", "IP:2001:db8::1",
                                                "URI:spiffe://a/b"])
        self.assertIn("CN=host.test", certificate["subject"])
        self.assertRegex(certificate["not_after"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(certificate["sha256"], r"^[0-9a-f]{64}$")
        run = self.fdial("check", "--json", "https://expired.test")
        report = json.loads(run.stdout)
        self.assertEqual((run.returncode, report["ok"], report["status"]), (5, False, 5))
        self.assertEqual(report["error"], {
            "stage": "tls", "hop": 0, "code": 70, "name": "CERT_EXPIRED",
            "message": "certificate has expired: CN=expired.test"})
        self.assertEqual(len(report["certificates"]), 1)

    def test_check_tells_why_it_is_a_relay(self):
        check = "check", "--handoff", "ktls,relay"
        out = self.expect(self.fdial(*check, "https://why.test"), 0, "").decode()
        self.assertIn("\nhand-over   relay (the kernel has no \\x1bTLS)\n", out)
        self.assertIn("\ntls         1.3, resumed\n", out)
        self.assertEqual(self.daemon.requests[0][HANDOFF], [bytes([KTLS | RELAY])])
        report = json.loads(self.expect(self.fdial(*check, "--json", "https://why.test"), 0, ""))
        self.assertEqual(report["handoff_reason"], "the kernel has no \\x1bTLS")
        self.assertIs(report["tls"]["resumed"], True)

    def test_kernel_tls_or_nothing(self):
        run = self.fdial("connect", "--handoff", "ktls", "https://nokernel.test")
        self.expect(run, 1, "fdial: https://nokernel.test: handoff: cannot hand over as asked: "
                    "the kernel has no TLS\n")
        self.assertEqual(self.daemon.requests[0][HANDOFF], [bytes([KTLS])])

    def test_exec_ucspi(self):
        script = ('echo "$PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPREMOTEHOST $TCPLOCALIP '
                  '$TCPLOCALPORT"; echo ping >&7; read line <&6; echo "$line"; '
                  'ls -l /proc/$$/fd >&2; exit 42')
        run = self.fdial("exec", "tcp://echo.test:1", "--", "bash", "-c", script)
        self.assertEqual(run.stdout, b"TCP 192.0.2.7 443 echo.test 192.0.2.1 50000\nping\n")
        self.assertEqual(run.returncode, 42)
        sockets = [line.split()[8] for line in run.stderr.decode().splitlines() if "socket:" in line]
        self.assertEqual(sockets, ["6", "7"])  # and not the session

    def test_exec_fd(self):
        for fd in ("3", "4", "0", "9"):
            run = self.fdial("exec", "tcp://hello.test:1", "--fd", fd, "--", "bash", "-c",
                             f"read line <&{fd}; echo $line")
            self.assertEqual((run.returncode, run.stdout), (0, b"hello\n"), fd)

    def test_exec_status(self):
        self.assertEqual(self.fdial("exec", "tcp://echo.test:1", "--", "/nonexistent").returncode,
                         127)
        self.assertEqual(self.fdial("exec", "tcp://echo.test:1", "--", "/etc/passwd").returncode,
                         126)
        run = self.fdial("exec", "tcp://echo.test:1", "--", "sh", "-c", "kill -TERM $$")
        self.assertEqual(run.returncode, -signal.SIGTERM)

    def test_exec_keeps_an_inherited_session(self):
        session = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with session:
            session.connect(self.daemon.path)
            run = self.fdial("exec", "tcp://echo.test:1", "--", "bash", "-c",
                             'echo "[$FDIAL_FD]"; ls -l /proc/$$/fd | grep -c socket:',
                             environment={"FDIAL_FD": str(session.fileno())},
                             pass_fds=[session.fileno()])
        self.assertEqual(run.stdout, b"[]\n2\n")

    def test_fdpass(self):
        ours, theirs = socket.socketpair()
        with ours:
            child = subprocess.Popen([FDIAL, "fdpass", "echo.test", "22"], stdout=theirs,
                                     env=self.environment)
            theirs.close()
            self.assertEqual(child.wait(60), 0)
            data, ancillary, _, _ = ours.recvmsg(16, socket.CMSG_SPACE(8))
            self.assertEqual(data, b"\0")
            self.assertEqual(len(ancillary), 1)
            fds = array.array("i", ancillary[0][2])
            self.assertEqual(len(fds), 1)
            with socket.socket(fileno=fds[0]) as connection:
                connection.sendall(b"ping")
                self.assertEqual(connection.recv(4), b"ping")
            self.assertEqual(ours.recv(1), b"")
        self.assertEqual(self.daemon.requests[0][TARGET], [b"tcp://echo.test:22"])
        run = self.fdial("fdpass", "echo.test", "22")
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"stdout is not a socket", run.stderr)

    def test_bad_values(self):
        for option, value, takes in (("--tls-name", "a b", "a host name or an address"),
                                     ("--header", "X", "'name:value', 32 times at most"),
                                     ("--subprotocol", "a b", "a word, 8 times at most")):
            self.expect(self.fdial("check", option, value, "wss://host.test"), 2,
                        f"fdial: wss://host.test: request: bad value of {option}: it takes {takes}\n")

    def test_explain(self):
        out = self.expect(self.fdial("explain", "https://host.test"), 0, "")
        self.assertEqual(out, b"client: uid 7 unit ci.service\nrule: ci\nplan: resolve > connect > handoff\n")
        out = self.expect(self.fdial("explain", "https://denied.test"), 4,
                    "fdial: https://denied.test: policy: denied by policy: target is denied (rule ci)\n")
        self.assertEqual(out, b"client: uid 7\n")
        self.expect(self.fdial("explain", "--as", "bob", "https://host.test"), 4,
                    "fdial: https://host.test: policy: denied by policy: as bob\n")
        self.expect(self.fdial("explain", "--as", "", "https://host.test"), 2,
                    "fdial: https://host.test: request: --as takes a user's name or number\n")

    def test_status(self):
        self.assertEqual(self.expect(self.fdial("status"), 0, ""),
                         b"version=1.2\nworkers=2\nsqpoll=no\n")
        self.assertEqual(json.loads(self.expect(self.fdial("status", "--json"), 0, "")),
                         {"version": "1.2", "workers": 2, "sqpoll": "no"})

    def test_escapes_once(self):
        report = json.loads(self.fdial("check", "--json", "tcp://rude.test:1").stdout)
        self.assertEqual(report["error"]["message"], "connection reset: \\x1b[2J")

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            run = subprocess.run([FDIAL, "status"], stdout=full, stderr=subprocess.PIPE,
                                 timeout=60, env=self.environment)
        self.assertEqual(run.returncode, 1)


if __name__ == "__main__":
    if not os.access(FDIAL, os.X_OK):
        sys.exit(f"{FDIAL} is not there")
    unittest.main()
