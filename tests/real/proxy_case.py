"""What the tests of real proxies share: an origin that speaks first, one daemon in which each way to it is
a rule with a listener of its own, and what must hold on each way."""
import hashlib
import os
import re
import sys

import fdialtest
import peers

sys.path.insert(0, os.path.join(fdialtest.SRCDIR, "tests", "daemon"))
import rig  # noqa: E402 pylint: disable=wrong-import-position

GREETING = b"220 it is the server that speaks first\r\n"
DOWN = hashlib.shake_256(b"down").digest(1 << 20)
UP = hashlib.shake_256(b"up").digest(1 << 20)
EXIT_PROXY = 7

# Over fd 5: the server's first words, what it sends, and its word about what it got.
TRANSFER = f"""
import hashlib, socket, sys
s = socket.socket(fileno=5)
def take(n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        assert part, (n, len(data))
        data += part
    return data
print(take({len(GREETING)}))
print(hashlib.sha256(take({len(DOWN)})).hexdigest())
s.sendall(hashlib.shake_256(b"up").digest({len(UP)}))
print(take(64).decode())
print(s.recv(1))
"""
TRANSFERRED = "".join(f"{line}\n" for line in (GREETING, hashlib.sha256(DOWN).hexdigest(),
                                               hashlib.sha256(UP).hexdigest(), b"")).encode()


def talk(conn):
    conn.sendall(GREETING + DOWN)
    digest, n_left = hashlib.sha256(), len(UP)
    while n_left > 0 and (data := conn.recv(min(n_left, 65536))):
        digest.update(data)
        n_left -= len(data)
    conn.sendall(digest.hexdigest().encode())


def proxy(name, url, **keys):
    """A section; `unix_socket` is unix-socket."""
    lines = "".join(f"  {k.replace('_', '-')} = {v}\n" for k, v in keys.items())
    return f'proxy "{name}" {{\n  url = "{url}"\n{lines}}}\n'


def way(name, *via, **keys):
    """A rule with a listener of its name, through these proxies."""
    values = {"client": f'"uid:{os.getuid()}"', "socket": f'"{name}"', "allow": '"*://*:*"',
              "addresses": '"loopback"', "seal": '"off"', "tls": '"test"'}
    if via:
        values["via"] = "{ " + ", ".join(f'"{v}"' for v in via) + " }"
    values |= {k.replace("_", "-"): v for k, v in keys.items()}
    return f'rule "{name}" {{\n' + "".join(f"  {k} = {v}\n" for k, v in values.items()) + "}\n"


class Case(fdialtest.Case):
    """setUpClass() of each: super().setUpClass(), servers with cls.run_server(), then cls.run_daemon()."""

    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("openssl")
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()
        cls.plain = cls.run_server(fdialtest.Origin, talk)
        cls.tls = cls.run_server(fdialtest.Tls, *cls.certificate, talk)
        cls.targets = {"plain": f"tcp://127.0.0.1:{cls.plain.port}",
                       "tls": f"tls://127.0.0.1:{cls.tls.port}"}

    @classmethod
    def run_server(cls, make, *args, **kwargs):
        server = make(*args, **kwargs)
        cls.addClassCleanup(server.stop)
        return server

    @classmethod
    def run_daemon(cls, proxies, ways, credentials, more=""):
        listeners = re.findall(r'^rule "([^"]+)"', ways, re.M)
        config = f'tls "test" {{ ca-file = "{cls.authority.certificate}" }}\n{more}{proxies}{ways}'
        cls.daemon = fdialtest.start_daemon(config, listeners=listeners, credentials=credentials)
        cls.addClassCleanup(cls.daemon.stop)
        cls.addClassCleanup(rig.State(cls.daemon).check, spare_fds=4)  # to name servers

    def run_on(self, name, args, **kwargs):
        return self.daemon.run_cli(args, env={"FDIAL_SOCKET": self.daemon.sockets[name]}, **kwargs)

    def check_on(self, name, target, *args):
        return self.daemon.check(target, *args, env={"FDIAL_SOCKET": self.daemon.sockets[name]})

    def transfer(self, name, target, handoff):
        with self.subTest(name, target=target, handoff=handoff):
            done = self.run_on(name, ["exec", "--fd", "5", "--handoff", handoff, target, "--",
                                      peers.PYTHON, "-c", TRANSFER])
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, TRANSFERRED, b""))

    def assert_carries(self, name, hops=1, is_tls_to_proxy=False):
        """All bytes both ways, in each kind of hand-over that there is; each hop has its time."""
        if not is_tls_to_proxy:
            self.transfer(name, self.targets["plain"], "tcp")
        self.transfer(name, self.targets["plain"], "relay")
        self.transfer(name, self.targets["tls"], "relay")
        for kind, target in self.targets.items():
            with self.subTest(name, check=target):
                status, told = self.check_on(name, target)
                self.assertEqual((status, told["error"]), (0, None))
                kind_wanted = "tcp" if kind == "plain" and not is_tls_to_proxy else "relay"
                self.assertEqual(told["handoff"], kind_wanted)
                took = {s["hop"]: s["us"] for s in told["stages"] if s["stage"] == "proxy"}
                self.assertEqual(list(took), list(range(1, hops + 1)), told["stages"])
                self.assertTrue(all(took.values()), told["stages"])
        lines = self.run_on(name, ["check", self.targets["plain"]]).stdout.decode()
        for hop in range(1, hops + 1):
            self.assertRegex(lines, rf"(?m)^proxy +\d+\.\d+ ms +\(proxy {hop}\)$")

    def assert_refused(self, name, hop, title, pattern, target=None):
        """By the proxy of this hop and title, as people and programs are told."""
        with self.subTest(name, refused=hop):
            target = target or self.targets["plain"]
            done = self.run_on(name, ["connect", target])
            text = done.stderr.decode()
            self.assertEqual((done.returncode, done.stdout), (EXIT_PROXY, b""), text)
            self.assertRegex(text, rf"\Afdial: [^\n]*: proxy \(proxy {hop}\): [^\n]*{title}[^\n]*\n\Z")
            self.assertRegex(text, pattern)
            status, told = self.check_on(name, target)
            self.assertEqual((status, told["error"]["stage"], told["error"]["hop"]),
                             (EXIT_PROXY, "proxy", hop), told)

    def assert_plan(self, name, target, plan):
        done = self.run_on(name, ["explain", target])
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().splitlines()
        self.assertIn(plan, " ".join(lines), lines)
