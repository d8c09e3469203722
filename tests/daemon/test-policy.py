"""Who may have what, seen from outside: the rules, the addresses behind names, the limits, what is
explained to whom; and the daemon's own life: configuration, reload, sockets, drain."""
# time-limit: 180
import collections
import contextlib
import grp
import os
import signal
import socket
import subprocess
import threading
import time

import fdialtest
import rig
from rig import attr, rule, strings

if not fdialtest.is_root():
    fdialtest.skip_all("needs root, for other users and a network of its own")

DENIED, DENIED_ADDRESS, OVER_LIMIT, BAD_OPTION, KIND = 20, 21, 7, 4, 90
OTHER = fdialtest.CLIENT_UID
NOBODY = 65534
FAR = rig.FarSide()
PUBLIC, PRIVATE = rig.FAR_PUBLIC[0], rig.FAR_PRIVATE[0]
MIXED = f"""\
mixed.test 30 A {PUBLIC}
mixed.test 30 A {PRIVATE}
mixed.test 30 A 127.0.0.1
mixed.test 30 A {rig.NEAR_SIDE}
mixed.test 30 A {rig.FAR_LINK_LOCAL}
mixed.test 30 AAAA ::ffff:{PRIVATE}
mixed.test 30 AAAA ::1
inside.test 30 A {PRIVATE}
inside.test 30 AAAA ::1
"""


