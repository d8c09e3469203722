"""`make bench`: what a connection costs through the daemon, and beside it what it costs without one.

Every run is a process that makes n connections to the same origin and says how long they took and how
much CPU time they cost: its own, and the daemon's (scheduler's figures, in nanoseconds). The origin
counts for nobody. Runs of all kinds are interleaved, several rounds of them; the table has medians, and
the spread (largest less smallest, of the total) beside them. Client and daemon share one CPU, the origin
has another, so connections/s are those of one core; with --no-pin they run where the kernel likes.
System calls are counted by perf, in short runs of their own.
"""
import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

for folder in ("lib", "daemon"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))
import fdialtest  # noqa: E402
from by_proxy import ByProxy  # noqa: E402
from fairness import print_fairness  # noqa: E402
from series import ADDRESSES, Exec, Perf, Series, program  # noqa: E402

DEBIAN_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PENDING = 4000  # connections to a black hole, in one session
SESSIONS = 3  # 10 200 at once with three sessions
PER_SESSION = 3400
TRIM_S = 2  # in which the daemon gives memory back after a burst

CONFIG = """
workers = 1
tls "bench" {{ ca-file = "{ca}" resumption = false }}
tls "resumed" {{ ca-file = "{ca}" }}
rule "bench" {{
  client = {{ "uid:{uid}" }}
  allow = {{ "tcp://127.0.0.0/8:{plain}", "tls://127.0.0.0/8:{tls}", "tcp://127.0.0.0/8:{hole}" }}
  addresses = {{ "loopback" }}
  handoff = {{ {handoff} }}
  seal = "{seal}"
  tls = "bench"
  max-pending = 65536
  max-relays = 65536
}}
rule "resumed" {{
  client = {{ "uid:{uid}" }}
  allow = {{ "tls://127.0.0.0/8:{resuming}" }}
  addresses = {{ "loopback" }}
  handoff = {{ {handoff} }}
  seal = "{seal}"
  tls = "resumed"
  max-pending = 65536
  max-relays = 65536
}}
"""


class Rig:
    """Origins, certificates, and two daemons: one hands sockets over, one relays."""

    def __init__(self, is_pinned):
        cpus = sorted(os.sched_getaffinity(0))
        self.is_pinned = is_pinned and len(cpus) > 1
        self.client_cpu, self.origin_cpu = cpus[0], cpus[-1]
        self.authority = fdialtest.Authority()
        names = [f"IP:127.0.0.{i + 1}" for i in range(ADDRESSES)]
        self.tls_args = ["--tls", *self.authority.issue(sans=names)]
        self.processes = []
        self.plain = self.start_origin([])
        self.tls = self.start_origin(self.tls_args)
        self.resuming = self.start_origin(self.tls_args)
        self.hole = fdialtest.BlackHole()
        self.bundle = self.make_bundle()
        self.tcp_daemon = self.start_daemon('"tcp", "relay"', "off")
        self.relay_daemon = self.start_daemon('"relay"', "required")

    def pin(self, argv, cpu):
        return ["taskset", "-c", str(cpu), *argv] if self.is_pinned else argv

    def pin_process(self, pid):
        """One that is not to be measured."""
        if self.is_pinned:
            os.sched_setaffinity(pid, {self.origin_cpu})

    def start_origin(self, args, wrap=None):
        argv = [program("origin"), *args, str(ADDRESSES)]
        argv = wrap(argv) if wrap else self.pin(argv, self.origin_cpu)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return int(process.stdout.readline())

    def start_daemon(self, handoff, seal):
        config = CONFIG.format(ca=self.authority.certificate, uid=os.geteuid(), plain=self.plain,
                               tls=self.tls, resuming=self.resuming, hole=self.hole.port,
                               handoff=handoff, seal=seal)
        wrapper = self.pin([], self.client_cpu)
        return fdialtest.Daemon(config, log_level="notice", wrapper=wrapper)

    def make_bundle(self):
        """Debian's bundle with our root in it, as update-ca-certificates would make it."""
        path = os.path.join(tempfile.mkdtemp(prefix="bundle-"), "bundle.pem")
        with open(path, "wb") as to:
            for name in (DEBIAN_BUNDLE, self.authority.certificate):
                if os.path.exists(name):
                    with open(name, "rb") as f:
                        to.write(f.read())
        return path

    def stop(self):
        self.tcp_daemon.stop()
        self.relay_daemon.stop()
        self.hole.stop()
        for process in self.processes:
            process.kill()
            process.wait()


