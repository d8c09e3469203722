#!/usr/bin/env python3
"""`fdial exec` towards programs that expect what UCSPI promises: mconnect-io of ucspi-tcp (which
tcpclient starts in the same way), and, of the environment, the same program under tcpclient."""
import os
import re
import socket
import sys
import tempfile

import fdialtest
import peers

CONFIG = """
rule "any" {{
  client = "uid:{uid}"
  allow = {{ "tcp://localhost:*", "tcp://127.0.0.1:*", "tcp://[::1]:*", "tls://localhost:*",
            "unix:{unix}" }}
  addresses = "loopback"
  tls = "ca"
  {more}
}}
tls "ca" {{ ca-file = "{ca}" }}
"""
NAMES = ["PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPLOCALIP", "TCPLOCALPORT"]
STALE = {name: "stale" for name in NAMES}


def upper(conn):
    """Answers lines in capitals, and ends after quit."""
    for line in conn.makefile("rb"):
        conn.sendall(line.upper())
        if line.strip() == b"quit":
            return


class Ucspi(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.unix = os.path.join(tempfile.mkdtemp(prefix="unix-"), "s")
        cls.daemons = [fdialtest.start_daemon(CONFIG.format(
            uid=os.getuid(), ca=cls.authority.certificate, unix=cls.unix, more=more))
            for more in ("", 'seal = "off"')]

    @classmethod
    def tearDownClass(cls):
        for daemon in cls.daemons:
            daemon.stop()

    def environment_of(self, daemon, target, origin):
        """What the command finds, and where the origin saw the connection come from."""
        done = daemon.run_cli(["exec", target, "--", "env"], env=STALE)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        found = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
        return {name: found[name] for name in NAMES if name in found}

    def test_environment(self):
        v4 = self.serve(fdialtest.Echo())
        v6 = self.serve(fdialtest.Echo(family=socket.AF_INET6))
        tls = self.serve(fdialtest.Tls(*self.authority.issue()))
        for daemon in self.daemons:
            for target, origin, host, ip in (
                    (f"tcp://127.0.0.1:{v4.port}", v4, "127.0.0.1", "127.0.0.1"),
                    (f"tcp://[::1]:{v6.port}", v6, "::1", "::1"),
                    (f"tcp://localhost:{v4.port}", v4, "localhost", "127.0.0.1"),
                    (f"tls://localhost:{tls.port}", tls, "localhost", "127.0.0.1")):
                with self.subTest(target):
                    origin.clients.clear()
                    found = self.environment_of(daemon, target, origin)
                    seen = fdialtest.wait_until(lambda: origin.clients, what="the origin's side")
                    self.assertEqual(found, {
                        "PROTO": "TCP", "TCPREMOTEIP": ip, "TCPREMOTEPORT": str(origin.port),
                        "TCPREMOTEHOST": host, "TCPLOCALIP": seen[0][0], "TCPLOCALPORT": str(seen[0][1])})

    def test_environment_of_a_unix_socket(self):
        origin = self.serve(fdialtest.Echo(path=self.unix))
        self.assertEqual(self.environment_of(self.daemons[0], f"unix:{self.unix}", origin),
                         {"PROTO": "UNIX"})

    def test_environment_as_tcpclient_sets_it(self):
        fdialtest.need_command("tcpclient")
        origin = self.serve(fdialtest.Echo())
        ours = self.environment_of(self.daemons[1], f"tcp://127.0.0.1:{origin.port}", origin)
        done = peers.run(["tcpclient", "-H", "-R", "127.0.0.1", str(origin.port), "env"], env=STALE | {
            "PATH": os.environ["PATH"]})
        theirs = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
        for name in ("PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPLOCALIP"):
            self.assertEqual(ours[name], theirs[name])
        self.assertEqual(set(ours) - set(theirs), {"TCPREMOTEHOST"})  # -H: no look-up there

    def test_mconnect_io(self):
        fdialtest.need_command("mconnect-io")
        plain = self.serve(fdialtest.Origin(upper))
        tls = self.serve(fdialtest.Tls(*self.authority.issue(), upper))
        for daemon in self.daemons:
            for target in (f"tcp://127.0.0.1:{plain.port}", f"tls://localhost:{tls.port}"):
                done = daemon.run_cli(["exec", target, "--", "mconnect-io"], input=b"hello\nquit\n")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"HELLO\r\nQUIT\r\n", b""))

    def test_descriptors(self):
        """6 and 7 are the connection, and nothing else of ours is left to the command."""
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        script = "for f in /proc/self/fd/*; do readlink $f; done | sort | uniq -c; exit 3"
        for daemon in self.daemons:
            for options, n in (([], 2), (["--fd", "9"], 1), (["--fd", "0"], 1)):
                done = daemon.run_cli(["exec", *options, target, "--", "sh", "-c", script])
                self.assertEqual((done.returncode, done.stderr), (3, b""))
                self.assertEqual(re.findall(rb"(\d+) socket:", done.stdout), [b"%d" % n], done.stdout)

    def test_status(self):
        origin = self.serve(fdialtest.Echo())
        for command, status in ((["sh", "-c", "kill -TERM $$"], -15), (["/nonexistent"], 127),
                                (["/etc"], 126), ([sys.executable, "-c", "exit(42)"], 42)):
            done = self.daemons[0].run_cli(["exec", f"tcp://127.0.0.1:{origin.port}", "--", *command])
            self.assertEqual(done.returncode, status, done.stderr)


if __name__ == "__main__":
    fdialtest.main()