class Policy(rig.Case):
    def setUp(self):
        super().setUp()
        self.names = self.name_server(MIXED)
        self.dns = f'nameservers = "127.0.0.1:{self.names.port}"\n'

    def daemon(self, *rules, more="", **kwargs):
        return self.start_daemon("workers = 2\n" + self.dns + more + "".join(rules), **kwargs)

    def ask(self, daemon, target, *attributes, **kwargs):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            m = s.connect(target, *attributes, **kwargs)
        for fd in m.fds:
            os.close(fd)
        return m

    def status_as(self, daemon, uid, target, groups=None):
        """Exit status of `fdial check` as another user."""
        wrapper = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}",
                   f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"]
        return daemon.run_cli(["check", target], wrapper=wrapper).returncode

    def far_origins(self):
        """An origin of each class on one port: {address: origin}."""
        first = self.serve(FAR.do(fdialtest.Echo, host=PUBLIC))
        origins = {PUBLIC: first}
        for address in (PRIVATE, rig.FAR_LINK_LOCAL):
            origins[address] = self.serve(FAR.do(fdialtest.Echo, host=address, port=first.port))
        for address in ("127.0.0.1", rig.NEAR_SIDE):
            origins[address] = self.serve(fdialtest.Echo(host=address, port=first.port))
        origins["::1"] = self.serve(fdialtest.Echo(host="::1", port=first.port,
                                                   family=socket.AF_INET6))
        return first.port, origins

    # ---- who ----

    def test_default_deny(self):
        daemon = self.daemon()
        m = self.ask(daemon, "tcp://127.0.0.1:1")
        self.assertEqual((m.code, m.stage), (DENIED, "policy"), m)
        done = daemon.run_cli(["connect", "tcp://127.0.0.1:1"])
        self.assert_report(done, 4, "policy: denied by policy")

    def test_no_configuration(self):
        """Root's daemon without one denies, and says where to write it."""
        fdialtest.need_mounts()
        daemon = self.start_daemon(None, wrapper=["unshare", "-m", "sh", "-c", 'mkdir -p /etc/fdial'
                                   ' && mount -t tmpfs none /etc/fdial && exec "$@"', "sh"])
        self.assertEqual(self.ask(daemon, "tcp://127.0.0.1:1").code, DENIED)
        daemon.wait_log("write some to /etc/fdial/fdiald.conf")

    def test_users_and_groups(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        group = grp.getgrnam("games")
        for clients, who in (
                (strings(f"uid:{OTHER}"), {OTHER: 0, 1000: 4, NOBODY: 4}),
                (strings("user:daemon"), {1: 0, OTHER: 4}),
                (strings("gid:1"), {1: 0, OTHER: 4}),
                (strings(f"group:{group.gr_name}"), {OTHER: 4, group.gr_gid: 0}),
                (strings("uid:1", f"uid:{OTHER}"), {OTHER: 0, 1: 0, 2: 4})):
            daemon = self.daemon(rule(client=clients))
            for uid, status in who.items():
                with self.subTest(clients=clients, uid=uid):
                    self.assertEqual(self.status_as(daemon, uid, target), status)
            if "group" in clients:
                self.assertEqual(self.status_as(daemon, OTHER, target, [group.gr_gid, 777]), 0)
                self.assertEqual(self.status_as(daemon, OTHER, target, [777]), 4)
            daemon.stop()

    def test_nobody(self):
        """65534 is whoever the kernel cannot name: no rule is for him, none can be written."""
        daemon = self.daemon(rule(client=strings("gid:1", f"uid:{OTHER}", "uid:0")))
        self.assertEqual(self.status_as(daemon, NOBODY, "tcp://127.0.0.1:1", [1]), 4)
        self.assert_config_error(rule(client='"uid:65534"'), 2, "65534")
        self.assert_config_error(rule(client='"user:nobody"'), 2, "")

    def test_first_match_decides(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        first = rule("narrow", addresses='"public"', allow=f'"{target}"')
        daemon = self.daemon(first, rule("wide"))
        self.assertEqual(self.ask(daemon, target).code, DENIED_ADDRESS)  # no fall-through
        self.assertEqual(self.ask(daemon, f"tcp://127.0.0.2:{origin.port}").code, 40)
        m = self.explained(daemon, target)  # as far as it can be known without DNS
        self.assertEqual((m.code, m.detail), (
            DENIED_ADDRESS, "rule 'narrow': 127.0.0.1 is loopback, which the rule does not permit"))
        self.assertEqual(self.explained(daemon, f"tcp://[::ffff:127.0.0.1]:{origin.port}").code, 0)
        self.assertEqual(self.explained(daemon, "tcp://127.0.0.2:1").text(rig.RULE), "wide")

    def test_deny_is_final(self):
        daemon = self.daemon(rule("one", allow='"tcp://nothing.test:1"', deny='"tcp://127.0.0.9:*"'),
                             rule("two"))
        for target in ("tcp://127.0.0.9:5", "tcp://[::ffff:127.0.0.9]:5"):
            self.assertEqual(self.ask(daemon, target).code, DENIED)
        self.assertEqual(self.ask(daemon, "tcp://127.0.0.8:5").code, 40)

    # ---- names and addresses ----

    def test_no_rule_no_question(self):
        daemon = self.daemon(rule(allow='"tcp://mixed.test:*"', deny='"tcp://inside.test:*"'))
        for target in ("tcp://secret.test:1", "tcp://inside.test:1", "https://mixed.test"):
            self.assertEqual(self.ask(daemon, target).code, DENIED)
            self.explained(daemon, target)
        self.explained(daemon, "tcp://mixed.test:1")
        self.assertEqual(self.names.questions, [])
        self.assertEqual(rig.status(daemon)["names_looked_up"], "0")
        self.ask(daemon, "tcp://mixed.test:1")
        fdialtest.wait_until(lambda: self.names.asked_for("mixed.test"), rig.WAIT_S, "the question")

    def test_only_permitted_addresses_are_dialled(self):
        port, origins = self.far_origins()
        seen = collections.Counter()
        for classes, permitted in (
                (None, {PUBLIC}), (["public"], {PUBLIC}), (["private"], {PRIVATE}),
                (["loopback"], {"127.0.0.1", "::1"}), (["host"], {rig.NEAR_SIDE}),
                (["link-local"], {rig.FAR_LINK_LOCAL}),
                (["public", "private"], {PUBLIC, PRIVATE})):
            with self.subTest(classes=classes):
                daemon = self.daemon(rule(addresses=strings(*classes) if classes else None))
                for _ in range(4):
                    m = self.ask(daemon, f"tcp://mixed.test:{port}")
                    self.assertEqual(m.code, 0, m)
                daemon.stop()
                dialled = collections.Counter(rig.dialled(origins.values())) - seen
                self.assertGreaterEqual(sum(dialled.values()), 4)
                self.assertLessEqual(set(dialled), permitted)
                seen += dialled

    def test_nothing_permitted(self):
        port, origins = self.far_origins()
        daemon = self.daemon(rule(addresses='"public"'))
        m = self.ask(daemon, f"tcp://inside.test:{port}")
        self.assertEqual((m.code, m.stage), (DENIED_ADDRESS, "policy"), m)
        done = daemon.run_cli(["connect", f"tcp://inside.test:{port}"])
        self.assert_report(done, 4, "policy: address denied by policy: .*does not permit")
        self.assertEqual(rig.dialled(origins.values()), [])

    def test_literals(self):
        """An address in the target is judged like one that a name has, in whatever form."""
        daemon = self.daemon(rule(addresses='"public"'))
        for address in ("127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "0.0.0.0",
                        "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", rig.NEAR_SIDE,
                        "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[2001:db8::1]",
                        "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]",
                        "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]",
                        "[2002:a00:1::1]", "[fd77::1]"):
            with self.subTest(address):
                m = self.ask(daemon, f"tcp://{address}:9", timeout_ms=2000)
                self.assertEqual((m.code, m.stage), (DENIED_ADDRESS, "policy"), m)
        origin = self.serve(FAR.do(fdialtest.Echo, host=PUBLIC))
        self.assertEqual(self.ask(daemon, f"tcp://{PUBLIC}:{origin.port}").code, 0)

    def test_prefix_patterns_are_for_literals(self):
        daemon = self.daemon(rule(allow='"tcp://127.0.0.0/8:*"'))
        self.assertEqual(self.ask(daemon, "tcp://127.1.2.3:9").code, 40)
        self.assertEqual(self.ask(daemon, "tcp://localhost:9").code, DENIED)
        self.assertEqual(self.ask(daemon, "tcp://128.0.0.1:9").code, DENIED)

    # ---- how ----

    def test_handover(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        for allowed, seal, asked, kind in (
                ("tcp", "off", None, rig.TCP), ("tcp", "off", rig.RELAY, None),
                ("relay", "off", None, rig.RELAY), ("relay", "off", rig.TCP, None),
                ("ktls", "off", None, None), (None, "off", rig.TCP | rig.RELAY, rig.TCP),
                (None, "off", rig.RELAY, rig.RELAY), (None, "off", rig.KTLS, None)):
            with self.subTest(allowed=allowed, asked=asked):
                daemon = self.daemon(rule(handoff=f'"{allowed}"' if allowed else None,
                                          seal=f'"{seal}"'))
                m = self.ask(daemon, target, handover=asked)
                if kind:
                    self.assertEqual((m.code, m.number(rig.HANDOVER)), (0, kind), m)
                else:
                    self.assertEqual((m.code, m.stage), (KIND, "handoff"), m)
                daemon.stop()

    def test_seal(self):
        """Required: sealed, or a relay, never a bare socket."""
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.daemon(rule("required", seal='"required"', allow='"tcp://127.0.0.1:*"'),
                             rule("off"))
        can_seal = rig.status(daemon)["seal"] == "yes"
        m = self.ask(daemon, target)
        self.assertEqual(m.number(rig.HANDOVER), rig.TCP if can_seal else rig.RELAY, m)
        if not can_seal:
            m = self.ask(daemon, target, handover=rig.TCP)
            self.assertEqual((m.code, m.fds), (KIND, []), m)
            self.assertIn("must be sealed", m.detail)
        other = self.serve(fdialtest.Echo(host="127.0.0.2"))
        m = self.ask(daemon, f"tcp://127.0.0.2:{other.port}")
        self.assertEqual(m.number(rig.HANDOVER), rig.TCP, m)

    def test_max_pending(self):
        hole = self.serve(fdialtest.BlackHole())
        target = f"tcp://127.0.0.1:{hole.port}"
        daemon = self.daemon(rule(max_pending="5"), rule("other", client=f'"uid:{OTHER}"'))
        sessions = [self.session(daemon) for _ in range(3)]  # over all sessions and workers
        ids = [s.submit(target, timeout_ms=60000) for s in (sessions * 2)[:5]]
        for s in sessions:
            s.status()
        m = sessions[2].connect(target)
        self.assertEqual((m.code, m.stage), (OVER_LIMIT, "request"), m)
        self.assertIn("max-pending of rule", m.detail)
        done = daemon.run_cli(["connect", target])
        self.assert_report(done, 1, "request: over a limit")
        self.assertEqual(self.status_as(daemon, OTHER, "tcp://127.0.0.1:1"), 1)  # refused, not limited
        sessions[0].send(rig.message(rig.CANCEL, ids[0]))
        self.assertEqual(sessions[0].recv().code, 10)
        sessions[1].close()
        fdialtest.wait_until(lambda: rig.status(daemon)["requests_now"] == "3"
                             or rig.status(daemon)["requests_now"] == "2", rig.WAIT_S, "room")
        self.assertEqual(sessions[2].connect("tcp://127.0.0.1:1").code, 40)
        self.assertEqual(sessions[2].connect(target, rig.u32(rig.COUNT, 4)).code, OVER_LIMIT)

    def test_max_relays(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.daemon(rule(max_relays="3"))
        s = self.session(daemon)
        relays = [self.dial(s, target, handover=rig.RELAY) for _ in range(3)]
        m = s.connect(target, handover=rig.RELAY)
        self.assertEqual(m.code, OVER_LIMIT, m)
        self.assertIn("max-relays of rule", m.detail)
        self.assertEqual(self.ask(daemon, target, handover=rig.TCP).code, 0)
        relays[0].close()
        self.assertEqual(s.ended(), rig.CLEAN)
        self.assert_echo(self.dial(s, target, handover=rig.RELAY))
        for c in relays[1:]:
            self.assert_echo(c)

    def test_tls_name(self):
        authority = fdialtest.Authority()
        origin = self.serve(fdialtest.Tls(*authority.issue("one.test")))
        daemon = self.daemon(
            f'tls "t" {{ ca-file = "{authority.certificate}" }}\n',
            rule(tls='"t"', allow=strings("tls://localhost:*", "tls://one.test:*", "tls://bad.test:*"),
                 deny='"tls://bad.test:*"'))
        target = f"tls://localhost:{origin.port}"
        self.assertEqual(self.ask(daemon, target, attr(rig.TLS_NAME, "one.test")).code, 0)
        self.assertEqual(self.ask(daemon, target).code, 72)
        for name in ("two.test", "bad.test"):
            m = self.ask(daemon, target, attr(rig.TLS_NAME, name))
            self.assertEqual((m.code, m.stage), (DENIED, "policy"), m)
        fdialtest.wait_until(lambda: origin.seen, what="the end of the handshake at the origin")
        self.assertEqual([name for name, *_ in origin.seen], ["one.test"])

    # ---- explain ----

    def explained(self, daemon, target, *attributes):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            return s.explain(target, *attributes)

    def test_explain(self):
        daemon = self.daemon(rule("web", allow=strings("https://*", "tcp://127.0.0.1:*")))
        m = self.explained(daemon, "https://mixed.test")
        self.assertEqual((m.code, m.text(rig.RULE), m.text(rig.PLAN)), (
            0, "web", "resolve(mixed.test) connect(443) tls(mixed.test) handoff(relay)"))
        m = self.explained(daemon, "tcp://127.0.0.1:5")
        self.assertEqual(m.text(rig.PLAN), "address(127.0.0.1) connect(5) handoff(tcp)")
        m = self.explained(daemon, "tcp://127.0.0.2:5")
        self.assertEqual((m.code, m.detail), (DENIED, "no rule allows this target to this client"), m)
        self.assertEqual(self.explained(daemon, "x").code, 3)
        who = f"uid {rig.UID} gid {os.getgid()}"
        self.assertRegex(m.text(rig.WHO), rf"\A{who}( groups [\d,.]+)?( unit .+)?( cgroup /.*)?\Z")
        done = daemon.run_cli(["explain", "https://mixed.test"])
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout.decode(), rf"\Aclient: {who}.*\nrule: web\nplan: .*\n\Z")
        done = daemon.run_cli(["explain", "tcp://127.0.0.2:5"])
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stdout.decode(), rf"\Aclient: {who}.*\n\Z")
        self.assertEqual(self.names.questions, [])

    def test_explain_as(self):
        daemon = self.daemon(rule("theirs", client='"user:daemon"'))
        m = self.explained(daemon, "tcp://127.0.0.1:5", attr(rig.AS_USER, "daemon"))
        self.assertEqual((m.code, m.text(rig.RULE)), (0, "theirs"), m)
        self.assertRegex(m.text(rig.WHO), r"\Auid 1 gid 1 groups [\d,]+\Z")
        m = self.explained(daemon, "tcp://127.0.0.1:5", attr(rig.AS_USER, "1"))
        self.assertEqual((m.code, m.text(rig.RULE)), (0, "theirs"), m)
        self.assertEqual(self.explained(daemon, "tcp://127.0.0.1:5").code, DENIED)
        self.assertEqual(self.explained(daemon, "tcp://127.0.0.1:5",
                                        attr(rig.AS_USER, "no-such-user")).code, BAD_OPTION)
        done = daemon.run_cli(["explain", "--as", "daemon", "tcp://127.0.0.1:5"])
        self.assertEqual((done.returncode, b"theirs" in done.stdout), (0, True), done)
        for user in ("root", "daemon"):  # even one's own name
            done = daemon.run_cli(["explain", "--as", user, "tcp://127.0.0.1:5"], uid=1)
            self.assertEqual(done.returncode, 4, done)
            self.assertNotIn(b"theirs", done.stdout + done.stderr)
            self.assertEqual(done.stdout, b"")

    # ---- configuration ----

    def assert_config_error(self, text, line, pattern):
        path = os.path.join(self.directory(), "c.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run([fdialtest.program("fdiald"), "--check-config", "--config", path],
                              env=fdialtest.built_environment(), capture_output=True, text=True,
                              check=False, timeout=rig.WAIT_S)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, rf"{path}:{line}: .*{pattern}")

    def test_check_config(self):
        good = os.path.join(self.directory(), "good.conf")
        with open(good, "w", encoding="utf-8") as f:
            f.write(rule())
        done = subprocess.run([fdialtest.program("fdiald"), "--check-config", "--config", good],
                              env=fdialtest.built_environment(), capture_output=True, check=False,
                              timeout=rig.WAIT_S)
        self.assertEqual(done.returncode, 0, done)
        for text, line, pattern in (
                ("# a\n# b\nworkers = 02\n", 3, "02"), ("workers = 1\n/* x\n */\nworkers = 2\n", 4, ""),
                ("\nrule \"a\" {\n  allow = \"tcp://a:1\"\n}\n", 2, "client"),
                (rule() + rule(), 9, "test"), (rule(allow='"tcp://a"'), 3, ""),
                (rule(addresses='"everything"'), 4, "everything"), (rule(tls='"none"'), 8, "none"),
                (rule(client='"user:no-such-user"'), 2, "no-such-user"), ("nonsense = 1\n", 1, ""),
                (rule()[:-3], "[0-9]+", "")):
            with self.subTest(text):
                self.assert_config_error(text, line, pattern)

    def test_start_with_a_bad_configuration(self):
        with self.assertRaisesRegex(AssertionError, "ended at its start, status 1(.|\n)*fdiald.conf:2: "):
            self.start_daemon("\nnonsense = 1\n")

    def test_reload(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        hole = self.serve(fdialtest.BlackHole())
        daemon = self.daemon(rule(max_pending="7"))
        s = self.session(daemon)
        relay = self.dial(s, target, handover=rig.RELAY)
        slow = s.submit(f"tcp://127.0.0.1:{hole.port}", timeout_ms=2000)
        daemon.write_config("workers = 1\n\nrule {\n")
        daemon.reload()
        daemon.wait_log(r"fdiald\.conf:\d+: ")
        daemon.wait_log("the running configuration stays")
        self.assertEqual(self.ask(daemon, target).code, 0)
        daemon.write_config(self.dns + rule("new", allow='"tcp://127.0.0.2:*"'))
        daemon.reload()
        daemon.wait_log("configuration reloaded")
        fdialtest.wait_until(lambda: self.ask(daemon, target).code == DENIED, rig.WAIT_S, "the new rules")
        for _ in range(8):  # on every worker, sooner or later
            fdialtest.wait_until(lambda: self.ask(daemon, target).code == DENIED, rig.WAIT_S)
        self.assert_echo(relay)  # what was given stays
        m = s.recv()
        self.assertEqual((m.id, m.code, m.stage), (slow, 11, "connect"))  # what was begun goes on
        self.assertEqual(s.connect(target).code, DENIED)  # an old session too
        os.unlink(daemon.config_path)
        daemon.reload()
        fdialtest.wait_until(lambda: daemon.log().count("the running configuration stays") == 2,
                             rig.WAIT_S, "the second refusal")
        self.assertEqual(self.ask(daemon, "tcp://127.0.0.2:1").code, 40)

    def test_user_daemon(self):
        """--user: one's own, everything; nobody else, nothing."""
        origin = self.serve(fdialtest.Echo())
        daemon = self.start_daemon(None, user=True, uid=OTHER, env={"HOME": "/nonexistent"})
        self.assertEqual(os.stat(daemon.socket).st_mode & 0o777, 0o600)
        target = f"tcp://127.0.0.1:{origin.port}"
        self.assertEqual(self.status_as(daemon, OTHER, target), 0)
        m = self.ask(daemon, target)  # root may open the file, and is not the user
        self.assertEqual((m.code, m.stage), (DENIED, "policy"), m)
        os.chmod(daemon.socket, 0o666)
        self.assertEqual(self.status_as(daemon, 1, target), 3)  # and others do not believe it

    def test_listeners(self):
        """A rule is for one listener: the one it names, or the default one."""
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.start_daemon(
            rule("agents", socket='"agents"') + rule("other", socket='"fdial"', allow='"tcp://127.0.0.2:*"'),
            listeners=("fdial", "agents"))
        default, agents = (self.session(daemon, path=daemon.sockets[n]) for n in ("fdial", "agents"))
        self.assertEqual(default.connect(target).code, DENIED)
        self.assertEqual(default.connect("tcp://127.0.0.2:1").code, 40)
        self.assertNotIn("socket", default.explain(target).text(rig.WHO))
        self.assert_echo(self.dial(agents, target))
        m = agents.explain("tcp://127.0.0.2:1")
        self.assertEqual((m.code, m.text(rig.RULE)), (0, "agents"), m)
        self.assertRegex(m.text(rig.WHO), rf"\Auid {rig.UID} gid \d+.* socket agents\b")
        self.assertNotIn("does not have", daemon.log())

    def test_rules_for_no_listener(self):
        rules = rule("agents", socket='"agnets"') + rule("fallback", socket='"others"') + rule("plain")
        daemon = self.start_daemon(rules)
        daemon.wait_log("rules for sockets that the daemon does not have: 2, first 'agents' for 'agnets'$")
        daemon = self.start_daemon(rule("plain"), listeners=("agents",))
        daemon.wait_log("the daemon does not have: 1, first 'plain' for 'fdial'$")
        daemon.write_config(rule("agents", socket='"agnets"'))
        daemon.reload()
        daemon.wait_log("the daemon does not have: 1, first 'agents' for 'agnets'$")

    # ---- life ----

    def start_second(self, path, **kwargs):
        config = os.path.join(self.directory(), "second.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(rule())
        return subprocess.run([fdialtest.program("fdiald"), "--config", config, "--socket", path],
                              env=fdialtest.built_environment(), capture_output=True, text=True,
                              check=False, timeout=rig.WAIT_S, **kwargs)

    def test_two_daemons(self):
        daemon = self.daemon(rule())
        done = self.start_second(daemon.socket)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("another daemon listens here", done.stderr)
        self.assertEqual(self.ask(daemon, "tcp://127.0.0.1:1").code, 40)

    def test_bad_socket_path(self):
        file = f"{self.directory()}/file"
        with open(file, "wb"):
            pass
        for path, what in ((file, f"{file}: is no socket; remove it, or name another path"),
                           ("", "the path of the socket is empty")):
            done = self.start_second(path)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(f"fdiald: {what}\n", done.stderr)
        self.assertTrue(os.path.isfile(file))

    def test_socket_path_in_use(self):
        directory = self.directory()
        busy = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # accepts nobody, backlog full
        busy.bind(f"{directory}/busy")
        busy.listen(0)
        fill = []
        for _ in range(3):
            fill.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            fill[-1].setblocking(False)
            fill[-1].connect_ex(f"{directory}/busy")
        done = self.start_second(f"{directory}/busy")
        self.assertEqual((done.returncode, "another daemon" in done.stderr), (1, True), done)
        with open(f"{directory}/file", "w", encoding="ascii") as f:
            f.write("mine")
        done = self.start_second(f"{directory}/file")
        self.assertEqual(done.returncode, 1, done)
        with open(f"{directory}/file", encoding="ascii") as f:
            self.assertEqual(f.read(), "mine")
        self.assertEqual(self.start_second(f"{directory}/{'x' * 120}").returncode, 1)
        for s in [*fill, busy]:
            s.close()

    def test_stale_socket(self):
        daemon = self.daemon(rule())
        daemon.kill()
        self.assertTrue(os.path.exists(daemon.socket))
        # The new one must not take the dying socket of the old one for one in use, nor must we.
        again = fdialtest.popen([fdialtest.program("fdiald"), "--config", daemon.config_path,
                                 "--socket", daemon.socket], env=fdialtest.built_environment(),
                                stderr=subprocess.DEVNULL)
        try:
            def is_served():
                self.assertIsNone(again.poll(), "the new one gave up")
                try:
                    return self.ask(daemon, "tcp://127.0.0.1:1").code == 40
                except (AssertionError, OSError):
                    return False

            fdialtest.wait_until(is_served, rig.WAIT_S, "the new one")
            again.terminate()
            self.assertEqual(again.wait(rig.WAIT_S), 0)
        finally:
            again.kill()
            again.wait()
        self.assertFalse(os.path.exists(daemon.socket))

    @staticmethod
    def is_listening(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(path) == 0

    def test_drain(self):
        """What is in flight finishes, relays go on until drain-timeout, new ones are refused."""
        drain_s = 16 if fdialtest.IS_SLOW else 8  # time enough for what is looked at meanwhile
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        authority = fdialtest.Authority()
        tls = self.serve(fdialtest.Tls(*authority.issue()))
        slow = self.serve(fdialtest.Between(tls.port, chunk=400, delay_s=0.2))
        daemon = self.daemon(rule(tls='"t"'), more=f"drain-timeout = {drain_s}\n"
                             f'tls "t" {{ ca-file = "{authority.certificate}" }}\n')
        s = self.session(daemon)
        relay = self.dial(s, target, handover=rig.RELAY)
        sock = self.dial(s, target)
        ident = s.submit(f"tls://localhost:{slow.port}")
        fdialtest.wait_until(lambda: slow.accepted, rig.WAIT_S, "the handshake")
        started = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        fdialtest.wait_until(lambda: s.connect_code(target) == 9, rig.WAIT_S, "refusals")
        m = s.early or s.recv()
        self.assertEqual((m.id, m.code), (ident, 0), m)
        late = socket.socket(fileno=m.fds[0])
        late.settimeout(rig.WAIT_S)
        self.assert_echo(late)
        self.assert_echo(relay)
        self.assertEqual(relay.recv(1), b"")
        self.assertGreater(time.monotonic() - started, drain_s - 0.5)
        self.assertEqual(sorted(filter(None, (s.ended(), s.ended()))), [rig.DRAINED] * 2)
        self.assertEqual(daemon.process.wait(rig.WAIT_S), 0)
        self.assert_echo(sock)  # nobody's but ours
        late.close()
        self.assertFalse(os.path.exists(daemon.socket))
        daemon.is_ended = True

    def test_drain_of_an_idle_daemon(self):
        daemon = self.daemon(rule())
        s = self.session(daemon)
        started = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - started, 10)  # an idle session does not hold it
        self.assertIsNone(s.recv())

    def test_drain_ends_with_the_last_relay(self):
        origin = self.serve(fdialtest.Echo())
        daemon = self.daemon(rule(), more="drain-timeout = 600\n")
        s = self.session(daemon)
        relay = self.dial(s, f"tcp://127.0.0.1:{origin.port}", handover=rig.RELAY)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assert_echo(relay)
        self.assertIsNone(daemon.process.poll())
        relay.close()
        self.assertEqual(daemon.process.wait(rig.WAIT_S), 0)

    def test_second_signal_ends_at_once(self):
        origin = self.serve(fdialtest.Echo())
        daemon = self.daemon(rule(), more="drain-timeout = 600\n")
        s = self.session(daemon)
        self.dial(s, f"tcp://127.0.0.1:{origin.port}", handover=rig.RELAY)
        daemon.process.send_signal(signal.SIGTERM)
        fdialtest.wait_until(lambda: s.connect_code("tcp://127.0.0.1:1") == 9, rig.WAIT_S, "drain")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(rig.WAIT_S)
        daemon.is_ended = True

    def test_reload_storm(self):
        """Reloads under load: nothing is lost, nothing stays."""
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.daemon(rule())
        state = rig.State(daemon)
        stop = threading.Event()

        def reload():
            while not stop.wait(0.02):
                daemon.reload()

        thread = threading.Thread(target=reload)
        thread.start()
        try:
            s = self.session(daemon)
            for _ in range(200):
                with contextlib.closing(s.dial(target)) as c:
                    self.assert_echo(c, b"x")
        finally:
            stop.set()
            thread.join()
        self.close_all()
        state.check()


if __name__ == "__main__":
    fdialtest.main()