def make_series(rig, scale):
    """Plain and TLS. The first of each is the floor that the ratios of the others are to."""
    def n(count):
        return max(16, int(count * scale) // 16 * 16)

    tcp, relay = rig.tcp_daemon, rig.relay_daemon
    own, file, both = ["--ca", rig.authority.certificate], ["curl", "file"], ["curl", "default"]
    has_curl, has_command = os.path.exists(program("curl")), fdialtest.find_command("curl")
    plain = [
        Series("io_uring, connect + fd pass", ["floor", "uring"], n(20000), 64),
        Series("io_uring, connect + fd pass", ["floor", "uring"], n(5000), 1),
        Series("blocking connect, no fd pass", ["floor", "connect"], n(5000)),
        Series("fdial, tcp", ["client", "fdial"], n(5000), 1, daemon=tcp),
        Series("fdial, tcp", ["client", "fdial"], n(20000), 64, daemon=tcp),
        Series("fdial, tcp, 16 in a request", ["client", "fdial", "--count", "16"], n(20000), 64,
               daemon=tcp),
        Series("fdial, relay", ["client", "fdial"], n(3000), 1, daemon=relay),
        Series("fdial, relay", ["client", "fdial"], n(10000), 64, daemon=relay),
    ]
    held = ["client", "fdial", "--hold"]  # until the tickets have come, which are behind the handshake
    tls = [
        Series("OpenSSL, blocking", ["floor", "tls", *own], n(500), is_tls=True),
        Series("OpenSSL, blocking, resumed", ["floor", "resumed", *own], n(500), 1, True),
        Series("fdial, relay", ["client", "fdial"], n(500), 1, True, daemon=relay),
        Series("fdial, relay", ["client", "fdial"], n(1500), 64, True, daemon=relay),
        Series("fdial, relay, held", held, n(500), 1, True, relay),
        Series("fdial, relay, held", held, n(1500), 64, True, relay),
        Series("fdial, relay, held, resumed", held, n(500), 1, True, relay, True),
        Series("fdial, relay, held, resumed", held, n(1500), 64, True, relay, True),
    ]
    if has_curl:
        plain += [Series("libcurl multi", file, n(2000)), Series("libcurl multi", file, n(5000), 64)]
        bundle = ["--ca", rig.bundle]
        tls += [Series("libcurl multi, CA file", file + own, n(400), 1, True),
                Series("libcurl multi, CA file", file + own, n(1000), 64, True),
                Series("libcurl multi, Debian's default", both + bundle, n(40), 1, True),
                Series("libcurl multi, Debian's default", both + bundle, n(128), 64, True)]
    if has_command:
        plain.append(Exec("curl by exec", [], n(20)))
        tls.append(Exec("curl by exec", [], n(20), is_tls=True))
    return plain, tls


def print_table(title, series):
    floor = statistics.median(series[0].totals())
    print(f"\n{title} (us of CPU time per connection; ratio: total to the first line's)")
    print(f"{'':34}{'depth':>6}{'conn/s':>9}{'client':>9}{'daemon':>9}{'total':>9}{'spread':>8}"
          f"{'ratio':>8}{'enters':>8}{'calls d':>8}{'calls c':>8}")
    for s in series:
        totals = s.totals()
        total = statistics.median(totals)
        spread = (max(totals) - min(totals)) / total
        enters = f"{s.median('enters'):8.2f}" if s.daemon else f"{'':8}"
        calls = [f"{c:8.2f}" if c is not None else f"{'':8}" for c in (s.daemon_calls, s.client_calls)]
        print(f"{s.name:34}{s.depth:6}{s.rate():9.0f}{s.median('client_us'):9.1f}"
              f"{s.median('daemon_us'):9.1f}{total:9.1f}{spread:8.0%}{total / floor:8.2f}"
              f"{enters}{''.join(calls)}")


def print_resumed(rig, tls):
    """Beside the full ones of the same kind, and OpenSSL's own."""
    def cost(name, depth=1):
        return statistics.median(next(s for s in tls if (s.name, s.depth) == (name, depth)).totals())

    alone = cost("OpenSSL, blocking, resumed") / cost("OpenSSL, blocking")
    print(f"resumed handshakes cost {alone:.2f} of full ones in OpenSSL's blocking loop")
    for depth in 1, 64:
        ratio = cost("fdial, relay, held, resumed", depth) / cost("fdial, relay, held", depth)
        print(f"resumed handshakes cost {ratio:.2f} of full ones at depth {depth}")
    status = json.loads(rig.relay_daemon.run_cli(["status", "--json"]).stdout)
    n, n_all = status["rule:resumed:tls_resumed"], status["rule:resumed:connected_relay"]
    print(f"{n} of the {n_all} connections that could be resumed were, {n / n_all:.1%}")


class Pending:
    """A client whose requests never finish."""

    def __init__(self, rig, daemon, n):
        argv = [program("client"), "fdial", "--port", str(rig.hole.port), "--number", str(n), "--leave"]
        env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def requests_now(daemon):
    return json.loads(daemon.run_cli(["status", "--json"]).stdout)["requests_now"]


def in_flight(rig, daemon, sessions, each):
    """(RSS in KiB, descriptors) with that many pending."""
    clients = [Pending(rig, daemon, each) for _ in range(sessions)]
    fdialtest.wait_until(lambda: int(requests_now(daemon)) == sessions * each, 30, "pending")
    seen = daemon.rss_kib(), daemon.fd_count()
    for client in clients:
        client.stop()
    fdialtest.wait_until(lambda: int(requests_now(daemon)) == 0, 30, "none pending")
    return seen


def print_memory(rig):
    """A daemon of its own, as it is after its start."""
    daemon = rig.start_daemon('"tcp", "relay"', "off")
    requests_now(daemon)
    rss, fds = daemon.rss_kib(), daemon.fd_count()
    with_pending, _ = in_flight(rig, daemon, 1, PENDING)
    print(f"\nmemory per pending plain connection: {(with_pending - rss) * 1024 / PENDING:.0f} bytes"
          f" (RSS {rss} -> {with_pending} KiB with {PENDING})")
    for i in range(3):
        peak_rss, peak_fds = in_flight(rig, daemon, SESSIONS, PER_SESSION)
        fdialtest.wait_until(lambda: daemon.fd_count() <= fds, 10, "descriptors closed")
        time.sleep(TRIM_S)
        print(f"{SESSIONS * PER_SESSION} in flight on one worker, time {i + 1}: RSS {peak_rss} KiB,"
              f" {peak_fds} descriptors; after: {daemon.rss_kib()} KiB, {daemon.fd_count()} descriptors"
              f" (at the start: {fds})")
    daemon.stop()


def print_costs(rig, rounds, scale):
    plain, tls = make_series(rig, scale)
    proxied = ByProxy(rig, Series, max(64, int(2000 * scale)))
    by_proxy = [line for _, series in proxied.tables for line in series]
    print(f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {os.cpu_count()} CPUs,"
          f" {rounds} rounds, " + ("client and daemon on one CPU, the origin on another"
                                   if rig.is_pinned else "not pinned"), flush=True)
    for _ in range(rounds):
        for series in plain + tls + by_proxy:
            series.run(rig)
    if Perf.is_usable():
        for series in plain + tls:
            series.count_calls(rig, 64 if series.is_tls else 512)
    else:
        print("no perf here: system calls are not counted, but for io_uring_enter")
    print_table("plain", plain)
    print_table("TLS 1.3, ECDSA P-256, full handshakes if not said otherwise", tls)
    print_resumed(rig, tls)
    for name, series in proxied.tables:
        print_table(f"plain, through {name}", series)
    proxied.stop()
    print("enters: io_uring_enter of the daemon, as it counts them itself; calls d, calls c: all"
          " system calls of the daemon and of the client (perf, in runs of their own)")
    print_memory(rig)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few connections, two rounds")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel choose CPUs")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--realtime", action="store_true",
                        help="for fairness: on a machine that is busy with other things")
    parser.add_argument("--fairness", action="store_true", help="nothing but that")
    args = parser.parse_args()
    rounds = args.rounds or (2 if args.quick else 5)
    scale = 0.1 if args.quick else 1
    n_fair = 2000 if args.quick else 10000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    rig = Rig(not args.no_pin)
    try:
        if not args.fairness:
            print_costs(rig, rounds, scale)
        if fdialtest.is_root():
            print_fairness(rig, program("client"), n_fair, args.realtime)
        else:
            print("fairness between users is measured by root only")
    finally:
        rig.stop()


if __name__ == "__main__":
    main()
