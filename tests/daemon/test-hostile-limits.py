"""What one client takes that no quota of a request counts: places for names being looked up, memory for
answers that nobody fetches; and ends that come in an unusual order."""
# time-limit: 180
import contextlib
import os
import re
import select
import signal
import socket
import struct
import threading
import time

import fdialtest
import rig
from rig import attr, message, u32

BAD_MESSAGE, OVER_LIMIT, NO_RESOURCES = 1, 7, 8
FDS_MAX = 256     # of a daemon that may have few
UNTAKEN_PART = 8  # of its fds may wait to be taken by one user
PROMPT_DEPTH = 64
N_PROMPT = 20000 // (10 if fdialtest.IS_SLOW else 1)
USERS = range(fdialtest.CLIENT_UID + 1, fdialtest.CLIENT_UID + 6)
N_OWN_ENDS = 250  # more than the daemon receives before it knows that it must not
HELLO_TIMEOUT_S = 30
N_NAMES = 4500    # more than a worker looks up at the same time
N_SESSIONS = 50   # with 4000 answers each some 150 MB, if nobody minds
N_ASKING = 400    # sessions, with 100 KB or more of questions each
MEMORY_MAX_KIB = 100 * 1024
STALL_S = 35  # RELAY_STALL_US times one more than RELAY_STALLS_MAX
FILL_MAX = 64 << 20  # more than the sockets on the way hold
CLIENTS = f'{{ "uid:{rig.UID}", "uid:{fdialtest.CLIENT_UID}" }}'


