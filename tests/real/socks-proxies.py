#!/usr/bin/env python3
"""Through dante, microsocks and `ssh -D`: SOCKS 4, 4a and 5, without and with a password."""
import fdialtest
from proxy_case import Case, proxy, way
from proxy_peers import Dante, Microsocks, SshSocks

USER, PASSWORD, WRONG = "joe", "Kahn-7-socks", "wrong-but-kept"
CREDENTIALS = {"right": f"{USER}:{PASSWORD}\n", "wrong": f"{USER}:{WRONG}"}


class SocksProxies(Case):
    @classmethod
    def run_on_proxies(cls, sections):
        """{title: (protocol, server, keys)}: each a way."""
        cls.ways = list(sections)
        cls.run_daemon("".join(proxy(title, f"{protocol}://127.0.0.1:{server.port}", **keys)
                               for title, (protocol, server, keys) in sections.items()),
                       "".join(way(t, t) for t in sections), CREDENTIALS)

    def assert_unreachable(self, title, pattern):
        port = self.serve(fdialtest.Closed()).port
        self.assert_refused(title, 1, title, pattern, target=f"tcp://127.0.0.1:{port}")

    def assert_socks_plan(self, title, protocol, server):
        self.assert_plan(title, "tls://localhost:1", f"resolve(localhost) address(127.0.0.1)"
                         f" connect({server.port}) {protocol}({title}) tls(localhost) handoff(relay)")


RIGHT, BAD = {"credential": '"right"'}, {"credential": '"wrong"'}
EITHER = RIGHT | {"auth": '{ "none", "password" }'}


class DanteProxies(SocksProxies):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("danted")
        super().setUpClass()
        cls.open = cls.run_server(Dante)
        cls.closed = cls.run_server(Dante, USER, PASSWORD)
        cls.run_on_proxies({
            "v4": ("socks4", cls.open, {}), "v5": ("socks5", cls.open, {}),
            "either": ("socks5", cls.open, EITHER), "right": ("socks5", cls.closed, RIGHT),
            "either-asked": ("socks5", cls.closed, EITHER), "wrong": ("socks5", cls.closed, BAD),
            "anonymous": ("socks5", cls.closed, {}), "insisting": ("socks5", cls.open, RIGHT)})

    def test_open(self):
        for title in ("v4", "v5", "either"):
            self.assert_carries(title)
        self.assertIn("pass(1): tcp/connect", self.open.access())

    def test_password(self):
        for title in ("right", "either-asked"):
            self.assert_carries(title)
        self.assertIn(f"username%{USER}@", self.closed.access())

    def test_wrong_password(self):
        self.assert_refused("wrong", 1, "wrong", "refused the credentials")

    def test_no_method_in_common(self):
        for title in ("anonymous", "insisting"):
            self.assert_refused(title, 1, title, "socks5")

    def test_unreachable(self):
        self.assert_unreachable("v5", "refused")
        self.assert_unreachable("right", "refused")
        self.assert_unreachable("v4", "refused")

    def test_plans(self):
        self.assert_socks_plan("v4", "socks4", self.open)
        self.assert_socks_plan("right", "socks5", self.closed)


class MicrosocksProxies(SocksProxies):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("microsocks")
        super().setUpClass()
        cls.open = cls.run_server(Microsocks)
        cls.closed = cls.run_server(Microsocks, USER, PASSWORD)
        cls.run_on_proxies({"open": ("socks5", cls.open, {}), "right": ("socks5", cls.closed, RIGHT),
                            "wrong": ("socks5", cls.closed, BAD)})

    def test_carries(self):
        self.assert_carries("open")
        self.assert_carries("right")

    def test_wrong_password(self):
        self.assert_refused("wrong", 1, "wrong", "refused the credentials")

    def test_unreachable(self):
        self.assert_unreachable("right", "refused")


class SshProxies(SocksProxies):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("sshd", "ssh", "ssh-keygen")
        super().setUpClass()
        cls.ssh = cls.run_server(SshSocks)
        cls.run_on_proxies({p: (p, cls.ssh, {}) for p in ("socks4", "socks4a", "socks5")})

    def test_carries(self):
        for title in self.ways:
            self.assert_carries(title)

    def test_plans(self):
        self.assert_socks_plan("socks4a", "socks4a", self.ssh)


if __name__ == "__main__":
    fdialtest.main()
