"""What single keys of a rule do, seen from outside: the mode, and where connections come from."""
# time-limit: 180
import contextlib
import os

import fdialtest
import rig
from rig import attr, rule, strings

if not fdialtest.is_root():
    fdialtest.skip_all("needs root, for other users and a network of its own")

DENIED, DENIED_ADDRESS, OVER_LIMIT, KIND, WRONG_NAME, UNKNOWN_ISSUER = 20, 21, 7, 90, 72, 73
OTHER = fdialtest.CLIENT_UID
FAR = rig.FarSide()
PUBLIC, PRIVATE = rig.FAR_PUBLIC[0], rig.FAR_PRIVATE[0]
NAMES = f"""\
inside.test 30 A {PRIVATE}
inside.test 30 A 127.0.0.1
mixed.test 30 A {PUBLIC}
mixed.test 30 A {PRIVATE}
both.test 30 A {PUBLIC}
both.test 30 AAAA {rig.FAR_PUBLIC[1]}
"""


class Rules(rig.Case):
    def setUp(self):
        super().setUp()
        self.names = self.name_server(NAMES)

    def daemon(self, *rules, **kwargs):
        return self.start_daemon(f'workers = 2\nnameservers = "127.0.0.1:{self.names.port}"\n'
                                 + "".join(rules), **kwargs)

    def ask(self, daemon, target, *attributes, **kwargs):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            m = s.connect(target, *attributes, **kwargs)
        for fd in m.fds:
            os.close(fd)
        return m

    def explained(self, daemon, target):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            return s.explain(target)


class Report(Rules):
    def watching(self, **keys):
        return rule("watch", **({"mode": '"report"', "allow": '"tcp://127.0.0.2:*"'} | keys))

    def test_what_no_rule_allows_is_let_through(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        known = f"tcp://127.0.0.2:{self.serve(fdialtest.Echo(host='127.0.0.2')).port}"
        daemon = self.daemon(self.watching())
        self.assertEqual(self.ask(daemon, known).code, 0)
        self.assertNotIn("would be denied", daemon.log())
        self.assert_echo(self.dial(self.session(daemon), target))
        daemon.wait_log(rf"uid {rig.UID} pid {os.getpid()}: {target}: would be denied, let through by"
                        " rule 'watch'")
        m = self.explained(daemon, target)
        self.assertEqual((m.code, m.text(rig.RULE)), (0, "watch"), m)
        self.assertIn("would be denied", m.detail)
        self.assertEqual(self.explained(daemon, known).detail, "")
        done = daemon.run_cli(["explain", target])
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, rb"(?m)^rule: watch$")
        self.assertRegex(done.stdout, rb"(?m)^plan: .*handoff\(tcp\) \(.*would be denied.*\)$")

    def test_warned_of_at_level_warning(self):
        daemon = self.daemon(self.watching(), log_level="warning")
        self.ask(daemon, "tcp://127.0.0.1:1")
        daemon.wait_log("would be denied")

    def test_others_get_nothing(self):
        daemon = self.daemon(self.watching())
        self.assertEqual(daemon.run_cli(["check", "tcp://127.0.0.1:1"], uid=OTHER).returncode, 4)
        self.assertNotIn("would be", daemon.log())

    def test_deny_is_final(self):
        daemon = self.daemon(self.watching(deny='"tcp://127.0.0.3:*"'),
                             rule("last", allow='"tcp://127.0.0.4:*"', deny='"tcp://127.0.0.5:*"'))
        for address in ("127.0.0.3", "127.0.0.5", "[::ffff:127.0.0.5]"):
            m = self.ask(daemon, f"tcp://{address}:9")
            self.assertEqual((m.code, m.stage), (DENIED, "policy"), m)
        self.assertNotIn("would be", daemon.log())

    def test_addresses_hold(self):
        """For literals, and for the addresses of a name that only the report lets through."""
        first = self.serve(FAR.do(fdialtest.Echo, host=PUBLIC))
        others = [self.serve(FAR.do(fdialtest.Echo, host=PRIVATE, port=first.port)),
                  self.serve(fdialtest.Echo(host="127.0.0.1", port=first.port))]
        daemon = self.daemon(self.watching(addresses=None))
        for host in ("127.0.0.1", PRIVATE, "inside.test", rig.NEAR_SIDE, "[::1]"):
            m = self.ask(daemon, f"tcp://{host}:{first.port}")
            self.assertEqual((m.code, m.stage), (DENIED_ADDRESS, "policy"), m)
        self.assertEqual(self.ask(daemon, f"tcp://mixed.test:{first.port}").code, 0)
        fdialtest.wait_until(lambda: first.accepted == 1, rig.WAIT_S, "the connection")
        self.assertEqual([o.accepted for o in others], [0, 0])

    def test_seal_and_limits_hold(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.daemon(self.watching(seal='"required"', max_relays="1"))
        if rig.status(daemon)["seal"] != "yes":
            self.assertEqual(self.ask(daemon, target, handover=rig.TCP).code, KIND)
        s = self.session(daemon)
        self.dial(s, target, handover=rig.RELAY)
        self.assertEqual(s.connect(target, handover=rig.RELAY).code, OVER_LIMIT)

    def test_unix_sockets_need_a_pattern(self):
        path = os.path.join(self.directory(), "s")
        origin = self.serve(fdialtest.Echo(path=path))
        daemon = self.daemon(self.watching())
        self.assertEqual(self.ask(daemon, f"unix:{path}").code, DENIED)
        self.assertEqual(origin.accepted, 0)

    def test_certificates_are_verified(self):
        """In a rule whose patterns need no TLS as well."""
        authority = fdialtest.Authority()
        origin = self.serve(fdialtest.Tls(*authority.issue("one.test")))
        target = f"tls://127.0.0.1:{origin.port}"
        section = f'tls "t" {{ ca-file = "{authority.certificate}" }}\n'
        daemon = self.daemon(section, self.watching(tls='"t"', deny='"tls://bad.test:*"'))
        self.assertEqual(self.ask(daemon, target, attr(rig.TLS_NAME, "one.test")).code, 0)
        self.assertEqual(self.ask(daemon, target, attr(rig.TLS_NAME, "bad.test")).code, DENIED)
        self.assertEqual(self.ask(daemon, target, attr(rig.TLS_NAME, "two.test")).code, WRONG_NAME)
        daemon = self.daemon(self.watching())
        self.assertEqual(self.ask(daemon, target).code, UNKNOWN_ISSUER)


if __name__ == "__main__":
    fdialtest.main()
