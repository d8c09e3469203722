"""Names that lead nowhere and origins that misbehave: each its own error in its own stage, within the
deadline, with the exit status and the one line that people see."""
# time-limit: 180
import contextlib
import json
import os
import ssl
import threading
import time

import fdialtest
import rig

DONE, FAILED, USAGE, DENIED, NOT_TRUSTED, TIMED_OUT = 0, 1, 2, 4, 5, 6
SLACK_S = 40 if fdialtest.IS_SLOW else 15
SCRIPT = """\
gone.test 30 NXDOMAIN
nodata.test 30 NODATA
v4.test 30 A 127.0.0.1
servfail.test - RCODE 2
refused.test - RCODE 5
silent.test - SILENT
garbage.test - GARBAGE
wrong.test - WRONG-NAME
reset.test - TRUNCATE
reset.test - RESET
loop.test 30 CNAME loop.test
"""
HELLO_HEAD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"  # a ServerHello of 16 KiB begins


class Endless(fdialtest.Origin):
    """Sends the piece again and again, for as long as somebody takes it."""

    def __init__(self, piece, first=b"", **kwargs):
        self._first, self._piece = first, piece * (1 + 65536 // len(piece))
        super().__init__(**kwargs)

    def serve(self, conn):
        conn.sendall(self._first)
        while True:
            conn.sendall(self._piece)


class Dribbling(fdialtest.Origin):
    """A handshake that goes on and on: a byte now and then, right ones so far."""

    def __init__(self, **kwargs):
        self.is_over = threading.Event()
        super().__init__(**kwargs)

    def serve(self, conn):
        for byte in HELLO_HEAD + b"\x03\x03" + bytes(10000):
            conn.sendall(bytes([byte]))
            if self.is_over.wait(0.05):
                return

    def stop(self):
        self.is_over.set()
        super().stop()


class HostileOrigin(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()

    def setUp(self):
        super().setUp()
        self.names = self.name_server(SCRIPT)
        self.good = self.serve(fdialtest.Tls(*self.certificate))
        config = f'workers = 2\nnameservers = "127.0.0.1:{self.names.port}"\n' \
            f'tls "t" {{ ca-file = "{self.authority.certificate}" }}\n' + rig.rule(tls='"t"')
        self.daemon = self.start_daemon(config)
        self.state = rig.State(self.daemon)

    def tearDown(self):
        self.close_all()
        with contextlib.closing(rig.Session(self.daemon.socket)) as s:  # the good one still works
            with contextlib.closing(s.dial(f"tls://localhost:{self.good.port}")) as c:
                self.assert_echo(c)
        self.state.check(spare_fds=4)  # c-ares keeps sockets, per worker

    def assert_fails(self, target, code, stage, status, pattern, *args, timeout_s=None):
        if timeout_s:
            args = ("--timeout", str(timeout_s), *args)
        started = time.monotonic()
        done = self.daemon.run_cli(["check", target, "--json", *args])
        took_s = time.monotonic() - started
        self.assert_report(done, status, f"^fdial: {target}: {stage}: .*{pattern}")
        report = json.loads(done.stdout)
        self.assertEqual((report["status"], report["ok"]), (status, False))
        self.assertEqual((report["error"]["stage"], report["error"]["name"]), (stage, code), report)
        if timeout_s:
            self.assertGreaterEqual(report["elapsed_us"], timeout_s * 1e6 - 50e3)
        self.assertLess(took_s, (timeout_s or 0) + SLACK_S)

    def test_names(self):
        for name, code, pattern in (
                ("gone", "NO_NAME", "no such name"), ("nowhere", "NO_NAME", "no such name"),
                ("nodata", "NO_ADDRESS", "no usable address"),
                ("servfail", "RESOLVE_FAILED", "name server failed"),
                ("refused", "RESOLVE_FAILED", "name server failed"),
                ("garbage", "RESOLVE_FAILED", "name server failed"),
                ("reset", "RESOLVE_FAILED", "name server failed"),
                ("loop", "RESOLVE_FAILED", "name server failed")):
            with self.subTest(name):
                self.assert_fails(f"tcp://{name}.test:80", code, "resolve", FAILED, pattern)
        self.assert_fails("tcp://v4.test:80", "NO_ADDRESS", "resolve", FAILED, "IPv6", "-6")

    def test_silent_name_server(self):
        self.assert_fails("tcp://silent.test:80", "DEADLINE", "resolve", TIMED_OUT, "deadline passed",
                          timeout_s=1)
        m = self.session(self.daemon).connect("tcp://wrong.test:80", timeout_ms=200)
        self.assertEqual((m.code, m.stage), (11, "resolve"), m)

    def test_dead_name_server(self):
        self.names.stop()
        self.names.stop = lambda: None
        self.assert_fails("tcp://gone.test:80", "RESOLVE_FAILED", "resolve", FAILED,
                          "name server failed")

    def test_targets(self):
        for target in ("nonsense", "tcp://127.0.0.01:1", "http://user@h", "gopher://h", "tcp://h",
                       "unix:relative", "https://[::1", "tcp://h:0"):
            with self.subTest(target):
                done = self.daemon.run_cli(["connect", target])
                self.assert_report(done, USAGE, "fdial: ")
        done = self.daemon.run_cli(["connect", "tcp://a\x1b[31mb:1"])
        self.assertNotIn(b"\x1b", done.stderr)
        self.assertEqual(done.returncode, USAGE)

    def test_refused(self):
        port = self.serve(fdialtest.Closed()).port
        for target in (f"tcp://127.0.0.1:{port}", f"tls://localhost:{port}"):
            self.assert_fails(target, "REFUSED", "connect", FAILED, "connection refused")

    def test_blackholed(self):
        port = self.serve(fdialtest.BlackHole()).port
        self.assert_fails(f"tcp://127.0.0.1:{port}", "DEADLINE", "connect", TIMED_OUT,
                          "deadline passed", timeout_s=1)
        m = self.session(self.daemon).connect(f"tls://127.0.0.1:{port}", timeout_ms=200)
        self.assertEqual((m.code, m.stage), (11, "connect"), m)

    def test_not_tls(self):
        for what, said in {"starts with .*HTTP/1.1 400": b"HTTP/1.1 400 Bad Request\r\n\r\n",
                           "starts with .*SSH-2.0-x": b"SSH-2.0-x\r\n",
                           "starts with .*220 mx": b"220 mx ESMTP\r\n",
                           "starts with the bytes 00 ff": b"\x00\xffnothing\r\n" * 8,
                           "00 01 02 03": bytes(range(32)),
                           r"\[31m": b"\x15\x02\x1b[31m\r\n"}.items():
            with self.subTest(what):
                origin = self.serve(fdialtest.Garbage(said))
                target = f"tls://localhost:{origin.port}"
                if "31m" in what:
                    status, report = self.daemon.check(target)
                    self.assertEqual((status, report["error"]["stage"]), (FAILED, "tls"))
                    self.assertTrue(report["error"]["message"].isprintable())
                    continue
                self.assert_fails(target, "TLS_NOT_TLS", "tls", FAILED, f"does not speak TLS.*{what}")

    def test_says_nothing(self):
        origin = self.serve(fdialtest.Mute())
        self.assert_fails(f"tls://localhost:{origin.port}", "DEADLINE", "tls", TIMED_OUT,
                          "deadline passed", timeout_s=1)

    def test_reset(self):
        for after in (0, 10, 200):
            origin = self.serve(fdialtest.Resetting(after))
            self.assert_fails(f"tls://localhost:{origin.port}", "TLS_RESET", "tls", FAILED,
                              "reset the connection")

    def test_closed_at_once(self):
        origin = self.serve(fdialtest.Origin(lambda conn: conn.recv(65536)))
        self.assert_fails(f"tls://localhost:{origin.port}", "TLS_CLOSED", "tls", FAILED,
                          "closed the connection.*without an answer")

    def outcomes(self, origin_port, **spoiled):
        """What comes of a handshake that is spoiled after each n bytes, until it succeeds."""
        s = self.session(self.daemon)
        for n in range(1, 20000, 61):
            between = fdialtest.Between(origin_port, cut_after=n, **spoiled)
            try:
                m = s.connect(f"tls://localhost:{between.port}", timeout_ms=30000)
                if m.code == 0:
                    os.close(m.fds[0])
                    s.close()
                    return
                yield n, m
            finally:
                between.stop()
        self.fail("never succeeded")

    def test_cut_at_every_stage(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            origin = self.serve(fdialtest.Tls(*self.certificate, minimum=version, maximum=version))
            for spoiled, codes in (({}, (63,)), ({"is_reset": True}, (63, 65))):
                n_cuts, found = 0, set()
                for n, m in self.outcomes(origin.port, **spoiled):
                    with self.subTest(version=version, n=n, **spoiled):
                        self.assertEqual(m.stage, "tls", m)
                        self.assertIn(m.code, codes, m)
                    n_cuts, found = n_cuts + 1, found | {m.code}
                self.assertGreater(n_cuts, 8)
                self.assertEqual(found - {63}, {65} if spoiled else set())

    def test_stops_in_mid_handshake(self):
        for n in (1, 5, 60, 300, 700):
            between = self.serve(fdialtest.Between(self.good.port, cut_after=n, is_silent=True))
            s = self.session(self.daemon)
            m = s.connect(f"tls://localhost:{between.port}", timeout_ms=1500)
            self.assertEqual((m.code, m.stage), (11, "tls"), m)

    def test_dribbles(self):
        """Byte by byte: slow, but right."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            origin = self.serve(fdialtest.Tls(*self.certificate, minimum=version, maximum=version))
            between = self.serve(fdialtest.Between(origin.port, chunk=1))
            s = self.session(self.daemon)
            c = self.dial(s, f"tls://localhost:{between.port}")
            self.assert_echo(c, b"byte by byte")

    def test_never_ending_handshake(self):
        origin = self.serve(Dribbling())
        self.assert_fails(f"tls://localhost:{origin.port}", "DEADLINE", "tls", TIMED_OUT,
                          "deadline passed", timeout_s=1)

    def test_endless_data(self):
        rss_before = self.daemon.rss_kib()
        ccs, warning = b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x01\x5a"
        empty = b"\x16\x03\x03\x00\x00"
        for what, (piece, first) in {
                "text": (b"HTTP/1.1 200 OK\r\n", b""), "zeros": (bytes(1000), b""),
                "a long ServerHello": (b"\x16\x03\x03\x40\x00" + bytes(16384), HELLO_HEAD),
                "a certificate of 16 MB": (bytes(1000), b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff"),
                "change cipher spec": (ccs, b""), "warnings": (warning, b""),
                "empty records": (empty, b""), "application data": (b"\x17\x03\x03\x00\x01x", b""),
        }.items():
            with self.subTest(what):
                origin = self.serve(Endless(piece, first))
                s = self.session(self.daemon)
                started = time.monotonic()
                m = s.connect(f"tls://localhost:{origin.port}", timeout_ms=1000)
                self.assertLess(time.monotonic() - started, 1 + SLACK_S)
                self.assertEqual(m.stage, "tls", m)
                self.assertIn(m.code, (11, 60, 61, 62), m)  # deadline, not TLS, protocol, alert
                origin.stop()
        if not fdialtest.IS_SLOW:
            self.assertLess(self.daemon.rss_kib() - rss_before, 16 * 1024)

    def test_certificates(self):
        """Each with a reason and its own exit status."""
        for pattern, kwargs in {"has expired": {"days": (-9, -2)}, "not yet valid": {"days": (2, 9)},
                                "another name": {"sans": ["DNS:other.example"]}}.items():
            with self.subTest(pattern):
                origin = self.serve(fdialtest.Tls(*self.authority.issue(**kwargs)))
                done = self.daemon.run_cli(["connect", f"tls://localhost:{origin.port}"])
                self.assert_report(done, NOT_TRUSTED, f": tls: .*{pattern}")

    def test_no_daemon(self):
        done = fdialtest.run_cli(["connect", "tcp://127.0.0.1:1"],
                                 env={"FDIAL_SOCKET": self.daemon.directory + "/none"})
        self.assert_report(done, 3, "fdial: ")

    def test_many_at_once(self):
        """Bad ones do not delay a good one."""
        mute, hole = self.serve(fdialtest.Mute()), self.serve(fdialtest.BlackHole())
        endless = self.serve(Endless(b"\x14\x03\x03\x00\x01\x01"))
        bad = self.session(self.daemon)
        for _ in range(30):
            for target in (f"tls://localhost:{mute.port}", f"tcp://127.0.0.1:{hole.port}",
                           "tcp://silent.test:1"):
                bad.submit(target, timeout_ms=2000)
        for _ in range(4):
            bad.submit(f"tls://localhost:{endless.port}", timeout_ms=2000)
        s = self.session(self.daemon)
        for _ in range(10):
            started = time.monotonic()
            with contextlib.closing(s.dial(f"tls://localhost:{self.good.port}")) as c:
                self.assert_echo(c)
            self.assertLess(time.monotonic() - started, SLACK_S)
        results = [bad.recv() for _ in range(94)]
        self.assertTrue(all(m.kind == rig.RESULT and m.code for m in results))
        endless.stop()


if __name__ == "__main__":
    fdialtest.main()
