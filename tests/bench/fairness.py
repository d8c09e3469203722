"""How long one user's plain requests take while another floods the daemon with TLS requests in several
sessions: as many as its limits allow at a time; and twice as many, half of which are refused and tried
again at once. Then the same with floods of what no rule limits, each of one kind (tests/daemon/flood.py).

The daemon, with one worker, has a CPU to itself: it is what is measured, and the flood keeps all of it
busy. The others share another CPU. There the flood's origin (nice 19) and its clients (SCHED_IDLE) get what
the rest leaves, so that what is waited for is the daemon and not a place on that CPU; the clients after the
origin, since those that are refused try again without a pause. On a machine that has other things to do,
--realtime keeps these from being measured too.
"""
import json
import os
import subprocess
import sys
import time

import fdialtest
import flood as questions

FOR_MEASURED = ["chrt", "--rr", "1"]  # with --realtime
FOR_ORIGIN = ["nice", "-n", "19"]
FOR_FLOOD = ["chrt", "--idle", "0"]
FLOOD_UID = fdialtest.CLIENT_UID
FLOOD_SESSIONS = 8
FLOOD_MAX = 1024  # max-pending
AIM_US = 5000      # p99 under load, above p99 without

CONFIG = """
workers = 1
tls "bench" {{ ca-file = "{ca}" resumption = false }}
rule "plain" {{
  client = "uid:{uid}"
  allow = "tcp://127.0.0.1:{plain}"
  addresses = "loopback"
  seal = "off"
}}
rule "flood" {{
  client = "uid:{flood_uid}"
  allow = "tls://127.0.0.1:{tls}"
  addresses = "loopback"
  tls = "bench"
  max-pending = {flood_max}
  max-relays = 4096
}}
"""


def on_cpu(rig, cpu, argv, wrapper=()):
    argv = [*wrapper, *argv]
    return ["taskset", "-c", str(cpu), *argv] if rig.is_pinned else argv


class Flood:
    def __init__(self, rig, daemon, tls_port, program, depth):
        argv = on_cpu(rig, rig.origin_cpu, [program, "fdial", "--flood", "--tls", "--port", str(tls_port),
                                            "--depth", str(depth)], FOR_FLOOD)
        env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
        self.start = time.monotonic()
        self.processes = [fdialtest.popen(argv, uid=FLOOD_UID, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, env=env)
                          for _ in range(FLOOD_SESSIONS)]

    def stop(self):
        """Connections and refusals a second."""
        seconds = time.monotonic() - self.start
        told = [json.loads(p.communicate()[0]) for p in self.processes]
        return [sum(t[key] for t in told) / seconds for key in ("connected", "refused")]


def measure(rig, daemon, plain_port, program, n, wrapper):
    argv = on_cpu(rig, rig.origin_cpu, [program, "fdial", "--latency", "--port", str(plain_port), "--number",
                                        str(n), "--daemon", str(daemon.pid)], wrapper)
    env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def describe(name, run):
    print(f"{name:34} p50 {run['p50_us']:7.0f}   p99 {run['p99_us']:7.0f}   longest {run['max_us']:7.0f}")


def judge(alone, loaded):
    over = loaded["p99_us"] - alone["p99_us"]
    return f"p99 {over:.0f} us above that alone, {'within' if over <= AIM_US else 'NOT within'} {AIM_US}"


class Fairness:
    def __init__(self, rig, program, n, is_realtime):
        self.rig, self.program, self.n = rig, program, n
        self.wrapper = FOR_MEASURED if is_realtime else []
        self.plain_port = rig.start_origin([], lambda argv: on_cpu(rig, rig.origin_cpu, argv, self.wrapper))
        self.tls_port = rig.start_origin(rig.tls_args,
                                         lambda argv: on_cpu(rig, rig.origin_cpu, argv, FOR_ORIGIN))
        config = CONFIG.format(ca=rig.authority.certificate, uid=os.geteuid(), plain=self.plain_port,
                               tls=self.tls_port, flood_uid=FLOOD_UID, flood_max=FLOOD_MAX)
        self.daemon = fdialtest.Daemon(config, log_level="notice",
                                       wrapper=on_cpu(rig, rig.client_cpu, [], self.wrapper))

    def measure(self):
        return measure(self.rig, self.daemon, self.plain_port, self.program, self.n, self.wrapper)

    def measure_busy(self):
        """With how much of its CPU the daemon used meanwhile."""
        start, cpu_s = time.monotonic(), fdialtest.cpu_s(self.daemon.pid)
        loaded = self.measure()
        return loaded, (fdialtest.cpu_s(self.daemon.pid) - cpu_s) / (time.monotonic() - start)

    def print_loaded(self, alone, depth, what):
        flood = Flood(self.rig, self.daemon, self.tls_port, self.program, depth)
        time.sleep(1)  # until it is at its limit
        loaded, busy = self.measure_busy()
        connected, refused = flood.stop()
        describe(f"with {FLOOD_SESSIONS} x {depth} TLS requests", loaded)
        print(f"  {what}: {connected:.0f} TLS connections/s and {refused:.0f} refusals/s; the daemon's CPU is"
              f" {busy:.0%} busy;\n  {judge(alone, loaded)}")

    def step_back(self):
        """As FOR_ORIGIN, in the flood's process: it takes a while to ask, and never is refused."""
        os.nice(19)
        if self.rig.is_pinned:
            os.sched_setaffinity(0, {self.rig.origin_cpu})

    def print_questions(self, alone, kind):
        flood = questions.Flood(self.daemon.socket, kind, sys.maxsize, uid=FLOOD_UID, prepare=self.step_back)
        time.sleep(1)
        before, start = flood.answered(), time.monotonic()
        loaded, busy = self.measure_busy()
        rate = (flood.answered() - before) / (time.monotonic() - start)
        flood.stop()
        describe(f"with {questions.SESSIONS} x {questions.WINDOW} times {kind}", loaded)
        print(f"  {rate:.0f} answers/s; the daemon's CPU is {busy:.0%} busy; {judge(alone, loaded)}")


def print_fairness(rig, program, n, is_realtime):
    fairness = Fairness(rig, program, n, is_realtime)
    print(f"\nfairness: {n} plain requests of one user, one after the other, in us; another user's flood"
          + ("; real-time priority for what is measured" if is_realtime else ""))
    alone = fairness.measure()
    describe("alone", alone)
    for depth, what in ((FLOOD_MAX // FLOOD_SESSIONS, "as many as its limits allow"),
                        (2 * FLOOD_MAX // FLOOD_SESSIONS, "twice as many")):
        fairness.print_loaded(alone, depth, what)
    for kind in questions.KINDS:
        fairness.print_questions(alone, kind)
    fairness.daemon.stop()
