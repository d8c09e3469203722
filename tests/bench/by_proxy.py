"""What a connection through a proxy costs, beside libcurl's through the same proxy. The proxy counts for
nobody, and shares the origin's CPU."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))
import fdialtest  # noqa: E402
import proxy_peers  # noqa: E402

DEPTH = 16  # dante has few processes

CONFIG = """
workers = 1
proxy "bench" {{ url = "{url}" }}
rule "bench" {{
  client = {{ "uid:{uid}" }}
  allow = {{ "tcp://127.0.0.0/8:{port}" }}
  addresses = {{ "loopback" }}
  via = "bench"
  seal = "off"
  max-pending = 65536
}}
"""

KINDS = [  # name, the command it needs, its class, scheme of its URL
    ("squid", "squid", proxy_peers.Squid, "http"),
    ("dante", "danted", proxy_peers.Dante, "socks5"),
]


class ByProxy:
    """Series of bench.py through each proxy that is installed. The first of each proxy's is libcurl's."""

    def __init__(self, rig, series, n):
        self.peers, self.daemons, self.tables = [], [], []
        for name, command, peer, scheme in KINDS:
            if not fdialtest.find_command(command) or not fdialtest.is_root():
                print(f"{name} is left out: it is not installed, or this is not root")
                continue
            self.peers.append(peer())
            rig.pin_process(self.peers[-1].process.pid)
            url = f"{scheme}://127.0.0.1:{self.peers[-1].port}"
            config = CONFIG.format(url=url, uid=os.geteuid(), port=rig.plain)
            daemon = fdialtest.Daemon(config, log_level="notice", wrapper=rig.pin([], rig.client_cpu))
            self.daemons.append(daemon)
            self.tables.append((name, self._series(series, url, daemon, n)))

    @staticmethod
    def _series(series, url, daemon, n):
        lines = [series("fdial", ["client", "fdial"], n, depth, daemon=daemon) for depth in (1, DEPTH)]
        if os.path.exists(os.path.join(fdialtest.BUILDDIR, "tests", "bench", "curl")):
            curl = ["curl", "file", "--proxy", url]
            lines = [series("libcurl multi", curl, n, depth) for depth in (1, DEPTH)] + lines
        return lines

    def stop(self):
        for daemon in self.daemons:
            daemon.stop()
        for peer in self.peers:
            peer.stop()
