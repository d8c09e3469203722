"""Credentials are read with the configuration, and again at each reload: a changed password is for what
begins after it, and what has begun keeps the old one. An error keeps all as it was. No password is in a
log or an error."""
import base64
import contextlib
import os
import subprocess
import threading

import fdialtest
import rig
from rig import rule

TARGET = "tcp://127.0.0.9:22"  # nobody is asked to connect there: the proxy is the echo
OLD, NEW = "joe:old-secret", "joe:new-secret"


class Proxy(fdialtest.Origin):
    """Asks for Basic, then gives everything back. `said` has the credentials that it was told, and
    before it asks it waits for `gate`."""

    def __init__(self):
        self.said = []
        self.n_asked = 0
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(self.tunnel)

    def read_head(self, conn):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = conn.recv(1)
            if not data:
                raise OSError("no whole head")
            head += data
        return head

    def tunnel(self, conn):
        head = self.read_head(conn)
        if b"Proxy-Authorization:" not in head:
            self.n_asked += 1
            if not self.gate.wait(rig.WAIT_S):
                raise OSError("the gate stayed closed")
            conn.sendall(b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                         b"Content-Length: 0\r\n\r\n")
            head = self.read_head(conn)
        value = rig.find(r"Proxy-Authorization: Basic (\S+)", head.decode())
        self.said.append(base64.b64decode(value).decode())
        conn.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        while data := conn.recv(65536):
            conn.sendall(data)


class Credentials(rig.Case):
    def setUp(self):
        super().setUp()
        self.proxy = self.serve(Proxy())
        self.credentials = self.directory()
        self.path = os.path.join(self.credentials, "corp")

    def config(self, auth='"basic"'):
        return (f'workers = 2\nproxy "p" {{\n  url = "http://127.0.0.1:{self.proxy.port}"\n'
                f'  auth = {auth}\n  credential = "corp"\n}}\n' + rule(via='"p"'))

    def write(self, text):
        with open(self.path, "w", encoding="ascii") as f:
            f.write(text + "\n")

    def start(self, **kwargs):
        return self.start_daemon(self.config(**kwargs),
                                 env={"CREDENTIALS_DIRECTORY": self.credentials})

    def reload(self, daemon, answer):
        n = daemon.log().count(answer)
        daemon.reload()
        fdialtest.wait_until(lambda: daemon.log().count(answer) == n + 1, rig.WAIT_S, answer)

    def said_by(self, daemon):
        """On every worker, most likely: the set of what the proxy is told by new requests."""
        del self.proxy.said[:]
        for _ in range(8):
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                m = s.connect(TARGET)
            self.assertEqual(m.code, 0, m)
            for fd in m.fds:
                os.close(fd)
        return set(self.proxy.said)

    def assert_no_secret(self, text):
        for secret in (OLD, NEW):
            self.assertNotIn(secret.split(":")[1], text)
            self.assertNotIn(base64.b64encode(secret.encode()).decode(), text)

    def test_changed(self):
        self.write(OLD)
        daemon = self.start()
        self.assertEqual(self.said_by(daemon), {OLD})
        self.write(NEW)
        self.assertEqual(self.said_by(daemon), {OLD})  # nothing before the signal
        self.reload(daemon, "configuration reloaded")
        self.assertEqual(self.said_by(daemon), {NEW})
        self.assert_no_secret(daemon.log())

    def test_in_flight(self):
        """With two ways nothing is said before the proxy asks, which is after the reload."""
        self.write(OLD)
        daemon = self.start(auth='{ "digest", "basic" }')
        self.proxy.gate.clear()
        s = self.session(daemon)
        idents = {s.submit(TARGET, timeout_ms=60000) for _ in range(4)}
        fdialtest.wait_until(lambda: self.proxy.n_asked == 4, rig.WAIT_S, "the requests")
        self.write(NEW)
        self.reload(daemon, "configuration reloaded")
        self.proxy.gate.set()
        for _ in range(4):
            m = s.recv()
            self.assertEqual(m.code, 0, m)
            idents.remove(m.id)
            for fd in m.fds:
                os.close(fd)
        self.assertEqual(self.proxy.said, [OLD] * 4)
        self.assertEqual(self.said_by(daemon), {NEW})
        self.assert_no_secret(daemon.log())

    def test_broken(self):
        self.write(OLD)
        daemon = self.start()
        relay = self.dial(self.session(daemon), TARGET, handover=rig.RELAY)
        for text, error in ((None, f"{self.path} cannot be opened: No such file or directory"),
                            ("new-secret", "'corp': there is no colon in it; write user:password"),
                            (NEW + "\nx", "'corp': there is a control character")):
            os.unlink(self.path)
            if text:
                self.write(text)
            self.reload(daemon, "the running configuration stays")
            self.assertIn(f"{daemon.config_path}:5: credential {error}", daemon.log())
            self.assertEqual(self.said_by(daemon), {OLD})
            if text is None:
                self.write(NEW)
        self.assert_echo(relay)
        self.write(NEW)
        self.reload(daemon, "configuration reloaded")
        self.assertEqual(self.said_by(daemon), {NEW})
        self.assert_echo(relay)
        self.assert_no_secret(daemon.log())

    def check(self, environment):
        path = os.path.join(self.directory(), "fdiald.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(self.config())
        os.chmod(path, 0o644)
        done = subprocess.run([fdialtest.program("fdiald"), "--check-config", "--config", path],
                              env=fdialtest.built_environment(environment), capture_output=True,
                              timeout=rig.WAIT_S, check=False, text=True)
        self.assert_no_secret(done.stdout + done.stderr)
        return done.returncode, (done.stdout + done.stderr).replace(path, "FILE")

    def test_check_config(self):
        variable = {"CREDENTIALS_DIRECTORY": self.credentials}
        status, text = self.check(variable)
        self.assertEqual(status, 1, text)
        self.assertIn(f"FILE:5: credential {self.path} cannot be opened: No such file", text)
        self.write(OLD)
        self.assertEqual(self.check(variable), (0, "FILE: no error, rules: 1\n"))
        status, text = self.check({"CREDENTIALS_DIRECTORY": "here"})
        self.assertEqual(status, 1, text)
        self.assertIn("FILE:5: CREDENTIALS_DIRECTORY is set to 'here', which is no absolute path", text)


if __name__ == "__main__":
    fdialtest.main()
