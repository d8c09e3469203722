"""The lines of the benchmark's table: each is a kind of connection, run several times."""
import json
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time

import fdialtest

ADDRESSES = 8  # of the origin; each has its own range of client ports


def program(name):
    return os.path.join(fdialtest.BUILDDIR, "tests", "bench", name)


def children_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Series:
    """One line of the table."""

    def __init__(self, name, argv, n, depth=1, is_tls=False, daemon=None, is_resuming=False):
        self.name, self.n, self.depth, self.is_tls = name, n, depth, is_tls
        self.is_resuming = is_resuming
        self.argv, self.daemon = argv, daemon
        self.runs = []
        self.daemon_calls = self.client_calls = None

    def command(self, rig, n):
        port = rig.resuming if self.is_resuming else rig.tls if self.is_tls else rig.plain
        argv = [program(self.argv[0]), *self.argv[1:], "--port", str(port), "--number", str(n),
                "--depth", str(self.depth), "--addresses", str(ADDRESSES)]
        argv += ["--tls"] if self.is_tls else []
        argv += ["--daemon", str(self.daemon.pid)] if self.daemon else []
        return rig.pin(argv, rig.client_cpu)

    def environment(self):
        return fdialtest.built_environment({"FDIAL_SOCKET": self.daemon.socket} if self.daemon else {})

    def execute(self, argv):
        done = subprocess.run(argv, env=self.environment(), stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def run(self, rig):
        self.runs.append(self.execute(self.command(rig, self.n)))

    def median(self, key):
        return statistics.median(r[key] for r in self.runs)

    def totals(self):
        return [r["client_us"] + r["daemon_us"] for r in self.runs]

    def rate(self):
        return self.n / self.median("seconds")

    def count_calls(self, rig, n):
        """System calls per connection. What starting and ending costs is taken off by the difference
        of two runs."""
        small, large = self.calls_of(rig, n), self.calls_of(rig, 3 * n)
        self.client_calls = (large[0] - small[0]) / (2 * n)
        if self.daemon:
            self.daemon_calls = (large[1] - small[1]) / (2 * n)

    def calls_of(self, rig, n):
        attached = Perf(self.daemon.pid) if self.daemon else None
        with tempfile.NamedTemporaryFile("r") as out:
            self.execute(["perf", "stat", "-x,", "-e", Perf.EVENT, "-o", out.name,
                          *self.command(rig, n)])
            own = Perf.parse(out.read())
        return own, attached.stop() if attached else 0


class Exec(Series):
    """The curl command, once a connection. It also sends a request and gets an empty answer."""

    def run(self, rig):
        argv = ["curl", "-s", "--noproxy", "*"]
        if self.is_tls:
            argv += ["--cacert", rig.bundle, f"https://127.0.0.1:{rig.tls}"]
        else:
            argv += [f"http://127.0.0.1:{rig.plain}"]
        before, start = children_cpu_s(), time.monotonic()
        for _ in range(self.n):
            subprocess.run(rig.pin(argv, rig.client_cpu), check=True)
        seconds = time.monotonic() - start
        us = (children_cpu_s() - before) * 1e6 / self.n
        self.runs.append({"n": self.n, "seconds": seconds, "client_us": us, "daemon_us": 0.0})

    def count_calls(self, rig, n):
        pass


class Perf:
    EVENT = "raw_syscalls:sys_enter"

    def __init__(self, pid):
        self.process = subprocess.Popen(["perf", "stat", "-x,", "-e", self.EVENT, "-p", str(pid)],
                                        stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)  # it says nothing when it has attached

    def stop(self):
        time.sleep(0.1)
        self.process.send_signal(signal.SIGINT)
        return self.parse(self.process.communicate()[1])

    @classmethod
    def parse(cls, text):
        for line in text.splitlines():
            if cls.EVENT in line:
                return int(line.split(",")[0])
        raise RuntimeError(f"perf: {text}")

    @classmethod
    def is_usable(cls):
        try:
            done = subprocess.run(["perf", "stat", "-x,", "-e", cls.EVENT, "true"], check=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            return cls.parse(done.stderr) > 0
        except (OSError, subprocess.SubprocessError, RuntimeError, ValueError):
            return False
