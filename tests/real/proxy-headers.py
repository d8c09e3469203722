#!/usr/bin/env python3
"""The PROXY protocol to real servers which take it, haproxy and nginx: they say what the header said.
Directly, through proxies, and inside the TLS of one."""
import re

import fdialtest
import peers
from proxy_case import Case, proxy, way
from proxy_peers import Haproxy, NginxHeader, Squid, Stunnel, Tinyproxy

# Our end stays open till the answer is there: proxies leave whoever ends his side earlier.
ASK = """
import socket
s = socket.socket(fileno=5)
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print("local=%s" % (s.getsockname()[1] if s.family == socket.AF_INET else ""))
print(s.makefile("rb").read().decode())
"""
OPTIONS = '{ "alpn", "authority", "unique-id", "crc32c" }'


class Headers(Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("haproxy", "nginx", "squid", "tinyproxy", "stunnel")
        super().setUpClass()
        cls.haproxy = cls.run_server(Haproxy, *cls.certificate)
        cls.nginx = cls.run_server(NginxHeader, *cls.certificate)
        cls.squid = cls.run_server(Squid, hosts={"localhost": "127.0.0.1"})
        cls.tiny = cls.run_server(Tinyproxy)
        cls.stunnel = cls.run_server(Stunnel, cls.tiny.port, *cls.certificate)
        sections = proxy("squid", f"http://127.0.0.1:{cls.squid.port}") \
            + proxy("tls", f"https://localhost:{cls.stunnel.port}", tls='"test"')
        full = {"send_proxy": '"v2"', "send_proxy_options": OPTIONS}
        cls.run_daemon(sections,
                       way("v1", send_proxy='"v1"') + way("v2", send_proxy='"v2"') + way("full", **full)
                       + way("none")
                       + way("squid-v1", "squid", send_proxy='"v1"') + way("squid-full", "squid", **full)
                       + way("tls-v1", "tls", send_proxy='"v1"') + way("tls-full", "tls", **full)
                       + way("unknown-v1", "squid", send_proxy='"v1"', resolve='"proxy"')
                       + way("unknown-full", "squid", resolve='"proxy"', **full),
                       {})

    def said(self, name, target):
        """What the server says about the header, as {key: value}."""
        done = self.run_on(name, ["exec", "--fd", "5", target, "--", peers.PYTHON, "-c", ASK])
        text = done.stdout.decode()
        self.assertIn("200 OK", text, done)
        said = dict(re.findall(r"(\w+)=(\S*)", text))
        self.assertTrue({"src", "dst"} <= said.keys(), text)
        return said

    def assert_addresses(self, said, port):
        """The source is the address of our end of the connection."""
        self.assertRegex(said["src"], r"^127\.0\.0\.1:[1-9]\d*$")
        self.assertEqual(said["dst"], f"127.0.0.1:{port}")

    def test_direct(self):
        for server in (self.haproxy, self.nginx):
            for name in ("v1", "v2", "full"):
                with self.subTest(name, server=type(server).__name__):
                    self.assert_addresses(self.said(name, f"http://localhost:{server.port}"), server.port)
                    self.assert_addresses(self.said(name, f"https://localhost:{server.tls_port}"),
                                          server.tls_port)

    def test_source_is_ours(self):
        said = self.said("v1", f"tcp://127.0.0.1:{self.haproxy.port}")
        self.assertEqual(said["src"], f"127.0.0.1:{said['local']}")

    def test_options(self):
        for target in (f"http://localhost:{self.haproxy.port}", f"https://localhost:{self.haproxy.tls_port}"):
            said = self.said("full", target)
            self.assertEqual(said["authority"], "localhost")
            self.assertRegex(said["id"], r"^\S{16,}$")
            self.assertNotEqual(said["id"], self.said("full", target)["id"])
        said = self.said("v2", f"http://localhost:{self.haproxy.port}")
        self.assertEqual((said["authority"], said["id"]), ("", ""))

    def test_none(self):
        """Both refuse a connection without the header."""
        for server in (self.haproxy, self.nginx):
            done = self.run_on("none", ["exec", "--fd", "5", f"http://localhost:{server.port}", "--",
                                        peers.PYTHON, "-c", ASK])
            self.assertNotIn(b"src=", done.stdout)

    def test_through_proxies(self):
        """The proxy is nobody's client: the header is for the target, with the target's address."""
        for server in (self.haproxy, self.nginx):
            for name in ("squid-v1", "squid-full", "tls-v1", "tls-full"):
                with self.subTest(name, server=type(server).__name__):
                    self.assert_addresses(self.said(name, f"http://localhost:{server.port}"), server.port)
                    self.assert_addresses(self.said(name, f"https://localhost:{server.tls_port}"),
                                          server.tls_port)
        said = self.said("tls-full", f"https://localhost:{self.haproxy.tls_port}")
        self.assertEqual(said["authority"], "localhost")

    def test_address_that_only_the_proxy_knows(self):
        """The header says that it does not know, and haproxy takes the connection's own."""
        for name in ("unknown-v1", "unknown-full"):
            with self.subTest(name):
                said = self.said(name, f"http://localhost:{self.haproxy.port}")
                self.assertEqual(said["dst"], f"127.0.0.1:{self.haproxy.port}")
                self.assertEqual(said["authority"], "")  # it reads no more behind an unknown address

    def test_plans(self):
        self.assert_plan("tls-full", "https://localhost:1", f"connect({self.stunnel.port}) tls(localhost)"
                         " http-connect(tls) proxy-header(localhost) tls(localhost) handoff(relay)")
        self.assert_plan("unknown-v1", "http://origin.example:1", f"address(127.0.0.1) connect({self.squid.port})"
                         " http-connect(squid) proxy-header(origin.example) handoff(tcp)")


if __name__ == "__main__":
    fdialtest.main()
