"""While one user's thousands of TLS requests are under way, another user's requests of either kind are
all answered before that is over: users take turns. Likewise while he asks thousands of questions that
no rule limits, whatever they are."""
# time-limit: 180
import json
import os
import resource
import signal
import subprocess

import fdialtest
import rig
from flood import KINDS, Flood
from rig import rule

FLOOD = 2000 if not fdialtest.IS_SLOW else 500
SESSIONS = 20  # so many that each can submit all it has before it gets an answer
PLAIN, TLS = 10, 4
QUESTIONS = {"grant": 4000, "open": 10000}  # a second's worth or more
if fdialtest.IS_SLOW:
    QUESTIONS = {kind: n // 4 for kind, n in QUESTIONS.items()}
QUESTIONS_ELSE = 30000  # a turn deals with 64 of those that are cheap, however fast it is


def program(name):
    return os.path.join(fdialtest.BUILDDIR, "tests", "bench", name)


class Fairness(rig.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_root()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4 * FLOOD:
            fdialtest.skip(f"RLIMIT_NOFILE is {hard}, which is too low for {FLOOD} at once")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.authority = fdialtest.Authority()
        names = ["IP:127.0.0.1"]
        argv = [program("origin"), "--tls", *cls.authority.issue(sans=names), "1"]
        # Each has its own: an origin knows no users and takes no turns.
        cls.origins = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        cls.flood_port, cls.tls_port = [int(o.stdout.readline()) for o in cls.origins]

    @classmethod
    def tearDownClass(cls):
        for origin in cls.origins:
            origin.kill()
            origin.wait()
            origin.stdout.close()

    def flood(self, daemon):
        """In several sessions; each process ends when all its requests are answered."""
        each = str(FLOOD // SESSIONS)
        argv = [program("client"), "fdial", "--tls", "--port", str(self.flood_port), "--number", each,
                "--depth", each]
        env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
        return [fdialtest.popen(argv, uid=fdialtest.CLIENT_UID, stdout=subprocess.PIPE, env=env)
                for _ in range(SESSIONS)]

    def test_flood_of_tls(self):
        clients = rig.strings(f"uid:{rig.UID}", f"uid:{fdialtest.CLIENT_UID}")
        daemon = self.start_daemon(
            f'workers = 1\ntls "t" {{ ca-file = "{self.authority.certificate}" }}\n'
            + rule(client=clients, tls='"t"'), log_level="warning")
        origin = self.serve(fdialtest.Echo())
        state = rig.State(daemon)
        session = self.session(daemon)
        flood_origin = self.origins[0]
        flood_origin.send_signal(signal.SIGSTOP)  # until all are there
        processes = self.flood(daemon)
        fdialtest.wait_until(lambda: session.status()["requests_now"] == str(FLOOD), rig.WAIT_S,
                             "the flood")
        flood_origin.send_signal(signal.SIGCONT)
        fdialtest.wait_until(lambda: int(session.status()["requests_now"]) < FLOOD, rig.WAIT_S,
                             "answers for the flood")
        for _ in range(PLAIN):
            self.dial(session, f"tcp://127.0.0.1:{origin.port}").close()
        left_after_plain = int(session.status()["requests_now"])
        for _ in range(TLS):
            self.dial(session, f"tls://127.0.0.1:{self.tls_port}").close()
        left = int(session.status()["requests_now"])
        self.assertGreater(left_after_plain, 0)
        self.assertGreater(left, 0)
        for p in processes:
            told = json.loads(p.communicate(timeout=6 * rig.WAIT_S)[0])
            self.assertEqual((p.returncode, told["n"]), (0, FLOOD // SESSIONS))
        print(f"# of the flood's {FLOOD} requests {left} were left")
        self.close_all()
        state.check()

    def check_flood_of_questions(self, daemon, kind):
        """Ten requests take less than a hundred turns of the ring. With all that a turn receives (64 messages)
        dealt with at once, 4000 grants or 7500 opens were before the last of them; without, 40 and 270."""
        number = QUESTIONS.get(kind, QUESTIONS_ELSE)
        origin = self.serve(fdialtest.Echo())
        session = self.session(daemon)
        flood = Flood(daemon.socket, kind, number)
        fdialtest.wait_until(lambda: flood.answered() > 0, rig.WAIT_S, "answers for the flood")
        for _ in range(PLAIN):
            self.dial(session, f"tcp://127.0.0.1:{origin.port}").close()
        answered = flood.answered()
        print(f"# {kind}: of the flood's {number} questions {answered} were answered")
        self.assertLess(answered, number / 2)
        fdialtest.wait_until(lambda: flood.answered() == number, 6 * rig.WAIT_S, "the flood's end")
        flood.stop()

    def test_floods_of_questions(self):
        daemon = self.start_daemon(
            "workers = 1\n" + rule(client=rig.strings(f"uid:{rig.UID}", f"uid:{fdialtest.CLIENT_UID}")),
            log_level="warning")
        state = rig.State(daemon)
        for kind in KINDS:
            with self.subTest(kind=kind):
                self.check_flood_of_questions(daemon, kind)
        self.close_all()
        state.check()


if __name__ == "__main__":
    fdialtest.main()
