#!/usr/bin/env python3
"""What a person gets to read when a connection is not made in time, or does not end well; and that what
came until then is not lost."""
import os
import signal
import socket
import subprocess

import fdialtest

CONFIG = """
drain-timeout = 0
rule "any" {{
  client = "uid:{uid}" allow = {{ "tcp://127.0.0.1:*", "tls://localhost:*", "unix:{unix}" }}
  addresses = "loopback" tls = "ca" {more}
}}
tls "ca" {{ ca-file = "{ca}" }}
"""


def say_and_wait(conn):
    conn.sendall(b"hello\n")
    while conn.recv(100):
        pass


class Endings(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()

    def start(self, more="", unix="/nonexistent"):
        return self.start_daemon(CONFIG.format(uid=os.getuid(), ca=self.authority.certificate, more=more,
                                               unix=unix))

    def expect(self, daemon, target, status, stdout, message):
        done = daemon.run_cli(["connect", target])
        expected = f"fdial: {target}: {message}\n" if message else ""
        self.assertEqual((done.returncode, done.stdout, done.stderr.decode()), (status, stdout, expected))

    def test_of_the_peer(self):
        daemon = self.start()
        def hello(conn):
            conn.sendall(b"hello\n")
            # Until our side has ended: with something unread, close() would throw away what waits to be
            # sent.
            conn.recv(100)

        def hello_and_reset(conn):
            hello(conn)
            fdialtest.reset(conn)

        self.expect(daemon, f"tcp://127.0.0.1:{self.serve(fdialtest.Origin(hello)).port}", 0, b"hello\n", "")
        tls = self.serve(fdialtest.Tls(*self.certificate, hello))
        self.expect(daemon, f"tls://localhost:{tls.port}", 0, b"hello\n", "")
        cut = self.serve(fdialtest.Tls(*self.certificate, hello, is_clean=False))
        self.expect(daemon, f"tls://localhost:{cut.port}", 1, b"hello\n",
                    "connection: the peer ended without the end of TLS; what came may not be all")
        reset = self.serve(fdialtest.Origin(hello_and_reset))
        self.expect(daemon, f"tcp://127.0.0.1:{reset.port}", 1, b"hello\n",
                    "connection: Connection reset by peer")

    def test_of_the_rule(self):
        origin = self.serve(fdialtest.Origin(say_and_wait))
        for more, what in (("idle-timeout = 1", "idle for longer than its rule permits"),
                           ("max-lifetime = 1", "older than its rule permits")):
            daemon = self.start(more)
            stdin, keep_open = os.pipe()
            done = fdialtest.popen([fdialtest.program("fdial"), "connect", f"tcp://127.0.0.1:{origin.port}"],
                                   env=fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket}),
                                   stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            os.close(stdin)
            out, err = done.communicate(timeout=fdialtest.CLI_TIMEOUT_S)
            os.close(keep_open)
            self.assertEqual((done.returncode, out), (1, b"hello\n"))
            self.assertIn(f"connection: ended by the daemon: {what}\n".encode(), err)

    def test_of_the_daemon(self):
        origin = self.serve(fdialtest.Origin(say_and_wait))
        for signo, what in ((signal.SIGTERM, b"ended by the daemon, which is shutting down\n"),
                            (signal.SIGKILL, b"the daemon is gone; what came may not be all\n")):
            daemon = self.start()
            client = fdialtest.popen([fdialtest.program("fdial"), "connect",
                                      f"tcp://127.0.0.1:{origin.port}"],
                                     env=fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket}),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(client.stdout.readline(), b"hello\n")
            daemon.kill() if signo == signal.SIGKILL else daemon.stop()
            _, err = client.communicate(timeout=fdialtest.CLI_TIMEOUT_S)
            self.assertEqual(client.returncode, 1)
            self.assertIn(b"connection: " + what, err)

    def test_of_patience(self):
        path = f"{self.directory()}/full.sock"
        daemon = self.start(unix=path)
        full = socket.socket(socket.AF_UNIX)
        full.bind(path)
        full.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for s in waiting:
            s.setblocking(False)
            s.connect_ex(path)
        for s in [full, *waiting]:
            self.addCleanup(s.close)
        hole = self.serve(fdialtest.BlackHole())
        mute = self.serve(fdialtest.Mute())
        before_s = fdialtest.cpu_s(daemon.pid)
        for target, message in (
                (f"unix:{path}", f"connect: deadline passed: nobody accepts on {path}"),
                (f"tcp://127.0.0.1:{hole.port}", "connect: deadline passed: no answer from 127.0.0.1 port "
                 f"{hole.port}, 1 of 1 addresses tried"),
                (f"tls://localhost:{mute.port}",
                 "tls: deadline passed: connected, but the peer has not finished the TLS handshake")):
            done = daemon.run_cli(["connect", "--timeout", "1", target])
            self.assertEqual((done.returncode, done.stderr.decode()), (6, f"fdial: {target}: {message}\n"))
        self.assertLess(fdialtest.cpu_s(daemon.pid) - before_s, 1)


if __name__ == "__main__":
    fdialtest.main()
