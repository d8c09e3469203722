#!/usr/bin/env python3
"""Through squid, tinyproxy, and stunnel in front of one: plain, with a password, by TLS, over a Unix
socket, with a PROXY header before all."""
import fdialtest
from proxy_case import Case, proxy, way
from proxy_peers import Haproxy, Squid, Stunnel, Tinyproxy

USER, PASSWORD, WRONG = "joe", "Kahn-7-squid", "wrong-but-kept"
CREDENTIALS = {"right": f"{USER}:{PASSWORD}\n", "wrong": f"{USER}:{WRONG}"}


def proxies(cls):
    def known(name, server, auth, credential="right", **keys):
        scheme = "https" if isinstance(server, Stunnel) else "http"
        if scheme == "https":
            keys["tls"] = '"test"'
        return proxy(name, f"{scheme}://localhost:{server.port}", auth=auth,
                     credential=f'"{credential}"', **keys)

    return (proxy("squid", f"http://127.0.0.1:{cls.squid.port}")
            + proxy("old", f"http://127.0.0.1:{cls.squid.port}", http_version='"1.0"')
            + known("basic", cls.basic, '"basic"') + known("basic-wrong", cls.basic, '"basic"', "wrong")
            + known("basic-asked", cls.basic, '{ "digest", "basic" }')
            + known("basic-unfit", cls.basic, '"digest"')
            + known("digest", cls.digest, '{ "digest", "basic" }')
            + known("digest-wrong", cls.digest, '"digest"', "wrong")
            + known("tiny", cls.tiny, '"basic"') + known("tiny-wrong", cls.tiny, '"basic"', "wrong")
            + known("tls", cls.stunnel, '"basic"') + known("tls-wrong", cls.stunnel, '"basic"', "wrong")
            + proxy("untrusted", f"https://localhost:{cls.stunnel.port}")
            + proxy("unix", "http://localhost", unix_socket=f'"{cls.haproxy.path}"'))


TITLES = ("squid", "old", "basic", "basic-wrong", "basic-asked", "basic-unfit", "digest",
          "digest-wrong", "tiny", "tiny-wrong", "tls", "tls-wrong", "untrusted", "unix")


class HttpProxies(Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("squid", "tinyproxy", "stunnel", "haproxy")
        super().setUpClass()
        cls.squid = cls.run_server(Squid)
        cls.basic = cls.run_server(Squid, "basic", USER, PASSWORD)
        cls.digest = cls.run_server(Squid, "digest", USER, PASSWORD)
        cls.tiny = cls.run_server(Tinyproxy, USER, PASSWORD)
        cls.stunnel = cls.run_server(Stunnel, cls.tiny.port, *cls.certificate)
        cls.haproxy = cls.run_server(Haproxy, *cls.certificate, cls.squid.port)
        cls.run_daemon(proxies(cls), "".join(way(t, t) for t in TITLES), CREDENTIALS)

    def test_squid(self):
        self.assert_carries("squid")
        self.assert_carries("old")

    def test_basic(self):
        self.assert_carries("basic")
        self.assert_carries("basic-asked")
        self.assertIn(f" {USER} HIER_DIRECT/", self.basic.access())

    def test_digest(self):
        self.assert_carries("digest")
        self.assertIn(f" {USER} HIER_DIRECT/", self.digest.access())

    def test_digest_nonce_is_used_again(self):
        """Only the first connection of each worker is asked for a digest."""
        for _ in range(8):
            self.assertEqual(self.check_on("digest", self.targets["plain"])[0], 0)
        n_before = self.digest.access().count("TCP_DENIED/407")
        for _ in range(8):
            self.assertEqual(self.check_on("digest", self.targets["plain"])[0], 0)
        self.assertEqual(self.digest.access().count("TCP_DENIED/407"), n_before)

    def test_tinyproxy(self):
        self.assert_carries("tiny")

    def test_tls(self):
        self.assert_carries("tls", is_tls_to_proxy=True)

    def test_unix_socket(self):
        self.assert_carries("unix")

    def test_wrong_password(self):
        for title in ("basic-wrong", "digest-wrong"):
            self.assert_refused(title, 1, title, "refused the credentials")
        for title in ("tiny-wrong", "tls-wrong"):  # tinyproxy says so as if it were an origin
            self.assert_refused(title, 1, title, "refused the credentials: .*it answers 401 Unauthorized")

    def test_scheme_that_is_not_offered(self):
        """squid wants Basic, which the section does not name."""
        self.assert_refused("basic-unfit", 1, "basic-unfit", "refused the credentials")

    def test_unreachable(self):
        port = self.serve(fdialtest.Closed()).port
        for title in ("squid", "basic", "digest", "tiny", "tls", "unix"):
            self.assert_refused(title, 1, title, "it answers 50", target=f"tcp://127.0.0.1:{port}")

    def test_untrusted(self):
        """The daemon's own trust does not know the authority of this proxy."""
        status, told = self.check_on("untrusted", self.targets["plain"])
        self.assertEqual((status, told["error"]["stage"], told["error"]["hop"]), (5, "tls", 1), told)
        self.assertIn("untrusted", told["error"]["message"])

    def test_plan_with_tls(self):
        self.assert_plan("squid", "tls://127.0.0.1:1", f"address(127.0.0.1) address(127.0.0.1)"
                         f" connect({self.squid.port}) http-connect(squid) tls(127.0.0.1) handoff(relay)")

    def test_plans(self):
        name = "tcp://localhost:1"
        self.assert_plan("digest", name, f"resolve(localhost) resolve(localhost)"
                         f" connect({self.digest.port}) http-connect(digest) handoff(tcp)")
        self.assert_plan("tls", name, f"resolve(localhost) resolve(localhost) connect({self.stunnel.port})"
                         " tls(localhost) http-connect(tls) handoff(relay)")
        self.assert_plan("unix", name, f"resolve(localhost) connect({self.haproxy.path})"
                         " http-connect(unix) handoff(tcp)")


class BehindHeaders(Case):
    """Proxies that take connections with a PROXY header only."""

    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("squid", "haproxy")
        super().setUpClass()
        cls.squid = cls.run_server(Squid, takes_header=True)
        cls.behind = cls.run_server(Squid)
        cls.haproxy = cls.run_server(Haproxy, *cls.certificate, cls.behind.port)
        squid = f"http://127.0.0.1:{cls.squid.port}"
        cls.run_daemon(
            proxy("none", squid) + proxy("v1", squid, send_proxy='"v1"')
            + proxy("v2", squid, send_proxy='"v2"', send_proxy_options='{ "unique-id", "crc32c" }')
            + proxy("gate", f"https://localhost:{cls.haproxy.gate_port}", tls='"test"', send_proxy='"v2"',
                    send_proxy_options='{ "authority", "crc32c" }'),
            "".join(way(t, t) for t in ("none", "v1", "v2", "gate")), {})

    def test_header(self):
        self.assert_carries("v1")
        self.assert_carries("v2")

    def test_header_before_tls(self):
        self.assert_carries("gate", is_tls_to_proxy=True)

    def test_no_header(self):
        self.assert_refused("none", 1, "none", "proxy broke the protocol")

    def test_plans(self):
        self.assert_plan("v1", "tcp://localhost:1", f"connect({self.squid.port}) proxy-header(v1)"
                         " http-connect(v1) handoff(tcp)")
        self.assert_plan("gate", "tcp://localhost:1", f"connect({self.haproxy.gate_port}) proxy-header(gate)"
                         " tls(localhost) http-connect(gate) handoff(relay)")


if __name__ == "__main__":
    fdialtest.main()
