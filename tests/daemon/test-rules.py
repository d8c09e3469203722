"""What single keys of a rule do, seen from outside: the mode, and where connections come from."""
# time-limit: 180
import contextlib
import os
import socket

import fdialtest
import rig
from rig import attr, rule, strings

if not fdialtest.is_root():
    fdialtest.skip_all("needs root, for other users and a network of its own")

DENIED, DENIED_ADDRESS, OVER_LIMIT, KIND, WRONG_NAME, UNKNOWN_ISSUER = 20, 21, 7, 90, 72, 73
NO_ADDRESS, CONNECT_FAILED = 31, 45
IP_BIND_ADDRESS_NO_PORT = 24
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
six.test 30 AAAA {rig.FAR_PUBLIC[1]}
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

    def test_grants_are_not_widened(self):
        target = f"tcp://127.0.0.1:{self.serve(fdialtest.Echo()).port}"
        daemon = self.daemon(self.watching())
        with contextlib.closing(self.session(daemon).grant(target)) as grant:
            with contextlib.closing(grant.open()) as inside:
                m = inside.connect("tcp://127.0.0.3:1")
                self.assertEqual((m.code, m.stage), (DENIED, "policy"), m)
                self.assertNotIn("would be denied", daemon.log())
                with contextlib.closing(inside.dial(target)) as s:
                    self.assert_echo(s)
        daemon.wait_log(f"{target}: would be denied")

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


NEAR_2, FAR_2 = "10.78.0.1", "10.78.0.2"  # behind a second pair of interfaces
SOURCE_4, SOURCE_6 = "10.77.0.7", "fd77::7"


def second_link():
    """near2 leads to the same far side; routes prefer the first."""
    rig._ip(f"addr add {SOURCE_4}/24 dev near", f"addr add {SOURCE_6}/64 dev near nodad",
            f"link add near2 type veth peer name far2 netns /proc/{os.getpid()}/task/{FAR._tid}/ns/net",
            f"addr add {NEAR_2}/24 dev near2", "link set near2 up")
    FAR.do(rig._ip, f"addr add {FAR_2}/24 dev far2", "link set far2 up")
    rig._ip(f"route add default via {FAR_2} dev near2 metric 1000")


second_link()


