#!/usr/bin/env python3
"""The fdial command and libfdial with the real daemon, started with --user in a private directory.
Runs ./fdial and ./fdiald in the build directory; everything on loopback."""

import array
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

FDIAL = os.path.abspath("./fdial")
FDIALD = os.path.abspath("./fdiald")
LIBRARY = os.path.abspath(".libs/libfdial.so.0")


def serve_echo(listener):
    def echo(connection):
        with connection:
            while piece := connection.recv(65536):
                connection.sendall(piece)

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


class EndToEndTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="fdial-e2e-")
        cls.environment = {k: v for k, v in os.environ.items() if not k.startswith("FDIAL_")}
        cls.environment["XDG_RUNTIME_DIR"] = cls.directory
        cls.listener = socket.create_server(("127.0.0.1", 0))
        cls.port = cls.listener.getsockname()[1]
        cls.target = f"tcp://127.0.0.1:{cls.port}"
        threading.Thread(target=serve_echo, args=(cls.listener,), daemon=True).start()
        cls.start_daemon()

    @classmethod
    def start_daemon(cls):
        path = os.path.join(cls.directory, "fdial", "fdial.sock")
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        cls.log = open(os.path.join(cls.directory, "log"), "ab")
        cls.daemon = subprocess.Popen([FDIALD, "--user"], env=cls.environment, stderr=cls.log,
                                      stdin=subprocess.DEVNULL)
        for _ in range(600):
            if cls.run_fdial("status").returncode == 0:
                return
            time.sleep(0.05)
        with open(cls.log.name, encoding="utf-8") as log:
            raise AssertionError("the daemon does not start: " + log.read())

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        status = cls.daemon.wait(60)
        cls.log.close()
        cls.listener.close()
        shutil.rmtree(cls.directory)
        assert status == 0, f"the daemon ended with {status}"

    @classmethod
    def run_fdial(cls, *arguments, stdin=b""):
        return subprocess.run([FDIAL, *arguments], input=stdin, capture_output=True, timeout=60,
                              env=cls.environment)

    def test_connect(self):
        data = os.urandom(1 << 20)
        run = self.run_fdial("connect", self.target, stdin=data)
        self.assertEqual((run.returncode, run.stderr), (0, b""))
        self.assertTrue(run.stdout == data)

    def test_check(self):
        run = self.run_fdial("check", "--json", self.target)
        report = json.loads(run.stdout)
        self.assertEqual((run.returncode, report["ok"], report["error"]), (0, True, None))
        self.assertEqual(report["peer"], f"127.0.0.1:{self.port}")
        self.assertIn(report["handoff"], ("tcp", "relay"))
        self.assertRegex(report["local"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual([stage["stage"] for stage in report["stages"]][-1], "connect")

    def test_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        run = self.run_fdial("check", f"tcp://127.0.0.1:{port}")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr.decode(), rf"^fdial: tcp://127.0.0.1:{port}: connect: "
                                              r"connection refused.*\n$")

    def test_not_tls(self):
        run = self.run_fdial("check", "--timeout", "5", f"https://127.0.0.1:{self.port}")
        self.assertEqual(run.returncode, 1)
        self.assertIn(b": tls: ", run.stderr)

    def test_options_that_do_not_fit(self):
        for options in (("--header", "A: b"), ("--subprotocol", "x"), ("--alpn", "h2"),
                        ("--handoff", "ktls")):
            run = self.run_fdial("check", *options, self.target)
            self.assertIn(run.returncode, (1, 2), options)
            self.assertNotIn(b"daemon: ", run.stderr)  # refused, not dropped

    def test_exec(self):
        run = self.run_fdial("exec", self.target, "--", "sh", "-c",
                             'echo "$TCPREMOTEPORT $TCPLOCALIP" >&7; read line <&6; echo "$line"')
        self.assertEqual((run.returncode, run.stdout), (0, f"{self.port} 127.0.0.1\n".encode()))

    def test_fdpass(self):
        ours, theirs = socket.socketpair()
        with ours:
            child = subprocess.Popen([FDIAL, "fdpass", "127.0.0.1", str(self.port)], stdout=theirs,
                                     env=self.environment)
            theirs.close()
            data, ancillary, _, _ = ours.recvmsg(16, socket.CMSG_SPACE(8))
            self.assertEqual((child.wait(60), data, len(ancillary)), (0, b"\0", 1))
            with socket.socket(fileno=array.array("i", ancillary[0][2])[0]) as connection:
                connection.sendall(b"ping")
                self.assertEqual(connection.recv(4), b"ping")

    def test_explain_and_status(self):
        run = self.run_fdial("explain", self.target)
        self.assertEqual(run.returncode, 0)
        self.assertRegex(run.stdout.decode(), r"\Aclient: uid \d+ gid .+\nrule: .+\nplan: .+\n\Z")
        status = json.loads(self.run_fdial("status", "--json").stdout)
        self.assertGreaterEqual(status["workers"], 1)

    def test_library(self):
        """fdial() in this process, many times: no descriptor stays."""
        with open(LIBRARY, "rb") as file:
            if b"__asan_init" in file.read():
                self.skipTest("this Python cannot load a library built with AddressSanitizer")
        library = ctypes.CDLL(LIBRARY)
        os.environ["FDIAL_SOCKET"] = os.path.join(self.directory, "fdial", "fdial.sock")
        before = len(os.listdir("/proc/self/fd"))
        connections = [library.fdial(self.target.encode()) for _ in range(50)]
        for fd in connections:
            self.assertGreaterEqual(fd, 0, os.strerror(-fd))
            os.write(fd, b"x")
            self.assertEqual(os.read(fd, 1), b"x")
            os.close(fd)
        del os.environ["FDIAL_SOCKET"]
        for _ in range(600):
            # The echoing threads of this process close their ends a moment later.
            if len(os.listdir("/proc/self/fd")) <= before:
                return
            time.sleep(0.05)
        self.fail("descriptors stay open")

    def test_z_daemon_that_ends(self):
        """In the middle of a request; the last test, since it starts the daemon anew."""
        with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
            child = subprocess.Popen([FDIAL, "check", f"https://127.0.0.1:{silent.getsockname()[1]}"],
                                     env=self.environment, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE)
            connection, _ = silent.accept()
            self.daemon.kill()
            self.daemon.wait()
            self.log.close()
            self.assertEqual(child.wait(60), 3)
            self.assertIn(b"ended the session", child.stderr.read())
            child.stderr.close()
            connection.close()
        self.assertEqual(self.run_fdial("status").returncode, 3)
        type(self).start_daemon()


if __name__ == "__main__":
    if not os.path.exists(LIBRARY):
        print(f"{LIBRARY} is not there")
        sys.exit(1)
    probe = subprocess.run([FDIALD, "--version"], capture_output=True, timeout=20)
    if probe.returncode != 0:
        sys.exit("fdiald does not run")
    unittest.main()
