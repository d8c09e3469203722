#!/usr/bin/env python3
"""Which kind of hand-over a client gets, and what it is told when that is not the best it accepts. (What is
done with a socket of kernel TLS: tests/vm.)"""
import os

import fdialtest
import rig
from rig import rule, strings

NO_KIND = 90
CIPHERS = [f"ktls_tls1.{minor}-{cipher}" for minor in (2, 3)
           for cipher in ("aes-128-gcm", "aes-256-gcm", "chacha20-poly1305")]


class Handoff(rig.Case):
    def setUp(self):
        super().setUp()
        self.authority = fdialtest.Authority()
        self.plain = self.serve(fdialtest.Echo())
        self.tls = self.serve(fdialtest.Tls(*self.authority.issue(), alpn=["http/1.1"]))

    def start(self, head="", sections="", **keys):
        return self.start_daemon(
            f'workers = 1\n{head}tls "t" {{ ca-file = "{self.authority.certificate}" }}\n{sections}'
            + rule(**{"tls": '"t"', "allow": strings("*://*:*"), **keys}))

    def ask(self, daemon, target, handover):
        """The kind and the reason, or what the refusal says."""
        m = self.session(daemon).connect(target, handover=handover)
        for fd in m.fds:
            os.close(fd)
        if m.code:
            self.assertEqual((m.code, m.stage, m.fds), (NO_KIND, "handoff", []), m)
            return None, m.detail
        return m.number(rig.HANDOVER), m.text(rig.HANDOVER_REASON)

    def assert_reason(self, daemon, reason):
        """A relay that says why it is no ktls; and a refusal that does."""
        target = f"https://localhost:{self.tls.port}"
        kind, text = self.ask(daemon, target, rig.KTLS | rig.RELAY)
        self.assertEqual(kind, rig.RELAY)
        self.assertIn(reason, text)
        kind, text = self.ask(daemon, target, rig.KTLS)
        self.assertIsNone(kind)
        self.assertIn(reason, text)

    def test_status_has_a_line_for_each_cipher(self):
        status = rig.status(self.start())
        self.assertLessEqual({"ktls", *CIPHERS}, set(status))
        self.assertLessEqual({status[c] for c in CIPHERS}, {"no", "tx", "rx", "tx,rx"})
        self.assertEqual(status["ktls"] == "yes", "tx,rx" in {status[c] for c in CIPHERS})
        self.assertEqual(rig.status(self.start("ktls = false\n"))["ktls"] == "yes", False)

    def test_what_the_kernel_can(self):
        daemon = self.start()
        status = rig.status(daemon)
        target = f"https://localhost:{self.tls.port}"
        if status["ktls"] != "yes":
            self.assert_reason(daemon, status["ktls"])
        elif status["seal"] != "yes":
            self.assert_reason(daemon, status["seal"])
        else:
            self.assertEqual(self.ask(daemon, target, rig.KTLS), (rig.KTLS, ""))

    def test_switches(self):
        self.assert_reason(self.start("ktls = false\n"), "switched off")
        kind, reason = self.ask(self.start(handoff=strings("tcp", "relay")),
                                f"https://localhost:{self.tls.port}", rig.KTLS | rig.RELAY)
        self.assertEqual(kind, rig.RELAY)
        self.assertIn("the rule's handoff", reason)

    def test_rules_that_cannot_work_here(self):
        """They are told at the start, and others are not."""
        for kinds, allow, is_told in ((["ktls"], "*://*:*", True),
                                      (["ktls", "relay"], "*://*:*", False),
                                      (["tcp"], "unix:/run/socket", False)):
            daemon = self.start(allow=strings(allow), handoff=strings(*kinds))
            status = rig.status(daemon)
            if is_told and (status["ktls"] != "yes" or status["seal"] != "yes"):
                daemon.wait_log("lacks relay, .*: 1, first '[^']+': .")
            else:
                self.assertNotIn("lacks relay", daemon.log())

    def test_what_cannot_be(self):
        """Refused before anything is connected: a WebSocket's upgrade is made inside TLS."""
        kind, reason = self.ask(self.start(), f"wss://localhost:{self.tls.port}", rig.KTLS)
        self.assertIsNone(kind)
        self.assertIn("inside TLS", reason)

    def test_what_cannot_be_through_proxies(self):
        """They are not asked, so they need not be there."""
        tls = 'url = "https://localhost:1" tls = "t"'
        for proxy, scheme, expected in ((tls, "https", "TLS inside TLS"), (tls, "tcp", "with a proxy"),
                                        (tls, "wss", "TLS inside TLS"),
                                        ('url = "http://tunnel" unix-socket = "/run/none"', "https", "Unix socket")):
            daemon = self.start(sections=f'proxy "p" {{ {proxy} }}\n', via=strings("p"))
            kind, reason = self.ask(daemon, f"{scheme}://localhost:{self.tls.port}", rig.KTLS)
            self.assertIsNone(kind)
            self.assertIn(expected, reason)

    def test_who_likes_nothing_better_is_told_nothing(self):
        daemon = self.start()
        for target, handover in ((f"https://localhost:{self.tls.port}", None),
                                 (f"https://localhost:{self.tls.port}", rig.TCP | rig.RELAY),
                                 (f"tcp://localhost:{self.plain.port}", rig.RELAY)):
            self.assertEqual(self.ask(daemon, target, handover), (rig.RELAY, ""))

    def test_plain_ones_for_who_reads_kernel_tls(self):
        daemon = self.start()
        target = f"tcp://localhost:{self.plain.port}"
        kind, reason = self.ask(daemon, target, rig.KTLS | rig.RELAY)
        self.assertEqual(kind, rig.RELAY)
        self.assertIn("tcp", reason)
        self.assertIsNone(self.ask(daemon, target, rig.KTLS)[0])

    def test_the_log_has_it_too(self):
        daemon = self.start("ktls = false\n")
        self.ask(daemon, f"https://localhost:{self.tls.port}", rig.KTLS | rig.RELAY)
        daemon.wait_log(r"handoff_reason=.*switched off")


if __name__ == "__main__":
    fdialtest.main()