class HostileLimits(rig.Case):
    def setUp(self):
        super().setUp()
        self.origin = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.origin.port}"

    def start(self, workers=1, more=""):
        config = f"workers = {workers}\n{more}" + rig.rule(client=CLIENTS, max_pending="64")
        return self.start_daemon(config, log_level="warning")

    def test_results_that_arrive_after_the_end(self):
        """Results wait for room in the socket; then the client ends its side and takes them. The daemon
        sees the end first, some results go out all the same, and their relays outlive the session."""
        daemon = self.start()
        state = rig.State(daemon)
        for n_unread in range(60, 500, 20):
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                for _ in range(n_unread):
                    s.submit("no target")
                s.submit(self.target, handover=rig.RELAY)
                time.sleep(0.03)
                s.socket.shutdown(socket.SHUT_WR)
                while m := s.recv():
                    for fd in m.fds:
                        socket.socket(fileno=fd).close()
        state.check()

    def test_log(self):
        """A user's mistakes are logged, but not thousands of them; how many were left out is said."""
        daemon = self.start_daemon("workers = 1\n" + rig.rule(client=CLIENTS), log_level="info")
        n_sent, begin = 2000, time.monotonic()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            for _ in range(n_sent):
                s.submit("no target")
                s.recv_kind(rig.RESULT)
            seconds = int(time.monotonic() - begin) + 2
            self.assertLessEqual(daemon.log().count("bad target"), 100 * (seconds + 1))
            self.assertGreaterEqual(daemon.log().count("bad target"), 100)

        def told():
            log = daemon.log()
            return log.count("bad target") + sum(int(n) for n in re.findall(r"(\d+) lines about uid", log))

        # Without anything that follows.
        fdialtest.wait_until(lambda: told() == n_sent, rig.WAIT_S, "what was left out")

    def test_names_given_up(self):
        """They are still being looked up, but leave room for those of others."""
        fdialtest.need_root()
        names = self.name_server("* - SILENT\ngood.test 60 A 127.0.0.1\n")
        daemon = self.start(more=f'nameservers = "127.0.0.1:{names.port}"\n')

        def flood():
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                for i in range(1, N_NAMES):
                    s.submit(f"tcp://n{i}.test:80")
                    s.send(message(rig.CANCEL, i))
                    code = s.recv_kind(rig.RESULT).code
                return code

        self.assertEqual(fdialtest.call_as(flood, uid=fdialtest.CLIENT_UID), str(OVER_LIMIT))
        result = self.session(daemon).connect(f"tcp://good.test:{self.origin.port}")
        self.assertEqual(result.code, 0, result)

    def test_answers_that_nobody_fetches(self):
        """In many sessions, each with as many as it may have."""
        fdialtest.need_root()
        daemon = self.start()
        before = daemon.rss_kib()

        def ask():
            sessions = [rig.Session(daemon.socket) for _ in range(N_SESSIONS)]
            for s in sessions:
                try:
                    for i in range(4000):
                        s.send(message(rig.CONNECT, i, attr(rig.TARGET, "no target")))
                except OSError:
                    pass
            return fdialtest.rss_kib(daemon.pid)

        after = int(fdialtest.call_as(ask, uid=fdialtest.CLIENT_UID))
        if not fdialtest.IS_SLOW:  # sanitizers keep what is freed
            self.assertLess(after - before, MEMORY_MAX_KIB)
        self.assertEqual(self.session(daemon).connect(self.target).code, 0)

    def fill(self, connection):
        """Writes until nothing moves any more."""
        connection.settimeout(2)
        with contextlib.suppress(TimeoutError):
            for _ in range(FILL_MAX >> 16):
                connection.sendall(bytes(1 << 16))
            self.fail("it was all taken")

    def test_questions_that_wait(self):
        """More than may wait for their turn, all there at once: some sessions are told so and end, the
        rest is answered."""
        daemon = self.start()
        state = rig.State(daemon)
        sessions = [self.session(daemon) for _ in range(N_ASKING)]
        long = [attr(rig.PATTERN, "x" * 500) for _ in range(30)]
        daemon.process.send_signal(signal.SIGSTOP)
        asked = [0] * N_ASKING
        for i, s in enumerate(sessions):
            s.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.send(message(rig.GRANT, asked[i], *long))
                    asked[i] += 1
            s.socket.settimeout(rig.WAIT_S)
        daemon.process.send_signal(signal.SIGCONT)
        n_refused = 0
        for s, n in zip(sessions, asked):
            left = set(range(n))
            while left:
                m = s.recv()
                if m.kind == rig.ERROR:
                    self.assertEqual((m.code, m.detail),
                                     (OVER_LIMIT, "too many questions of this user wait for an answer"))
                    self.assertIsNone(s.recv())
                    n_refused += 1
                    break
                self.assertEqual(m.kind, rig.GRANTED)
                left.remove(m.id)
        print(f"# {sum(asked)} questions, {n_refused} of {N_ASKING} sessions over the limit")
        self.assertGreater(n_refused, 0)
        self.assertLess(n_refused, N_ASKING)
        self.dial(self.session(daemon), self.target).close()
        self.close_all()
        state.check()

    def start_with_few_fds(self, n_fds, workers=1):
        """Not privileged, so that the kernel limits what waits to be taken."""
        fdialtest.need_root()
        fdialtest.need_command("prlimit")
        clients = "{ " + ", ".join(f'"uid:{uid}"' for uid in (rig.UID, *USERS)) + " }"
        daemon = self.start_daemon(
            f"workers = {workers}\n" + rig.rule(client=clients), uid=fdialtest.CLIENT_UID,
            wrapper=["prlimit", f"--nofile={n_fds}:{n_fds}"])
        os.chmod(daemon.socket, 0o666)
        return daemon

    def ask_for_many(self, session, handover=rig.TCP):
        """Its result has arrived, and is left."""
        session.submit(self.target, u32(rig.COUNT, 64), handover=handover)
        select.select([session.socket], [], [], rig.WAIT_S)

    def hoard(self, daemon, uid):
        """A process of this user that takes nothing; gone when the file that is returned is closed."""
        reader, writer = os.pipe()
        told_reader, told_writer = os.pipe()
        if os.fork() == 0:
            try:
                os.close(writer)
                os.close(told_reader)
                fdialtest.become(uid)
                s = rig.Session(daemon.socket)
                self.ask_for_many(s)
                os.write(told_writer, b"x")
                os.read(reader, 1)
            finally:
                os._exit(0)
        os.close(reader)
        os.close(told_writer)
        self.assertEqual(os.read(told_reader, 1), b"x")
        os.close(told_reader)
        return os.fdopen(writer, "wb")

    def test_fds_that_nobody_takes(self):
        """The kernel counts them for all clients together, unless the daemon is privileged: who gets
        none because of many others is told so, and may try again."""
        daemon = self.start_with_few_fds(FDS_MAX)
        state = rig.State(daemon)
        other = self.session(daemon)
        hoarders = [self.hoard(daemon, uid) for uid in USERS]
        for _ in range(2):
            m = other.connect(self.target)
            self.assertEqual((m.code, m.stage, m.fds), (NO_RESOURCES, "handoff", []), m)
        for h in hoarders:
            h.close()
        for _ in USERS:
            os.wait()
        fdialtest.wait_until(lambda: self.has_one(other), rig.WAIT_S, "a connection")
        other.close()
        state.check()

    def serve_other(self, daemon):
        """Another user gets connections."""
        def codes():
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                return [s.connect(self.target).code for _ in range(5)]
        self.assertEqual(fdialtest.call_as(codes, uid=USERS[0]), str([0] * 5))

    def take_all(self, session):
        """How many fds wait in its socket; the codes of what has none."""
        n_fds, codes = 0, set()
        while m := session.recv():
            n_fds += len(m.fds)
            for fd in m.fds:
                os.close(fd)
            if m.kind == rig.RESULT and m.code:
                codes.add((m.code, m.stage))
        return n_fds, codes

    def test_fds_that_one_does_not_take(self):
        """He is at his limit, also when the daemon has closed his sessions: then the fds wait all the
        same. Others do not notice. When he has taken them he gets more."""
        n_fds_max = 8 * FDS_MAX
        limit = n_fds_max // UNTAKEN_PART
        daemon = self.start_with_few_fds(n_fds_max, workers=2)
        state = rig.State(daemon)
        hostile = [self.session(daemon) for _ in range(30)]
        for i, s in enumerate(hostile):
            self.ask_for_many(s, (rig.TCP, rig.RELAY)[i % 2])
            if i % 3:
                s.send(message(99, 1))
            if i % 10 == 0:
                self.serve_other(daemon)
        m = self.session(daemon).connect(self.target)
        self.assertEqual((m.code, m.stage), (OVER_LIMIT, "handoff"), m)
        self.assertIn(f"{limit} connections wait to be taken", m.detail)
        # Every third is open, of the others those that have fds; this one, and the one that asks.
        fdialtest.wait_until(lambda: rig.status(daemon)["sessions_now"] == str(10 + 2 + 2), rig.WAIT_S,
                             "sessions that were closed")
        n_taken, codes = 0, set()
        for i, s in enumerate(hostile):
            if i % 3 == 0:
                s.socket.shutdown(socket.SHUT_WR)
            n, c = self.take_all(s)
            n_taken, codes = n_taken + n, codes | c
        self.assertEqual(codes, {(OVER_LIMIT, "handoff")})
        self.assertEqual(n_taken, limit)
        # Those that were closed are given up though the client has not closed.
        fdialtest.wait_until(lambda: int(rig.status(daemon)["sessions_now"]) == 2, rig.WAIT_S, "the end")
        again = [self.session(daemon) for _ in range(8)]
        for s in again:
            self.ask_for_many(s)
        fds = [fd for s in again for fd in s.recv_kind(rig.RESULT).fds]
        for fd in fds:
            os.close(fd)
        self.assertEqual(len(fds), limit)
        self.close_all()
        state.check()

    def test_sessions_that_nobody_fetches(self):
        """They wait in a grant's socket, and grants in a session's."""
        daemon = self.start_with_few_fds(8 * FDS_MAX)
        state = rig.State(daemon)
        s = self.session(daemon)
        limit = 8 * FDS_MAX // UNTAKEN_PART
        grants = [s.grant(self.target) for _ in range(3)]
        self.opened += grants
        for i in range(2):
            for _ in range(limit):
                grants[i].send(message(rig.OPEN, 0))
            n = (i + 1) * limit // 4 + 2
            fdialtest.wait_until(lambda n=n: rig.status(daemon)["sessions_now"] == str(n), rig.WAIT_S,
                                 "the sessions")
        m = grants[2].ask_open()
        self.assertEqual((m.kind, m.code), (rig.OPENED, OVER_LIMIT), m)
        ask = message(rig.GRANT, 9, attr(rig.PATTERN, self.target))
        for _ in range(limit // 2):
            s.send(ask)
        fdialtest.wait_until(lambda: rig.status(daemon)["grants_now"] == str(limit // 2 + 3), rig.WAIT_S,
                             "the grants")
        other = self.session(daemon)
        for _ in range(limit // 2):
            other.send(ask)
            m = other.recv_kind(rig.GRANTED)
            self.assertEqual((m.code, m.fds), (OVER_LIMIT, []), m)
        answers = [s.recv_kind(rig.GRANTED) for _ in range(limit // 2)]
        self.assertEqual([(m.code, len(m.fds)) for m in answers], [(0, 1)] * (limit // 2))
        for m in answers:
            for fd in m.fds:
                os.close(fd)
        # One that ends with sessions unfetched is there until they are fetched.
        grants[0].socket.shutdown(socket.SHUT_WR)
        self.assertEqual(self.take_all(grants[0])[0], limit // 4)
        fdialtest.wait_until(lambda: rig.status(daemon)["grants_now"] == "2", rig.WAIT_S, "the grants' end")
        self.close_all()
        state.check()

    def test_own_end_sent(self):
        """A session is closed with fds untaken, and with its own end among what the daemon has not
        received: nobody but the daemon's socket has it then."""
        daemon = self.start()
        state = rig.State(daemon)
        for _ in range(5):
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                s.submit(self.target, handover=rig.TCP)
                select.select([s.socket], [], [], rig.WAIT_S)
                s.socket.setblocking(False)  # a timeout would want more room than there needs to be
                os.kill(daemon.pid, signal.SIGSTOP)
                os.waitpid(daemon.pid, os.WUNTRACED)
                try:
                    for _ in range(N_OWN_ENDS):
                        s.send(message(99, 1), [s.socket.fileno()])
                finally:
                    os.kill(daemon.pid, signal.SIGCONT)
        state.check()

    def test_prompt(self):
        """Who takes what comes never gets to the limit, though it be as small as here."""
        daemon = self.start_with_few_fds(4 * FDS_MAX)
        s = self.session(daemon)
        for _ in range(PROMPT_DEPTH):
            s.submit(self.target, handover=rig.TCP)
        for n_sent in range(PROMPT_DEPTH, PROMPT_DEPTH + N_PROMPT):
            m = s.recv_kind(rig.RESULT)
            self.assertEqual(m.code, 0, m)
            with socket.socket(fileno=m.fds[0]) as c:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if n_sent < N_PROMPT:
                s.submit(self.target, handover=rig.TCP)

    def has_one(self, session):
        m = session.connect(self.target)
        for fd in m.fds:
            os.close(fd)
        return m.code == 0

    def test_relays_to_those_who_never_read(self):
        """A client leaves in mid-transfer what it sends to an origin that never reads: the daemon cannot
        get rid of the bytes, and gives the relay's place back all the same."""
        authority, may_go = fdialtest.Authority(), threading.Event()
        self.addCleanup(may_go.set)
        plain = self.serve(fdialtest.Origin(lambda conn: may_go.wait(600)))
        tls = self.serve(fdialtest.Tls(*authority.issue(), lambda conn: may_go.wait(600)))
        targets = [f"tcp://127.0.0.1:{plain.port}", f"tls://localhost:{tls.port}"]
        daemon = self.start_daemon(
            f'workers = 1\ntls "t" {{ ca-file = "{authority.certificate}" }}\n'
            + rig.rule(tls='"t"', max_relays="2", handoff='"relay"'), log_level="warning")
        s = self.session(daemon)
        state = rig.State(daemon)
        relays = [self.dial(s, target) for target in targets]
        for c in relays:
            self.fill(c)
        self.assertEqual(s.connect(self.target).code, OVER_LIMIT)
        started = time.monotonic()
        for c in relays:
            c.close()
        self.assertEqual(s.connect(self.target).code, OVER_LIMIT)  # not yet
        s.socket.settimeout(STALL_S + rig.WAIT_S)
        self.assertEqual([s.ended(), s.ended()], [rig.RESET] * 2)
        self.assertGreater(time.monotonic() - started, STALL_S / 2)  # a slow origin has its time
        for _ in relays:
            self.assert_echo(self.dial(s, self.target))
        for c in self.opened[1:]:
            c.close()
        self.assertEqual([s.ended(), s.ended()], [rig.CLEAN] * 2)
        state.check()

    def test_no_hello(self):
        """Who says nothing is dropped; who said hello may be silent for as long as he likes. A session
        that a grant gave waits until somebody has fetched it and spoken."""
        daemon = self.start()
        state = rig.State(daemon)
        silent = [self.session(daemon, says_hello=False) for _ in range(100)]
        idle = self.session(daemon)
        grant = idle.grant(self.target)
        self.opened.append(grant)
        silent.append(grant.open(says_hello=False))
        self.opened.append(silent[-1])
        silent[-1].send(message(rig.OPEN, 0))
        self.assertEqual(silent[-1].recv().kind, rig.OPENED)
        grant.send(message(rig.OPEN, 0))
        silent[0].socket.settimeout(HELLO_TIMEOUT_S + rig.WAIT_S)
        begin = time.monotonic()
        for s in silent:
            m = s.recv()
            self.assertEqual((m.kind, m.code), (rig.ERROR, BAD_MESSAGE), m)
            self.assertIn("no hello within 30 seconds", m.detail)
            self.assertIsNone(s.recv())
        self.assertGreater(time.monotonic() - begin, HELLO_TIMEOUT_S - 5)
        self.assertEqual(idle.status()["sessions_now"], "2")
        with contextlib.closing(rig.Session(None, True, grant.recv().fds[0])) as s:
            self.dial(s, self.target)
        self.close_all()
        state.check()

    def test_status_while_draining(self):
        """Some workers have ended, one still has a relay and answers."""
        daemon = self.start(workers=4, more='drain-timeout = "3"\n')
        sessions = [self.session(daemon) for _ in range(12)]
        for s in sessions:
            self.dial(s, self.target, handover=rig.RELAY)
        for s in sessions[:-1]:
            s.close()
        for s in self.opened[1:-1]:
            s.close()
        daemon.process.terminate()
        time.sleep(0.5)
        try:
            self.assertTrue(sessions[-1].status())
        except OSError:
            pass  # it came to its end already
        sessions[-1].close()
        self.assertEqual(daemon.process.wait(rig.WAIT_S), 0, daemon.log()[-4000:])


if __name__ == "__main__":
    fdialtest.main()