class Source(Rules):
    def from_where(self, daemon, origin, target, **kwargs):
        """The address that the origin saw."""
        n = len(origin.clients)
        m = self.ask(daemon, target, **kwargs)
        self.assertEqual(m.code, 0, m)
        fdialtest.wait_until(lambda: len(origin.clients) > n, rig.WAIT_S, "the connection")
        return origin.clients[-1][0]

    def serve_far(self, address=PUBLIC):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self.serve(FAR.do(fdialtest.Echo, host=address, family=family))

    def assert_bound_without_port(self, daemon, target):
        with contextlib.closing(self.session(daemon).dial(target)) as s:
            self.assertEqual(s.getsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1)

    def test_address(self):
        origin = self.serve_far()
        target = f"tcp://{PUBLIC}:{origin.port}"
        free = self.daemon(rule(addresses='"public"'))
        self.assertEqual(self.from_where(free, origin, target), rig.NEAR_SIDE)
        bound = self.daemon(rule(addresses='"public"', source=f'"{SOURCE_4}"'))
        self.assertEqual(self.from_where(bound, origin, target), SOURCE_4)
        self.assert_bound_without_port(bound, target)
        self.assertEqual(self.from_where(bound, origin, f"tcp://both.test:{origin.port}"), SOURCE_4)
        m = self.explained(bound, target)
        self.assertIn(f"connect({origin.port} from {SOURCE_4})", m.text(rig.PLAN))
        m = self.ask(bound, target, handover=rig.RELAY)
        local = m.attributes[rig.LOCAL][0]
        self.assertIn(socket.inet_aton(SOURCE_4), local)

    def test_ipv6_address(self):
        origin = self.serve_far(rig.FAR_PUBLIC[1])
        daemon = self.daemon(rule(addresses='"public"', source=f'"{SOURCE_6}"'))
        target = f"tcp://[{rig.FAR_PUBLIC[1]}]:{origin.port}"
        self.assertEqual(self.from_where(daemon, origin, target), SOURCE_6)
        self.assert_bound_without_port(daemon, target)
        self.assertEqual(self.from_where(daemon, origin, f"tcp://both.test:{origin.port}"), SOURCE_6)

    def test_other_family(self):
        """Says so, and connects to nothing: not with a name, a literal, or a request's own family."""
        origin = self.serve(FAR.do(fdialtest.Echo, host=rig.FAR_PUBLIC[1], family=socket.AF_INET6))
        four = self.daemon(rule(addresses='"public"', source=f'"{SOURCE_4}"'))
        six = self.daemon(rule(addresses='"public"', source=f'"{SOURCE_6}"'))
        for daemon, target, family in ((four, f"[{rig.FAR_PUBLIC[1]}]", 0), (four, "six.test", 0),
                                       (four, "both.test", 6), (four, f"[::ffff:{PUBLIC}]", 0),
                                       (six, PUBLIC, 0), (six, "mixed.test", 0), (six, "both.test", 4)):
            with self.subTest(target=target, family=family):
                more = [rig.u8(rig.FAMILY, family)] if family else []
                m = self.ask(daemon, f"tcp://{target}:{origin.port}", *more)
                self.assertEqual((m.code, m.stage), (NO_ADDRESS, "resolve"), m)
                self.assertIn("no address of the source's family", m.detail)
        self.assertEqual(origin.accepted, 0)

    def test_addresses_hold(self):
        """The host's own address is that, whether it is the source or the target, or both."""
        near = self.serve(fdialtest.Echo(host=rig.NEAR_SIDE))
        same = self.serve(fdialtest.Echo(host=SOURCE_4))
        daemon = self.daemon(rule(addresses='"host"', source=f'"{SOURCE_4}"'))
        for origin, address in ((near, rig.NEAR_SIDE), (same, SOURCE_4)):
            self.assertEqual(self.from_where(daemon, origin, f"tcp://{address}:{origin.port}"), SOURCE_4)
        self.assertEqual(self.ask(daemon, "tcp://127.0.0.1:9").code, DENIED_ADDRESS)
        daemon = self.daemon(rule(addresses=strings("public", "private", "loopback", "link-local"),
                                  source=f'"{SOURCE_4}"'))
        for origin, address in ((near, rig.NEAR_SIDE), (same, SOURCE_4)):
            self.assertEqual(self.ask(daemon, f"tcp://{address}:{origin.port}").code, DENIED_ADDRESS)

    def test_interface(self):
        origin = self.serve_far()
        target = f"tcp://{PUBLIC}:{origin.port}"
        daemon = self.daemon(rule(addresses='"public"', source='"near2"'))
        self.assertEqual(self.from_where(daemon, origin, target), NEAR_2)
        self.assertIn("from near2)", self.explained(daemon, target).text(rig.PLAN))
        with contextlib.closing(self.session(daemon).dial(target)) as s:
            self.assertEqual(s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16), b"near2\0")

    def test_not_on_this_host(self):
        origin = self.serve_far()
        target = f"tcp://{PUBLIC}:{origin.port}"
        for source in ("192.0.2.7", "nowhere0"):
            daemon = self.daemon(rule(addresses='"public"', source=f'"{source}"'))
            m = self.ask(daemon, target)
            self.assertEqual((m.code, m.stage), (CONNECT_FAILED, "connect"), m)
            done = daemon.run_cli(["connect", target])
            self.assert_report(done, 1, rf"connect: .*cannot connect from {source}, the rule's source")
        self.assertEqual(origin.accepted, 0)

    def test_comes_and_goes(self):
        """An address that is added later is used then: nothing is remembered."""
        origin = self.serve_far()
        target = f"tcp://{PUBLIC}:{origin.port}"
        daemon = self.daemon(rule(addresses='"public"', source='"10.77.0.8"'))
        self.assertEqual(self.ask(daemon, target).code, CONNECT_FAILED)
        rig._ip("addr add 10.77.0.8/24 dev near")
        self.assertEqual(self.from_where(daemon, origin, target), "10.77.0.8")
        rig._ip("addr del 10.77.0.8/24 dev near")
        self.assertEqual(self.ask(daemon, target).code, CONNECT_FAILED)

    def test_without_privileges(self):
        """As the unit runs: a user of its own, no capability."""
        origin = self.serve_far()
        target = f"tcp://{PUBLIC}:{origin.port}"
        for source, seen in ((SOURCE_4, SOURCE_4), ("near2", NEAR_2)):
            daemon = self.daemon(rule(addresses='"public"', source=f'"{source}"'), uid=OTHER)
            self.assertEqual(self.from_where(daemon, origin, target), seen)

    def test_many(self):
        """64 at once, and again, from one address to one port: the kernel finds them ports."""
        origin = self.serve(fdialtest.Echo())
        daemon = self.daemon(rule(source='"127.0.0.2"'))
        state = rig.State(daemon)
        for _ in range(5):
            m = self.ask_and_count(daemon, f"tcp://127.0.0.1:{origin.port}")
            self.assertEqual(m, (0, 64))
        fdialtest.wait_until(lambda: len(origin.clients) == 320, rig.WAIT_S, "the connections")
        self.assertEqual({address for address, _ in origin.clients}, {"127.0.0.2"})
        state.check()

    def ask_and_count(self, daemon, target):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            m = s.connect(target, rig.u32(rig.COUNT, 64))
        for fd in m.fds:
            os.close(fd)
        return m.code, len(m.fds)

    def test_tls_and_unix(self):
        authority = fdialtest.Authority()
        origin = self.serve(fdialtest.Tls(*authority.issue()))
        path = os.path.join(self.directory(), "s")
        unix = self.serve(fdialtest.Echo(path=path))
        daemon = self.daemon(f'tls "t" {{ ca-file = "{authority.certificate}" }}\n',
                             rule(tls='"t"', source='"127.0.0.2"',
                                  allow=strings("tls://localhost:*", f"unix:{path}")))
        self.assertEqual(self.from_where(daemon, origin, f"tls://localhost:{origin.port}"), "127.0.0.2")
        self.assertEqual(self.ask(daemon, f"unix:{path}").code, 0)
        self.assertEqual(self.explained(daemon, f"unix:{path}").text(rig.PLAN),
                         f"connect({path}) handoff(tcp)")
        fdialtest.wait_until(lambda: unix.accepted == 1, rig.WAIT_S)


if __name__ == "__main__":
    fdialtest.main()
