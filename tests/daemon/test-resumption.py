#!/usr/bin/env python3
"""TLS sessions are resumed: the daemon and the origins agree about when. What decides it in full is in
tests/unit/test-tls-resumption.c; here that the daemon gives all of it to the key."""
import contextlib
import socket
import ssl

import fdialtest
import rig
from proxies import tunnel
from rig import rule, strings

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
UNKNOWN_ISSUER = 73


class Resumption(rig.Case):
    def setUp(self):
        super().setUp()
        self.authority = fdialtest.Authority()
        self.certificate = self.authority.issue(sans=["DNS:localhost", "DNS:a.test", "IP:127.0.0.1"])

    def origin(self, **kwargs):
        return self.serve(fdialtest.Tls(*self.certificate, **{"alpn": ["h2", "http/1.1"], **kwargs}))

    def tls(self, name="t", more=""):
        return f'tls "{name}" {{\n  ca-file = "{self.authority.certificate}"\n{more}}}\n'

    def start(self, *sections, **kwargs):
        return self.start_daemon("workers = 1\n" + "".join(sections or (self.tls(), rule(tls='"t"'))),
                                 **kwargs)

    def connect(self, daemon, origin, *attributes, target=None, path=None):
        """Whether a connection was resumed, as the daemon and the origin say. When its echo is here, the
        daemon has read the tickets that came before it."""
        n = len(origin.resumed)
        with contextlib.closing(rig.Session(path or daemon.socket)) as s:
            m = s.connect(target or f"tls://localhost:{origin.port}", *attributes)
            self.assertEqual(m.code, 0, m)
            with socket.socket(fileno=m.fds[0]) as fd:
                fd.settimeout(rig.WAIT_S)
                self.assert_echo(fd)
        self.assertEqual(len(origin.resumed), n + 1)
        self.assertEqual(bool(m.number(rig.TLS_RESUMED)), origin.resumed[-1])
        return origin.resumed[-1]

    def test_versions(self):
        for version in (V1_2, V1_3):
            with self.subTest(version):
                daemon, origin = self.start(), self.origin(minimum=version, maximum=version)
                resumed = [self.connect(daemon, origin) for _ in range(5)]
                self.assertEqual(resumed, [False] + [True] * 4)
                status = rig.status(daemon)
                self.assertEqual((status["tls_resumed"], status["rule:test:tls_resumed"]), ("4", "4"))

    def test_certificate_is_told_again(self):
        daemon, origin = self.start(), self.origin()
        said = []
        for _ in range(2):
            m = self.session(daemon).connect(f"tls://localhost:{origin.port}", rig.attr(rig.ALPN, "h2"))
            with socket.socket(fileno=m.fds[0]) as fd:
                self.assert_echo(fd)
            said.append([m.attributes.get(k) for k in (rig.TLS_VERSION, rig.TLS_CIPHER, rig.ALPN,
                                                       rig.CERTIFICATE)])
        self.assertEqual(origin.resumed, [False, True])
        self.assertEqual(said[0], said[1])
        self.assertTrue(said[0][3])

    def test_what_makes_another_key(self):
        """Each change misses, and what was there before hits all the same."""
        daemon, origin = self.start(), self.origin()

        def hits(*attributes, target=None):
            return [self.connect(daemon, origin, *attributes, target=target) for _ in range(2)]

        self.assertEqual(hits(), [False, True])
        self.assertEqual(hits(target=f"https://localhost:{origin.port}"), [False, True])
        self.assertEqual(hits(target=f"tls://127.0.0.1:{origin.port}"), [False, True])
        self.assertEqual(hits(rig.attr(rig.TLS_NAME, "a.test")), [False, True])
        self.assertEqual(hits(rig.attr(rig.ALPN, "h2")), [False, True])
        self.assertEqual(hits(rig.attr(rig.ALPN, "h2"), rig.attr(rig.ALPN, "http/1.1")), [False, True])
        self.assertEqual(hits(rig.attr(rig.ALPN, "http/1.1"), rig.attr(rig.ALPN, "h2")), [False, True])
        self.assertEqual(hits(), [True, True])

    def test_another_port_is_another_server(self):
        """Also where both could resume it: they have the same keys."""
        daemon, first = self.start(), self.origin()
        second = self.origin(context=first.context)
        self.assertEqual([self.connect(daemon, first) for _ in range(2)], [False, True])
        self.assertFalse(self.connect(daemon, second))
        self.assertTrue(self.connect(daemon, second))

    def test_rules_and_sections(self):
        """The second rule has the section of the first, the third one like it."""
        origin = self.origin()
        daemon = self.start(self.tls("t"), self.tls("u"), rule("first", tls='"t"'),
                            rule("second", tls='"t"', socket='"second"'),
                            rule("third", tls='"u"', socket='"third"'),
                            listeners=["fdial", "second", "third"])
        for path in daemon.sockets.values():
            resumed = [self.connect(daemon, origin, path=path) for _ in range(2)]
            self.assertEqual(resumed, [False, True])
        for path in daemon.sockets.values():
            self.assertTrue(self.connect(daemon, origin, path=path))

    def test_reload_drops_all(self):
        daemon, origin = self.start(), self.origin()
        self.assertEqual([self.connect(daemon, origin) for _ in range(2)], [False, True])
        relay = self.dial(self.session(daemon), f"tls://localhost:{origin.port}")
        daemon.reload()
        fdialtest.wait_until(lambda: "configuration reloaded" in daemon.log(), rig.WAIT_S, "the reload")
        self.assert_echo(relay)  # what the old configuration's relays get is not for the new one
        self.assertEqual([self.connect(daemon, origin) for _ in range(2)], [False, True])

    def test_reload_with_other_trust(self):
        """Who was trusted before is not, whatever tickets there are."""
        daemon, origin = self.start(), self.origin()
        self.assertFalse(self.connect(daemon, origin))
        stranger = fdialtest.Authority()
        daemon.write_config("workers = 1\n" + self.tls().replace(self.authority.certificate,
                                                                 stranger.certificate)
                            + rule(tls='"t"'))
        daemon.reload()
        fdialtest.wait_until(lambda: "configuration reloaded" in daemon.log(), rig.WAIT_S, "the reload")
        m = self.session(daemon).connect(f"tls://localhost:{origin.port}")
        self.assertEqual(m.code, UNKNOWN_ISSUER)

    def test_switched_off(self):
        daemon, origin = self.start(self.tls(more="  resumption = false\n"), rule(tls='"t"')), self.origin()
        self.assertEqual([self.connect(daemon, origin) for _ in range(3)], [False] * 3)
        self.assertEqual(rig.status(daemon)["tls_resumed"], "0")

    def test_proxy(self):
        """A TLS proxy's sessions are its own, for all targets behind it."""
        proxy = self.serve(fdialtest.Tls(*self.certificate, tunnel, alpn=["http/1.1"], is_clean=False))
        origin, other = self.origin(), self.origin()
        daemon = self.start(
            self.tls(), f'proxy "p" {{\n  url = "https://localhost:{proxy.port}"\n  tls = "t"\n}}\n',
            rule(tls='"t"', via=strings("p")))
        self.assertEqual([self.connect(daemon, origin) for _ in range(3)], [False, True, True])
        self.assertEqual(proxy.resumed, [False, True, True])
        self.assertFalse(self.connect(daemon, other))
        self.assertEqual(proxy.resumed, [False] + [True] * 3)

    def test_the_same_server_as_proxy_and_target(self):
        """It has one ticket key, and would take the session of either for the other."""
        origin = self.origin()
        proxy = self.serve(fdialtest.Tls(*self.certificate, tunnel, context=origin.context,
                                         is_clean=False))
        daemon = self.start(
            self.tls(), f'proxy "p" {{\n  url = "https://localhost:{proxy.port}"\n  tls = "t"\n}}\n',
            rule(tls='"t"', via=strings("p")))
        self.assertFalse(self.connect(daemon, origin))
        self.assertEqual(proxy.resumed, [False])

    def test_many_at_once(self):
        """Each ticket once: no more are resumed than there were tickets, and all connect."""
        daemon, origin = self.start(), self.origin()
        self.assertFalse(self.connect(daemon, origin))
        s = self.session(daemon)
        m = s.connect(f"tls://localhost:{origin.port}", rig.u32(rig.COUNT, 16))
        self.assertEqual((m.code, len(m.fds)), (0, 16))
        for fd in m.fds:
            with socket.socket(fileno=fd) as conn:
                self.assert_echo(conn)
        n_resumed = sum(origin.resumed)
        self.assertIn(n_resumed, range(1, 3))
        self.assertEqual(rig.status(daemon)["tls_resumed"], str(n_resumed))


if __name__ == "__main__":
    fdialtest.main()
