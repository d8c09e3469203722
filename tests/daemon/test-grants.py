#!/usr/bin/env python3
"""Grants: what they cover, whose they are, how long they last; and holders that are not kind to the
daemon, to the maker, or to each other."""
# time-limit: 240
import contextlib
import os
import resource
import socket
import subprocess
import threading

import fdialtest
import rig
from rig import attr, hello, message, rule, strings

BAD_MESSAGE, BAD_OPTION, OVER_LIMIT, DRAINING, WRONG_SENDER, DENIED, REFUSED = 1, 4, 7, 9, 13, 20, 40
OTHER = fdialtest.CLIENT_UID
GRANTS_MAX, GRANT_SESSIONS_MAX, DEPTH_MAX = 1024, 256, 8
NOT_COVERED = "the grant does not cover this target"

JUNK = [b"", b"\0", bytes(16), b"\xff" * 64, bytes(100000), hello(), message(rig.STATUS, 3),
        message(rig.OPEN, 3, attr(rig.PATTERN, "x")), message(rig.OPEN, 3)[:-1],
        message(rig.CONNECT, 3, attr(rig.TARGET, "tcp://127.0.0.1:1")),
        message(rig.GRANT, 3, attr(rig.PATTERN, "*://*:*")), message(rig.OPENED, 3), message(77, 3)]


