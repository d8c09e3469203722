#!/usr/bin/env python3
"""The metrics by HTTP on a socket of their own: for scrapers, as they should be and as they should not."""
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import time

import fdialtest
import metrics
import rig

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TIMEOUT_S = 10  # METRICS_TIMEOUT_S
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def curl(path, *args, url="http://localhost/metrics"):
    return subprocess.run(["curl", "-sS", "--max-time", str(rig.WAIT_S), "--unix-socket", path, *args, url],
                          capture_output=True, check=False)


def connect(path):
    """Waits for a place in the backlog."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(rig.WAIT_S)

    def is_connected():
        try:
            s.connect(path)
        except BlockingIOError:
            return False
        return True

    fdialtest.wait_until(is_connected, rig.WAIT_S, "a place")
    return s


def ask(path, request=GET):
    """All that is answered."""
    with connect(path) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := s.recv(65536):
                answer += part
        return answer


def status_of(answer):
    return int(answer.split()[1]) if answer else None


class Metrics(rig.Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory(), "metrics.sock")
        self.echo = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.echo.port}"

    def config(self, path=None, more=""):
        return f'workers = 2\nmetrics = "{path or self.path}"\n{more}' + rig.rule()

    def start(self):
        daemon = self.start_daemon(self.config())
        daemon.wait_log("fdiald: version ")  # it comes when all is there
        return daemon

    def use(self, daemon):
        """One connection, for which nobody may have to wait for long."""
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            begin = time.monotonic()
            s.dial(self.target).close()
            return time.monotonic() - begin

    def mode(self):
        st = os.stat(self.path)
        return stat.S_IMODE(st.st_mode), st.st_gid

    def test_scrape(self):
        fdialtest.need_command("curl")
        daemon = self.start()
        self.use(daemon)
        done = curl(self.path, "-w", "%{stderr}%{json}")
        report = json.loads(done.stderr)
        self.assertEqual((report["http_code"], report["content_type"]), (200, CONTENT_TYPE))
        text = done.stdout.decode()
        self.assertEqual(metrics.parse(text)["fdial_connections_total", ("test", "tcp")], 1)
        metrics.check_with_promtool(text)
        # as the other way gives it
        printed = daemon.run_cli(["status", "--openmetrics"]).stdout.decode()
        self.assertEqual([line for line in printed.splitlines() if line[0] == "#"],
                         [line for line in text.splitlines() if line[0] == "#"])

    def test_documented(self):
        """fdiald(8) has every name."""
        self.start()
        with open(os.path.join(fdialtest.SRCDIR, "daemon/fdiald.8"), encoding="utf-8") as f:
            manual = set(f.read().replace(",", " ").split())
        names = {name for name, _ in metrics.parse(curl(self.path).stdout.decode())}
        self.assertEqual(names - manual, set())

    def test_methods(self):
        daemon = self.start()
        head = ask(self.path, GET.replace(b"GET", b"HEAD"))
        self.assertEqual(status_of(head), 200)
        self.assertTrue(head.endswith(b"\r\n\r\n"), head)
        for request, wanted in (
                (GET.replace(b"GET", b"DELETE"), 405),
                (GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"), 405),
                (GET.replace(b"/metrics", b"/"), 404), (GET.replace(b"/metrics", b"/metrics/"), 404),
                (GET.replace(b"/metrics", b"/../metrics"), 404),
                (GET.replace(b"GET /metrics", b"POST /other"), 404)):
            answer = ask(self.path, request)
            self.assertEqual(status_of(answer), wanted, (request, answer))
        self.assertIn(b"Allow: GET, HEAD\r\n", ask(self.path, GET.replace(b"GET", b"PUT")))
        self.assertEqual(status_of(ask(self.path, GET.replace(b"/metrics", b"/metrics?x=y"))), 200)
        self.use(daemon)

    def test_hostile(self):
        """Slow ones, garbage, too much of everything: connections are set up as before, and whoever comes
        after them is answered."""
        daemon = self.start()
        state = rig.State(daemon)
        rss = daemon.rss_kib()
        for garbage in (b"\0" * 100000, b"GET " + b"/" * 1000000, os.urandom(5000), b"\r\n" * 1000,
                        GET[:-2] + b"X: y\r\n" * 100000, b"GET /metrics HTTP/9.9\r\n\r\n",
                        GET[:-2] + b"X: " + b"z" * 1000000 + b"\r\n\r\n"):
            answer = ask(self.path, garbage)
            self.assertNotEqual(status_of(answer), 200, (garbage[:40], answer[:80]))
            self.use(daemon)
        with contextlib.ExitStack() as stack:
            slow = []
            for i in range(64):  # as many as may wait
                s = stack.enter_context(connect(self.path))
                s.setblocking(False)
                slow.append(s)
                if i % 2:
                    s.send(GET[:20])
            for _ in range(10):
                for s in slow:
                    with contextlib.suppress(OSError):
                        s.send(b"X")
                self.assertLess(self.use(daemon), rig.WAIT_S / 2)
            fdialtest.wait_until(lambda: rig.status(daemon)["requests_now"] == "0", rig.WAIT_S, "the last one's end")
        # also one that asks and does not read
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(connect(self.path)).sendall(GET * 20)
            self.use(daemon)
        self.assertEqual(status_of(ask(self.path)), 200)
        self.assertLess(daemon.rss_kib() - rss, 50 * 1024)
        state.check()

    def test_silent_ones_make_room(self):
        """Those that say nothing are closed, all of them, and then there is room."""
        self.start()
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(connect(self.path)) for _ in range(8)]
            begin = time.monotonic()
            self.assertEqual(status_of(ask(self.path)), 200)
            self.assertLess(time.monotonic() - begin, 3 * TIMEOUT_S)
            for s in silent:
                self.assertEqual(s.recv(1), b"")

    def test_end(self):
        """Scrapers do not keep the daemon from ending, and the file goes with it."""
        daemon = self.start()
        with contextlib.ExitStack() as stack:
            for i in range(8):
                stack.enter_context(connect(self.path)).sendall(GET[:i])
            begin = time.monotonic()
            daemon.stop()
            self.assertLess(time.monotonic() - begin, TIMEOUT_S)
        self.assertFalse(os.path.exists(self.path))

    def test_draining(self):
        """While relays end, the metrics go on."""
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            relay = self.dial(s, self.target, handover=rig.RELAY)
        daemon.process.send_signal(signal.SIGTERM)
        fdialtest.wait_until(lambda: not os.path.exists(daemon.socket) or
                             b"\nfdial_sessions 0\n" in ask(self.path), rig.WAIT_S)
        self.assertIn(b"\nfdial_relays 1\n", ask(self.path))
        relay.close()
        self.assertEqual(daemon.process.wait(rig.WAIT_S), 0)
        daemon.is_ended = True

    def test_permissions(self):
        fdialtest.need_root()
        group = fdialtest.CLIENT_UID
        daemon = self.start()
        self.assertEqual(self.mode()[0], 0o600)

        def try_it():
            try:
                return status_of(ask(self.path))
            except PermissionError:
                return "refused"

        self.assertEqual(fdialtest.call_as(try_it, uid=fdialtest.CLIENT_UID), "refused")
        daemon.write_config(self.config(more=f'metrics-group = "{group}"\n'))
        daemon.reload()
        fdialtest.wait_until(lambda: self.mode() == (0o660, group), rig.WAIT_S)
        self.assertEqual(fdialtest.call_as(try_it, uid=fdialtest.CLIENT_UID), "200")
        daemon.write_config(self.config())
        daemon.reload()
        fdialtest.wait_until(lambda: self.mode()[0] == 0o600, rig.WAIT_S)

    def test_reload(self):
        """Another path takes effect; one that cannot be had leaves what there was; none ends it."""
        daemon = self.start()
        other = os.path.join(self.directory(), "other.sock")
        daemon.write_config(self.config("/proc/metrics.sock"))
        daemon.reload()
        daemon.wait_log("fdiald: metrics: /proc/metrics.sock: ")
        self.assertEqual(status_of(ask(self.path)), 200)
        daemon.write_config(self.config(other))
        daemon.reload()
        fdialtest.wait_until(lambda: not os.path.exists(self.path), rig.WAIT_S)
        self.assertEqual(status_of(ask(other)), 200)
        daemon.write_config(rig.rule())
        daemon.reload()
        fdialtest.wait_until(lambda: not os.path.exists(other), rig.WAIT_S)
        self.use(daemon)

    def test_left_over(self):
        """A socket that nobody listens on is replaced; one in use, or another file, is not, and the daemon
        does its work without."""
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.path)
        first = self.start()
        self.assertEqual(status_of(ask(self.path)), 200)
        second = self.start()
        self.assertIn("another daemon listens here", second.log())
        self.use(second)
        second.stop()
        self.assertEqual(status_of(ask(self.path)), 200)
        first.stop()
        with open(self.path, "w", encoding="ascii") as f:
            f.write("precious")
        third = self.start()
        self.assertIn(f"metrics: {self.path}: is no socket; remove it", third.log())
        self.use(third)
        third.stop()
        self.assertEqual(os.path.getsize(self.path), 8)


if __name__ == "__main__":
    fdialtest.main()
