#!/usr/bin/env python3
"""Chains of real proxies, of one kind and mixed, with a password at each, TLS at one of them and to the
target inside."""
import fdialtest
from proxy_case import Case, proxy, way
from proxy_peers import Dante, Haproxy, Microsocks, Squid, SshSocks, Stunnel, Tinyproxy

PASSWORDS = {name: f"{name}-has-secret-{n}" for n, name in enumerate(
    ("squid", "second", "tiny", "micro", "dante"))}
CREDENTIALS = {name: f"joe:{password}" for name, password in PASSWORDS.items()} \
    | {"wrong": "joe:wrong-but-kept"}

WAYS = {
    "squid-squid": ("squid", "second"),
    "squid-micro": ("squid", "micro"),
    "squid-dante": ("squid", "dante"),
    "micro-tls": ("micro", "tls"),
    "tls-squid": ("tls", "squid"),
    "tls-micro-squid": ("tls", "micro", "squid"),
    "ssh-dante": ("ssh", "dante"),
    "unix-micro": ("unix", "micro"),
    "micro-header": ("micro", "header"),
    "all": ("squid", "micro", "tls", "ssh"),
    "second-wrong": ("squid", "second-wrong"),
    "third-wrong": ("tls", "squid", "micro-wrong"),
    "first-wrong": ("dante-wrong", "squid"),
    "dead": ("squid", "dead", "micro"),
}


class Chains(Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("squid", "tinyproxy", "stunnel", "haproxy", "danted", "microsocks", "sshd",
                               "ssh", "ssh-keygen")
        super().setUpClass()
        cls.squid = cls.run_server(Squid, "digest", "joe", PASSWORDS["squid"])
        cls.second = cls.run_server(Squid, "basic", "joe", PASSWORDS["second"])
        cls.tiny = cls.run_server(Tinyproxy, "joe", PASSWORDS["tiny"])
        cls.stunnel = cls.run_server(Stunnel, cls.tiny.port, *cls.certificate)
        cls.micro = cls.run_server(Microsocks, "joe", PASSWORDS["micro"])
        cls.dante = cls.run_server(Dante, "joe", PASSWORDS["dante"])
        cls.ssh = cls.run_server(SshSocks)
        cls.haproxy = cls.run_server(Haproxy, *cls.certificate, cls.squid.port)
        cls.behind_header = cls.run_server(Squid, takes_header=True)
        cls.dead_port = cls.run_server(fdialtest.Closed).port
        cls.run_daemon(cls.sections(), "".join(way(name, *via) for name, via in WAYS.items()), CREDENTIALS)

    @classmethod
    def sections(cls):
        def known(name, url, credential, **keys):
            return proxy(name, url, credential=f'"{credential}"', **keys)

        squid, second = (f"http://127.0.0.1:{s.port}" for s in (cls.squid, cls.second))
        micro, dante = (f"socks5://127.0.0.1:{s.port}" for s in (cls.micro, cls.dante))
        return (known("squid", squid, "squid", auth='{ "digest", "basic" }')
                + known("second", second, "second", auth='"basic"')
                + known("second-wrong", second, "wrong", auth='{ "digest", "basic" }')
                + known("micro", micro, "micro") + known("micro-wrong", micro, "wrong")
                + known("dante", dante, "dante") + known("dante-wrong", dante, "wrong")
                + known("tls", f"https://localhost:{cls.stunnel.port}", "tiny", auth='"basic"',
                        tls='"test"')
                + known("unix", "http://localhost", "squid", auth='"digest"',
                        unix_socket=f'"{cls.haproxy.path}"')
                + proxy("header", f"http://127.0.0.1:{cls.behind_header.port}", send_proxy='"v2"')
                + proxy("ssh", f"socks4a://127.0.0.1:{cls.ssh.port}")
                + proxy("dead", f"http://127.0.0.1:{cls.dead_port}"))

    def assert_chain(self, name):
        self.assert_carries(name, hops=len(WAYS[name]), is_tls_to_proxy="tls" in WAYS[name])

    def test_of_one_kind(self):
        self.assert_chain("squid-squid")
        self.assertIn(f"CONNECT 127.0.0.1:{self.second.port} joe", self.squid.access())
        self.assertIn(f"CONNECT 127.0.0.1:{self.plain.port} joe", self.second.access())

    def test_http_then_socks(self):
        self.assert_chain("squid-micro")
        self.assert_chain("squid-dante")

    def test_with_tls(self):
        for name in ("micro-tls", "tls-squid", "tls-micro-squid"):
            self.assert_chain(name)

    def test_socks_through_ssh(self):
        self.assert_chain("ssh-dante")

    def test_unix_socket_first(self):
        self.assert_chain("unix-micro")

    def test_header_to_the_second(self):
        self.assert_chain("micro-header")

    def test_four_hops(self):
        self.assert_chain("all")

    def test_wrong_password(self):
        self.assert_refused("first-wrong", 1, "dante-wrong", "refused the credentials")
        self.assert_refused("second-wrong", 2, "second-wrong", "refused the credentials")
        self.assert_refused("third-wrong", 3, "micro-wrong", "refused the credentials")

    def test_hop_that_is_not_there(self):
        """It is the one before it that says so."""
        self.assert_refused("dead", 1, "squid", "it answers 503")

    def test_plans(self):
        self.assert_plan("all", f"tls://127.0.0.1:{self.tls.port}",
                         f"address(127.0.0.1) address(127.0.0.1) connect({self.squid.port})"
                         " http-connect(squid) socks5(micro) tls(localhost) http-connect(tls) socks4a(ssh)"
                         " tls(127.0.0.1) handoff(relay)")
        self.assert_plan("squid-squid", f"tcp://127.0.0.1:{self.plain.port}",
                         "http-connect(squid) http-connect(second) handoff(tcp)")


if __name__ == "__main__":
    fdialtest.main()