class Grants(rig.Case):
    def setUp(self):
        super().setUp()
        self.origin = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.origin.port}"
        self.elsewhere = "tcp://127.0.0.1:1"  # allowed by the rules, refused by the kernel

    def start(self, config=None, workers=2, **kwargs):
        daemon = self.start_daemon(f"workers = {workers}\n" + (config or rule()), **kwargs)
        self.state = rig.State(daemon)
        return daemon

    def keep(self, holder):
        self.opened.append(holder)
        self.addCleanup(holder.close)
        return holder

    def grant(self, maker, *patterns):
        return self.keep(maker.grant(*(patterns or [self.target])))

    def open(self, grant, says_hello=True):
        return self.keep(grant.open(says_hello))

    def code(self, session, target, *attributes):
        m = session.connect(target, *attributes)
        for fd in m.fds:
            os.close(fd)
        return m.code

    def tearDown(self):
        self.close_all()
        if not self.state.daemon.is_ended:
            self.state.check()

    def call_as(self, uid, function):
        """What it returned, or the exception's text."""
        return fdialtest.call_as(function, uid=uid)

    # ---- what it covers ----

    def test_narrows(self):
        s = self.session(self.start())
        inside = self.open(self.grant(s, "tcp://127.0.0.2:*", self.target))
        self.assert_echo(self.dial(inside, self.target))
        self.assertEqual(self.code(inside, "tcp://127.0.0.2:1"), REFUSED)
        m = inside.connect(self.elsewhere)
        self.assertEqual((m.code, m.stage, m.detail), (DENIED, "policy", NOT_COVERED))
        self.assertEqual(self.code(s, self.elsewhere), REFUSED)
        self.assertEqual(self.code(inside, "nonsense"), 3)

    def test_never_widens(self):
        """The rules go on deciding, with their deny; and a grant of a grant covers what both cover."""
        daemon = self.start(rule(allow=strings("tcp://127.0.0.1:*", "tcp://localhost:*"),
                                 deny='"tcp://127.0.0.1:1"'))
        s = self.session(daemon)
        wide = self.open(self.grant(s, "*://*:*", "unix:/run/x"))
        self.assertEqual(self.code(wide, self.target), 0)
        for target in (self.elsewhere, "tcp://127.0.0.2:1", "unix:/run/x"):
            m = wide.connect(target)
            self.assertEqual(m.code, DENIED)
            self.assertNotEqual(m.detail, NOT_COVERED)
        narrow = self.open(self.grant(wide, self.target))
        self.assertEqual(self.code(narrow, self.target), 0)
        for patterns in ("*://*:*",), (self.target, "tcp://127.0.0.1:*"):
            again = self.open(self.grant(narrow, *patterns))
            self.assertEqual(self.code(again, self.target), 0)
            self.assertEqual(again.connect("tcp://127.0.0.1:2").detail, NOT_COVERED)
        other = self.open(self.grant(narrow, "tcp://127.0.0.1:2"))
        for target in (self.target, "tcp://127.0.0.1:2"):
            self.assertEqual(other.connect(target).detail, NOT_COVERED)

    def test_tls_name(self):
        origin = self.serve(fdialtest.Mute())
        authority = fdialtest.Authority()
        daemon = self.start(rule(tls='"t"') + f'tls "t" {{ ca-file = "{authority.certificate}" }}\n')
        target = f"tls://localhost:{origin.port}"
        inside = self.open(self.grant(self.session(daemon), target, f"tls://*.example:{origin.port}"))
        for name, code in (("www.example", 11), ("localhost", 11), ("example", DENIED),
                           ("www.example.org", DENIED)):
            m = inside.connect(target, attr(rig.TLS_NAME, name), timeout_ms=300)
            self.assertEqual(m.code, code, m)
        self.assertEqual(m.detail, "the grant covers the target, but not this TLS name")

    def test_patterns_that_are_refused(self):
        s = self.session(self.start())
        for patterns, detail in (
                (["127.0.0.1"], "127.0.0.1: "), ([self.target, "tcp://*"], "tcp://*: "),
                (["tcp://a\x1b[2J:1"], "tcp://a\\x1b[2J:1: "), (["*" * 512], "***: ")):
            m = s.ask_grant(*patterns)
            self.assertEqual((m.code, m.fds), (BAD_OPTION, []), m)
            self.assertIn(detail, m.detail)
            self.assertRegex(m.detail, r": \w+ .*\w")
        self.assertEqual(self.code(s, self.target), 0)  # the session goes on
        self.assertEqual(rig.status(self.state.daemon)["grants_now"], "0")

    def test_depth(self):
        holder = self.session(self.start())
        for _ in range(DEPTH_MAX):
            holder = self.open(self.grant(holder))
            self.assertEqual(self.code(holder, self.target), 0)
        m = holder.ask_grant(self.target)
        self.assertEqual((m.code, m.fds), (OVER_LIMIT, []))
        self.assertIn("narrowed", m.detail)

    def test_explain(self):
        inside = self.open(self.grant(self.session(self.start())))
        m = inside.explain(self.target)
        self.assertEqual((m.code, m.text(rig.RULE)), (0, "test"))
        self.assertNotIn(rig.WHO, m.attributes)  # nobody's business
        m = inside.explain(self.elsewhere)
        self.assertEqual((m.code, m.detail), (DENIED, NOT_COVERED))
        self.assertNotIn(rig.WHO, m.attributes)

    def test_operators_rights_are_not_granted(self):
        """The daemon's own user, who may ask for others and sees the counters, cannot pass that on."""
        s = self.session(self.start())
        self.assertIn("requests", s.status())
        self.assertEqual(s.explain(self.target, attr(rig.AS_USER, "0")).code,
                         0 if rig.UID == 0 else DENIED)
        inside = self.open(self.grant(s, "*://*:*"))
        self.assertNotIn("requests", inside.status())
        self.assertIn("version", inside.status())
        m = inside.explain(self.target, attr(rig.AS_USER, str(rig.UID)))
        self.assertEqual(m.code, DENIED)
        self.assertIn("only root", m.detail)

    # ---- whose it is, and how long ----

    def test_other_users(self):
        """A grant works for whoever holds it, uid 65534 too, which no rule ever matches."""
        fdialtest.need_root()
        grant = self.grant(self.session(self.start()))

        def use():
            with contextlib.closing(grant.open()) as s:
                return self.code(s, self.target), self.code(s, self.elsewhere)

        for uid in (OTHER, 65534):
            self.assertEqual(self.call_as(uid, use), str((0, DENIED)))

    def test_makers_rights_and_not_the_holders(self):
        """A user without any right makes a grant; that gives nothing, even to one who has rights."""
        fdialtest.need_root()
        daemon = self.start()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def make():
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                socket.send_fds(there, [b"x"], s.ask_grant("*://*:*").fds)

        self.assertEqual(self.call_as(OTHER, make), "None")
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
        here.close()
        there.close()
        s = self.open(self.keep(rig.Grant(fds[0])))
        m = s.connect(self.target)
        self.assertEqual((m.code, m.detail),
                         (DENIED, "as the grant's maker: no rule is for this client on this socket"))

    def test_survives_its_maker(self):
        daemon = self.start()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def make():
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                socket.send_fds(there, [b"x"], s.ask_grant(self.target).fds)

        self.assertEqual(self.call_as(None, make), "None")  # that process is gone now
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
        here.close()
        there.close()
        grant = self.keep(rig.Grant(fds[0]))
        for _ in range(3):
            inside = self.open(grant)
            self.assert_echo(self.dial(inside, self.target))
            self.assertEqual(inside.connect(self.elsewhere).detail, NOT_COVERED)
        grant.close()
        self.assertEqual(self.code(inside, self.target), 0)  # and a session survives its grant
        deeper = self.open(self.grant(inside))
        self.assertEqual(self.code(deeper, self.target), 0)

    def in_cgroup_file_system(self, script):
        """Whether the script could be done, in the root of the unified hierarchy."""
        mount = f"mount -t cgroup2 none {self.directory()} && cd $_ && "
        return subprocess.run(["unshare", "-m", "bash", "-c", mount + script], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0

    def test_cgroup_of_the_maker(self):
        """It is as when the grant was made, though no rule asked for it then."""
        fdialtest.need_root()
        name = f"fdial-test-{os.getpid()}"
        if not self.in_cgroup_file_system(f"mkdir {name}"):
            fdialtest.skip("no cgroups can be made here")
        self.addCleanup(self.in_cgroup_file_system, f"rmdir {name}")
        daemon = self.start()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def make():
            assert self.in_cgroup_file_system(f"echo {os.getpid()} >{name}/cgroup.procs")
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                socket.send_fds(there, [b"x"], s.ask_grant(self.target).fds)

        self.assertEqual(self.call_as(None, make), "None")
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
        here.close()
        there.close()
        grant = self.keep(rig.Grant(fds[0]))
        inside = self.open(grant)
        for group, code in ("nobody's", DENIED), (name, 0):
            daemon.write_config("workers = 2\n" + rule(client=f'"cgroup:/{group}"'))
            daemon.reload()
            fdialtest.wait_until(lambda: self.code(inside, self.target) == code, rig.WAIT_S,  # noqa: B023
                                 f"what {group} may have")
        deeper = self.open(self.grant(inside))
        self.assertEqual(self.code(deeper, self.target), 0)

    def test_reload_takes_rights_away(self):
        daemon = self.start(rule(allow='"tcp://127.0.0.1:*"'))
        grant = self.grant(self.session(daemon), "*://*:*")
        before = self.open(grant)
        self.assertEqual(self.code(before, self.target), 0)
        daemon.write_config("workers = 2\n" + rule(allow='"tcp://127.0.0.2:*"'))
        daemon.reload()
        fdialtest.wait_until(lambda: self.code(before, self.target) == DENIED, rig.WAIT_S, "the new rules")
        after = self.open(grant)
        self.assertEqual(self.code(after, self.target), DENIED)
        self.assertEqual(self.code(after, "tcp://127.0.0.2:1"), REFUSED)

    def test_listener(self):
        """What counts is the socket on which the maker came in."""
        daemon = self.start(rule(socket='"agents"', allow=f'"{self.target}"') + rule("default", allow='"tcp://h:1"'),
                            listeners=["fdial", "agents"])
        for name, code in (("agents", 0), ("fdial", DENIED)):
            s = self.keep(rig.Session(daemon.sockets[name]))
            self.assertEqual(self.code(self.open(self.grant(s)), self.target), code)

    def test_session_belongs_to_who_speaks_first(self):
        grant = self.grant(self.session(self.start()))
        inside = self.open(grant, says_hello=False)

        def speak():
            inside.send(hello())
            return inside.recv().kind, self.code(inside, self.target)

        self.assertEqual(self.call_as(None, speak), str((rig.WELCOME, 0)))
        self.assertIsNone(inside.recv())  # and it ends with him
        inside = self.open(grant, says_hello=False)
        here, there = socket.socketpair()

        def speak_and_wait():
            answer = speak()
            there.send(b"x")
            there.recv(1)
            return answer

        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.call_as(None, speak_and_wait)))
        thread.start()
        here.recv(1)
        inside.send(message(rig.STATUS, 1))  # this process opened it, and is too late
        m = inside.recv()
        self.assertEqual((m.kind, m.code), (rig.ERROR, WRONG_SENDER))
        self.assertIsNone(inside.recv())
        here.send(b"x")
        thread.join()
        here.close()
        there.close()
        self.assertEqual(answers, [str((rig.WELCOME, 0))])
        self.assertEqual(self.code(self.open(grant), self.target), 0)

    def test_session_passed_on(self):
        fdialtest.need_root()
        inside = self.open(self.grant(self.session(self.start())))

        def use():
            inside.send(message(rig.STATUS, 1))
            m = inside.recv()
            return m.kind, m.code

        for uid in (None, OTHER):
            self.assertEqual(self.call_as(uid, use), str((rig.ERROR, WRONG_SENDER)))
            inside = self.open(self.grant(self.session(self.state.daemon)))

    def test_ends_with_the_daemon(self):
        daemon = self.start()
        grant = self.grant(self.session(daemon))
        inside = self.open(grant)
        daemon.stop()
        self.assertIsNone(inside.recv())
        self.assertIsNone(grant.recv())

    def test_drain(self):
        """While the daemon drains, a grant gives no sessions, and there are no new ones."""
        daemon = self.start("drain-timeout = 600\n" + rule())
        s = self.session(daemon)
        grant = self.grant(s)
        inside = self.open(grant)
        relay = self.dial(inside, self.target, handover=rig.RELAY)
        daemon.process.terminate()
        fdialtest.wait_until(lambda: s.connect_code(self.elsewhere) == DRAINING, rig.WAIT_S, "drain")
        m = grant.ask_open()
        self.assertEqual((m.kind, m.code, m.fds), (rig.OPENED, DRAINING, []))
        self.assertEqual(s.ask_grant(self.target).code, DRAINING)
        self.assertEqual(inside.ask_grant(self.target).code, DRAINING)
        self.assert_echo(relay)
        relay.close()
        self.assertIsNone(grant.recv())
        self.assertEqual(daemon.process.wait(rig.WAIT_S), 0)
        daemon.is_ended = True

    # ---- session or grant? ----

    def test_open_on_a_session(self):
        daemon = self.start()
        s = self.session(daemon, says_hello=False)
        for _ in range(2):
            s.send(message(rig.OPEN, 0))
            m = s.recv()
            self.assertEqual((m.kind, m.code, m.fds), (rig.OPENED, 0, []))
        s.send(hello())
        self.assertEqual(s.recv().kind, rig.WELCOME)
        self.assertEqual(self.code(s, self.target), 0)
        s.send(message(rig.OPEN, 0))
        m = s.recv()
        self.assertEqual((m.kind, m.code), (rig.ERROR, BAD_MESSAGE))
        self.assertIn("before hello", m.detail)
        inside = self.open(self.grant(self.session(daemon)), says_hello=False)
        inside.send(message(rig.OPEN, 0))
        m = inside.recv()
        self.assertEqual((m.kind, m.code, m.fds), (rig.OPENED, 0, []))
        inside.send(hello())
        self.assertEqual(inside.recv().kind, rig.WELCOME)

    # ---- several holders ----

    def test_two_processes_share_a_grant(self):
        """Each of several processes opens many sessions at the same time as the others, and each gets
        its own answers in them."""
        origins = [self.serve(fdialtest.Echo()) for _ in range(4)]
        targets = [f"tcp://127.0.0.1:{o.port}" for o in origins]
        grant = self.grant(self.session(self.start()), *targets)
        n_rounds, n_requests = 10, 20

        def use(target):
            port = int(target.rpartition(":")[2])
            for _ in range(n_rounds):
                with contextlib.closing(grant.open()) as s:
                    ids = {s.submit(target) for _ in range(n_requests)}
                    while ids:
                        m = s.recv_kind(rig.RESULT)
                        ids.remove(m.id)  # raises for another's
                        assert m.code == 0, m
                        with socket.socket(fileno=m.fds[0]) as c:
                            assert c.getpeername()[1] == port, "somebody else's connection"
            return "all mine"

        answers = []
        threads = [threading.Thread(target=lambda t=t: answers.append(self.call_as(None, lambda: use(t))))
                   for t in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, ["all mine"] * len(targets))

    def test_another_reads_the_answer(self):
        grant = self.grant(self.session(self.start()))
        grant.send(message(rig.OPEN, 0))
        grant.send(message(rig.OPEN, 0))

        def use():
            m = grant.recv()
            with contextlib.closing(rig.Session(None, True, m.fds[0])) as s:
                return self.code(s, self.target)

        self.assertEqual(self.call_as(None, use), "0")
        self.assertEqual(use(), 0)

    # ---- hostile holders ----

    def test_junk(self):
        """One error each, and the grant remains for the others."""
        daemon = self.start()
        grant = self.grant(self.session(daemon))
        first = self.open(grant)
        for junk in JUNK:
            grant.send(junk)
            m = grant.recv()
            self.assertEqual((m.kind, m.code, m.fds), (rig.ERROR, BAD_MESSAGE, []), junk)
            self.assertTrue(m.detail)
            with contextlib.closing(grant.open()) as s:
                self.assertEqual(self.code(s, self.target), 0)
        grant.send(message(rig.STATUS, 4711))
        self.assertEqual(grant.recv().id, 4711)
        self.assertEqual(self.code(first, self.target), 0)

    def test_fds_are_not_taken(self):
        daemon = self.start()
        grant = self.grant(self.session(daemon))
        r, w = os.pipe()
        grant.send(message(rig.OPEN, 0), [w] * 100)
        self.keep(rig.Session(None, True, grant.recv().fds[0]))
        os.close(w)
        self.assertEqual(os.read(r, 1), b"")
        os.close(r)

    def flood(self, grant, data, n):
        """Sends and never reads; all of it is taken, so that none stays in the daemon's queue."""
        for _ in range(n):
            grant.send(data)

    def test_floods_that_are_not_read(self):
        daemon = self.start(workers=1)
        maker = self.session(daemon)
        rss = daemon.rss_kib()
        for data in (message(rig.OPEN, 0), message(rig.STATUS, 1), b"", bytes(16384)):
            grant = self.grant(maker)
            self.flood(grant, data, 6000)  # more than it remembers
            self.assertEqual(self.code(self.open(self.grant(maker)), self.target), 0)
            self.assertLessEqual(int(rig.status(daemon)["sessions_now"]), GRANT_SESSIONS_MAX + 20)
            if data == message(rig.OPEN, 0):
                # Somebody else with the same grant has only to read.
                m = grant.recv()
                with contextlib.closing(rig.Session(None, True, m.fds[0])) as s:
                    self.assertEqual(self.code(s, self.target), 0)
            grant.close()
            fdialtest.wait_until(lambda: int(rig.status(daemon)["sessions_now"]) < 10, rig.WAIT_S,
                                 "the end of sessions that nobody fetched")
        self.assertLess(daemon.rss_kib() - rss, 32 * 1024)

    def test_grant_that_holds_itself(self):
        """Its fd, sent to the daemon behind opens that nobody reads, does not keep it open."""
        maker = self.session(self.start(workers=1))
        grant = self.grant(maker)
        self.flood(grant, message(rig.OPEN, 0), 2000)
        grant.send(message(rig.OPEN, 0), [grant.socket.fileno()])
        grant.close()
        maker.close()
        self.state.check()

    def test_all_answers_of_a_flood_come(self):
        """Whoever reads late gets as many answers as there were opens."""
        grant = self.grant(self.session(self.start(workers=1)))
        n = 2000  # more than fit into the socket's queue
        self.flood(grant, message(rig.OPEN, 0), n)
        codes = []
        for _ in range(n):
            m = grant.recv()
            self.assertEqual((m.kind, len(m.fds)), (rig.OPENED, 0 if m.code else 1))
            codes.append(m.code)
            for fd in m.fds:
                os.close(fd)
        self.assertEqual(codes[0], 0)
        self.assertEqual(set(codes) - {0, OVER_LIMIT}, set())
        with contextlib.closing(grant.open()) as s:
            self.assertEqual(self.code(s, self.target), 0)

    def test_sessions_of_a_grant_are_limited(self):
        """One grant's holders do not take the sessions of another's, nor the maker's; grants made from
        it count with it."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        maker = self.session(self.start(workers=1))
        hostile, other = self.grant(maker), self.grant(maker)
        first = self.open(hostile)
        inner = self.grant(first)
        for i in range(GRANT_SESSIONS_MAX - 1):
            self.open(inner if i % 2 else hostile, says_hello=False)
        for grant in (hostile, inner):
            m = grant.ask_open()
            self.assertEqual((m.kind, m.code, m.fds), (rig.OPENED, OVER_LIMIT, []))
            self.assertIn("this grant", m.detail)
        self.assertEqual(self.code(self.open(other), self.target), 0)
        first.close()
        fdialtest.wait_until(lambda: not (m := hostile.ask_open()).code and self.keep(
            rig.Session(None, False, m.fds[0])), rig.WAIT_S, "a place")

    def test_a_thousand_grants(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        maker = self.session(self.start(workers=1))
        inside = self.open(self.grant(maker))
        for _ in range(GRANTS_MAX // 2 - 1):
            self.grant(inside)
        m = inside.ask_grant(self.target)
        self.assertEqual((m.code, m.fds), (OVER_LIMIT, []))
        self.assertIn("grants of this user", m.detail)
        grants = [self.grant(maker) for _ in range(GRANTS_MAX // 2)]
        self.assertEqual(maker.ask_grant(self.target).code, OVER_LIMIT)
        self.assertEqual(self.code(self.open(grants[-1]), self.target), 0)
        grants.pop().close()
        fdialtest.wait_until(lambda: not (m := maker.ask_grant(self.target)).code and self.keep(
            rig.Grant(m.fds[0])), rig.WAIT_S, "a place")

    def test_patterns_are_charged(self):
        """The largest grants there are end at the limit of what patterns may take, at once and not at
        the limit of grants."""
        maker = self.session(self.start(workers=1))
        largest = ["tcp://127.0.0.1:1,2,3,4,5,6,7,8,9"] * 256
        rss = self.state.daemon.rss_kib()
        for n in range(GRANTS_MAX):
            m = maker.ask_grant(*largest)
            if m.code:
                break
            self.keep(rig.Grant(m.fds[0]))
        self.assertEqual((m.code, m.detail), (OVER_LIMIT, "the patterns of this user's grants"))
        self.assertGreater(n, 100)
        self.assertLess(self.state.daemon.rss_kib() - rss, 48 * 1024)

    def test_holder_ends_the_grant(self):
        """He can, for it is his socket too; it is the end of nothing else."""
        daemon = self.start()
        maker = self.session(daemon)
        grant, other = self.grant(maker), self.grant(maker)
        inside = self.open(grant)
        grant.socket.shutdown(socket.SHUT_RDWR)
        fdialtest.wait_until(lambda: rig.status(daemon)["grants_now"] == "1", rig.WAIT_S, "its end")
        for s in (inside, maker, self.open(other)):
            self.assertEqual(self.code(s, self.target), 0)

    def test_vanishing(self):
        daemon = self.start()
        for _ in range(20):
            maker = self.session(daemon)
            maker.send(message(rig.GRANT, 1, attr(rig.PATTERN, self.target)))
            maker.close()  # `granted` is never read
            maker = self.session(daemon)
            grant = self.grant(maker)
            grant.send(message(rig.OPEN, 0))
            grant.close()
            inside = self.open(self.grant(maker))
            inside.submit(self.target)
            inside.close()
        self.close_all()
        self.state.check()


if __name__ == "__main__":
    fdialtest.main()
