"""The limits of a rule: for one user over all his sessions and workers, not for the others; a client at
its limit is told so at once, and which it is."""
# time-limit: 120
import contextlib
import os
import re
import time

import fdialtest
import rig
from rig import rule

OVER_LIMIT, CANCELLED, REFUSED = 7, 10, 40
NAMES_MAX = 1024
WORKERS = 4
SESSIONS = 16  # more than workers, so that most of these have one
CLIENTS = f'{{ "uid:{rig.UID}", "uid:{fdialtest.CLIENT_UID}" }}'


def as_other(call):
    """What `call` returns in a process of another user."""
    return fdialtest.call_as(call, uid=fdialtest.CLIENT_UID)


class Limits(rig.Case):
    def setUp(self):
        super().setUp()
        fdialtest.need_root()
        self.origin = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.origin.port}"

    def start(self, more="", **keys):
        self.daemon = self.start_daemon(f"workers = {WORKERS}\n{more}" + rule(client=CLIENTS, **keys),
                                        log_level="warning")
        state = rig.State(self.daemon)
        self.sessions = [self.session(self.daemon) for _ in range(SESSIONS)]
        return state

    def assert_refused(self, key, **kwargs):
        """In every session, at once, by name."""
        for s in self.sessions:
            m = s.connect(self.target, **kwargs)
            self.assertEqual((m.code, m.stage, m.fds), (OVER_LIMIT, "request", []), m)
            self.assertIn(f"{key} of rule 'test'", m.detail)

    def assert_other_is_served(self, **kwargs):
        def dial():
            with contextlib.closing(rig.Session(self.daemon.socket)) as s, \
                    contextlib.closing(s.dial(self.target, **kwargs)) as c:
                self.assert_echo(c)
            return "served"

        self.assertEqual(as_other(dial), "served")

    def test_pending(self):
        hole = self.serve(fdialtest.BlackHole())
        state = self.start(max_pending="24")
        for i in range(24):
            self.sessions[i % SESSIONS].submit(f"tcp://127.0.0.1:{hole.port}")
        for s in self.sessions:
            s.status()
        self.assert_refused("max-pending")
        self.assert_other_is_served()
        self.close_all()
        state.check()

    def test_relays(self):
        state = self.start(max_relays="24")
        for i in range(24):
            self.dial(self.sessions[i % SESSIONS], self.target, handover=rig.RELAY)
        self.assert_refused("max-relays", handover=rig.RELAY)
        self.assert_other_is_served(handover=rig.RELAY)
        self.close_all()
        state.check()

    def connect_codes(self, n):
        """Of n requests, one after the other in all sessions: how many were let, and the last refusal."""
        n_let, refusal = 0, None
        for i in range(n):
            m = self.sessions[i % SESSIONS].connect("tcp://127.0.0.1:1")
            n_let += m.code == REFUSED
            refusal = m if m.code == OVER_LIMIT else refusal
        return n_let, refusal

    def test_rate(self):
        state = self.start(max_rate='"20/s"')
        begin = time.monotonic()
        n_let, m = self.connect_codes(400)
        passed_s = time.monotonic() - begin
        self.assertGreaterEqual(n_let, 20)
        self.assertLessEqual(n_let, 20 * (1 + passed_s) + 1)
        if m:  # a slow machine may take 20 s for 400
            self.assertRegex(m.detail, r"max-rate of rule 'test': try again in \d+ ms")
        self.assert_other_is_served()
        self.close_all()
        state.check()

    def test_rate_in_an_hour(self):
        """One at a time; a client that leaves and comes back finds its account as it was."""
        state = self.start(max_rate='"3/h"')
        self.assertEqual(self.sessions[0].connect("tcp://127.0.0.1:1").code, REFUSED)
        self.assert_refused("max-rate")
        self.close_all()
        state.check()
        m = self.session(self.daemon).connect(self.target)
        self.assertEqual(m.code, OVER_LIMIT, m)
        wait_ms = int(re.search(r"in (\d+) ms", m.detail)[1])
        self.assertTrue(1000_000 < wait_ms <= 1200_001, wait_ms)
        done = self.daemon.run_cli(["connect", self.target])
        self.assert_report(done, 1, "over a limit.*max-rate of rule")
        self.assert_other_is_served()

    def test_rate_counts_connections(self):
        self.start(max_rate='"2/min"')
        self.assertEqual(self.sessions[0].connect("tcp://127.0.0.1:1", rig.u32(rig.COUNT, 3)).code, REFUSED)
        m = self.sessions[1].connect("tcp://127.0.0.1:1")
        self.assertEqual(m.code, OVER_LIMIT, m)
        wait_ms = int(re.search(r"in (\d+) ms", m.detail)[1])
        self.assertTrue(60_000 < wait_ms <= 90_001, wait_ms)

    def test_names(self):
        """Being looked up, also those that nobody waits for any more; counted in all workers together."""
        names = self.name_server("* - SILENT\ngood.test 60 A 127.0.0.1\n")
        state = self.start(f'nameservers = "127.0.0.1:{names.port}"\n')

        def flood():
            with contextlib.ExitStack() as stack:
                sessions = [stack.enter_context(contextlib.closing(rig.Session(self.daemon.socket)))
                            for _ in range(SESSIONS)]
                refused = set()
                for i in range(2 * NAMES_MAX):
                    s = sessions[i % SESSIONS]
                    ident = s.submit(f"tcp://n{i}.test:80")
                    s.send(rig.message(rig.CANCEL, ident))
                    m = s.recv_kind(rig.RESULT)
                    if m.code == OVER_LIMIT:
                        refused.add(i % SESSIONS)
                        assert "for this user" in m.detail, m
                    elif i < NAMES_MAX:
                        assert m.code == CANCELLED, m
                return len(refused)

        self.assertEqual(as_other(flood), str(SESSIONS))
        result = self.sessions[0].connect(f"tcp://good.test:{self.origin.port}")
        self.assertEqual(result.code, 0, result)
        os.close(result.fds[0])
        self.close_all()
        fdialtest.wait_until(lambda: not state.why_not(), 3 * rig.WAIT_S, "questions given up")
        state.check(spare_fds=WORKERS)

    def test_rate_is_not_taken_by_who_is_refused(self):
        hole = self.serve(fdialtest.BlackHole())
        self.start(max_rate='"2/s"', max_pending="1")
        self.sessions[0].submit(f"tcp://127.0.0.1:{hole.port}")
        self.sessions[0].status()
        self.assert_refused("max-pending")
        self.sessions[0].send(rig.message(rig.CANCEL, 1))
        self.assertEqual(self.sessions[0].recv_kind(rig.RESULT).id, 1)
        m = self.sessions[1].connect("tcp://127.0.0.1:1")
        self.assertEqual(m.code, REFUSED, m)


if __name__ == "__main__":
    fdialtest.main()
