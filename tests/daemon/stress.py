# time-limit: 300
"""Ten thousand connections one after the other, two thousand at once, plain and TLS: the daemon ends
with as many descriptors and as much memory as it had.

As much memory: what a first load of the kind leaves (code and tables touched for the first time, the
heap's shape) is bounded, and what the next load adds to that is judged. A connection that left 64 bytes
behind would add 625 KiB to ten thousand."""
import json
import os
import resource
import subprocess
import time

import fdialtest

SCALE = 20 if fdialtest.IS_SLOW else 1
ONE_BY_ONE = 10000 // SCALE
AT_ONCE = 2000 // SCALE
ADDRESSES = 8  # of the origin: closed connections block their 4-tuples for a minute
FIRST_MAX_KIB = 8192
GROWTH_MAX_KIB = 512
TRIM_S = 2  # in which the daemon gives memory back after a burst
SETTLE_S = 30
CLIENT_TIMEOUT_S = 200

CONFIG = """
workers = 1
tls "origin" {{ ca-file = "{ca}" }}
rule "stress" {{
  client = {{ "uid:{uid}" }}
  allow = {{ "tcp://127.0.0.0/8:*", "tls://127.0.0.0/8:*" }}
  addresses = {{ "loopback" }}
  seal = "off"
  tls = "origin"
  max-pending = 4096
  max-relays = 4096
}}
"""


def program(name):
    return os.path.join(fdialtest.BUILDDIR, "tests", "bench", name)


class Stress(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.origins = []
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 3 * AT_ONCE:
            fdialtest.skip(f"RLIMIT_NOFILE is {hard}, which is too low for {AT_ONCE} at once")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        authority = fdialtest.Authority()
        cls.ca = authority.certificate
        names = [f"IP:127.0.0.{i + 1}" for i in range(ADDRESSES)]
        cls.ports = {False: cls.start_origin([]),
                     True: cls.start_origin(["--tls", *authority.issue(sans=names)])}

    @classmethod
    def tearDownClass(cls):
        for process in cls.origins:
            process.kill()
            process.wait()
            process.stdout.close()

    @classmethod
    def start_origin(cls, args):
        process = subprocess.Popen([program("origin"), *args, str(ADDRESSES)], text=True,
                                   stdout=subprocess.PIPE)
        cls.origins.append(process)
        return int(process.stdout.readline())

    def load(self, daemon, n, depth, is_tls):
        argv = [program("client"), "fdial", "--number", str(n), "--depth", str(depth),
                "--port", str(self.ports[is_tls]), "--addresses", str(ADDRESSES)]
        argv += ["--tls"] if is_tls else []
        argv += ["--hold"] if depth > 1 else []
        done = subprocess.run(argv, env=fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket}),
                              stdout=subprocess.PIPE, check=True, timeout=CLIENT_TIMEOUT_S)
        return json.loads(done.stdout)["seconds"]

    def run_load(self, n_warm, n, depth, is_tls):
        daemon = self.start_daemon(CONFIG.format(ca=self.ca, uid=os.geteuid()), log_level="notice")
        self.load(daemon, 1, 1, False)  # its start is over, all it keeps is open
        time.sleep(1)
        seen = [(daemon.fd_count(), daemon.rss_kib())]
        self.load(daemon, n_warm, depth, is_tls)
        self.wait_settled(daemon, *seen[0], FIRST_MAX_KIB)
        seen.append((daemon.fd_count(), daemon.rss_kib()))
        seconds = self.load(daemon, n, depth, is_tls)
        self.wait_settled(daemon, *seen[1], GROWTH_MAX_KIB)
        seen.append((daemon.fd_count(), daemon.rss_kib()))
        daemon.stop()
        print(f"# {n} {'TLS' if is_tls else 'plain'}, {depth} at once: {seconds:.1f} s; descriptors and RSS"
              f" in KiB at the start, after a first load, after this one: {seen}", flush=True)

    @staticmethod
    def wait_settled(daemon, fds, rss_kib, growth_max_kib):
        time.sleep(TRIM_S)
        fdialtest.wait_until(lambda: daemon.fd_count() <= fds, SETTLE_S,
                             f"{fds} descriptors as before ({daemon.fd_count()})")
        if not fdialtest.IS_SLOW:  # sanitizers keep what is freed
            fdialtest.wait_until(lambda: daemon.rss_kib() <= rss_kib + growth_max_kib, SETTLE_S,
                                 f"an RSS of {rss_kib} KiB as before ({daemon.rss_kib()})")

    def test_plain_one_by_one(self):
        self.run_load(ONE_BY_ONE // 5, ONE_BY_ONE, 1, False)

    def test_plain_at_once(self):
        self.run_load(AT_ONCE, AT_ONCE, AT_ONCE, False)

    def test_tls_one_by_one(self):
        self.run_load(ONE_BY_ONE // 20, ONE_BY_ONE, 1, True)

    def test_tls_at_once(self):
        self.run_load(AT_ONCE, AT_ONCE, AT_ONCE, True)


if __name__ == "__main__":
    fdialtest.main()
