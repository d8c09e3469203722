"""Connecting, seen at the sockets: the order, the pace and the number of attempts, what becomes of the
losers, families, socket options, and Unix sockets."""
import contextlib
import os
import select
import socket
import threading
import time

import fdialtest
import rig

if not fdialtest.is_root():
    fdialtest.skip_all("needs root, for a network of its own")

STAGGER_S = 0.25
AT_ONCE_MAX = 6
FAR = rig.FarSide()
MANY = [f"127.0.0.{n}" for n in range(11, 21)]


class Hole:
    """The same port on several addresses, where no connection is ever made (a full backlog), until
    open() has room made."""

    def __init__(self, addresses, port=0):
        self.listeners, self._fill, self.port = [], [], port
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, self.port))
            listener.listen(0)
            self.port = listener.getsockname()[1]
            self.listeners.append(listener)
        while not self._is_black():
            pass
        self.ports = {s.getsockname()[1] for s in self._fill}
        self._own = {connection for family in (socket.AF_INET, socket.AF_INET6)
                     for connection in rig.tcp_states(self.port, family)}

    def _is_black(self):
        """As BlackHole's: connects once more to each."""
        last = [socket.socket(listener.family) for listener in self.listeners]
        self._fill += last
        for s, listener in zip(last, self.listeners):
            s.setblocking(False)
            s.connect_ex(listener.getsockname()[:2])
        return not select.select([], last, [], 0.2)[1]

    def attempts(self, family=socket.AF_INET):
        """Addresses (in hex) to which somebody else is connecting now."""
        return {connection[0] for connection, state in rig.tcp_states(self.port, family).items()
                if state == rig.SYN_SENT and connection not in self._own}

    def stop(self):
        for s in [*self._fill, *self.listeners]:
            s.close()


class Connect(rig.Case):
    def setUp(self):
        super().setUp()
        self.port = fdialtest.free_port()
        self.directory_path = self.directory()
        self.names = self.name_server("\n".join([
            "both.test 30 AAAA ::1", "both.test 30 A 127.0.0.1",
            "two.test 30 A 127.0.0.1", "two.test 30 A 127.0.0.2",
            *[f"many.test 30 A {a}" for a in MANY],
            f"far.test 30 A {rig.NO_ANSWER}", f"far.test 30 A {rig.FAR_PUBLIC[0]}",
            "v6.test 30 AAAA ::1", ""]))
        self.daemon = self.start_daemon(
            f'workers = 2\nnameservers = "127.0.0.1:{self.names.port}"\n'
            + rig.rule(addresses=rig.strings("loopback", "public"),
                       allow=rig.strings("*://*:*", *[f"unix:{self.directory_path}/{n}" for n in (
                           "good", "none", "file", "full", "dgram", "stale")])))
        self.s = self.session(self.daemon)
        for name in ("both", "two", "many", "far"):  # into the cache of one worker at least
            self.s.connect(f"tcp://{name}.test:9", rig.u8(rig.FAMILY, 4), timeout_ms=1)
        self.state = rig.State(self.daemon)

    def tearDown(self):
        self.close_all()
        self.state.check(spare_fds=4)

    def connect_us(self, target, *attributes):
        """Microseconds that connecting took; the connection is closed."""
        m = self.s.connect(target, *attributes)
        self.assertEqual(m.code, 0, m)
        for fd in m.fds:
            os.close(fd)
        return m.times_us()["connect"]

    def wait_accepted(self, origin, n):
        fdialtest.wait_until(lambda: origin.accepted >= n, rig.WAIT_S, f"{n} connections")
        self.assertEqual(origin.accepted, n)

    def test_dead_ipv6_live_ipv4(self):
        hole = self.serve(Hole(["::1"]))
        origin = self.serve(fdialtest.Echo(port=hole.port))
        times_us = [self.connect_us(f"tcp://both.test:{hole.port}") for _ in range(3)]
        self.assertGreaterEqual(min(times_us), STAGGER_S * 1e6 - 10e3)
        self.assertLess(min(times_us), STAGGER_S * 1e6 * 3)
        self.wait_accepted(origin, 3)
        # The losers are closed: nobody goes on trying.
        fdialtest.wait_until(lambda: not hole.attempts(socket.AF_INET6), rig.WAIT_S, "losers closed")

    def test_first_refused_next_at_once(self):
        origin = self.serve(fdialtest.Echo())
        self.assertLess(min(self.connect_us(f"tcp://both.test:{origin.port}") for _ in range(5)),
                        STAGGER_S * 1e6 / 2)
        self.wait_accepted(origin, 5)

    def test_ipv6_first(self):
        ipv6 = self.serve(fdialtest.Echo(family=socket.AF_INET6))
        ipv4 = self.serve(fdialtest.Echo(port=ipv6.port))
        for _ in range(5):
            self.connect_us(f"tcp://both.test:{ipv6.port}")
        self.wait_accepted(ipv6, 5)
        self.assertLess(ipv4.accepted, 5)  # none, unless the machine stood still for 250 ms

    def test_families(self):
        ipv6 = self.serve(fdialtest.Echo(family=socket.AF_INET6))
        ipv4 = self.serve(fdialtest.Echo(port=ipv6.port))
        target = f"tcp://both.test:{ipv6.port}"
        for option, address in (("-4", "127.0.0.1:"), ("-6", "[::1]:")):
            status, report = self.daemon.check(target, option)
            self.assertEqual(status, 0, report)
            self.assertTrue(report["peer"].startswith(address), report)
        self.wait_accepted(ipv4, 1)
        self.wait_accepted(ipv6, 1)
        self.assertEqual(self.s.connect("tcp://v6.test:9", rig.u8(rig.FAMILY, 4)).code, 31)
        self.assertEqual(self.s.connect("tcp://127.0.0.1:9", rig.u8(rig.FAMILY, 6)).code, 31)

    def test_losers_that_connected_are_closed(self):
        """Two attempts under way; both are answered; one is handed over, of the other nothing is
        left."""
        hole = self.serve(Hole(["127.0.0.1", "127.0.0.2"]))
        ident = self.s.submit(f"tcp://two.test:{hole.port}", timeout_ms=30000)
        fdialtest.wait_until(lambda: len(hole.attempts()) == 2, rig.WAIT_S, "two attempts")
        peers, stop = [], threading.Event()

        def accept(listener):
            listener.settimeout(0.1)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    peers.append(listener.accept())

        threads = [threading.Thread(target=accept, args=(listener,)) for listener in hole.listeners]
        for t in threads:
            t.start()
        try:
            m = self.s.recv()
            self.assertEqual((m.id, m.code), (ident, 0), m)
            with socket.socket(fileno=m.fds[0]) as c:
                mine = c.getsockname()
                c.sendall(b"x")  # its last ACK may have found the backlog full
                fdialtest.wait_until(lambda: any(p == mine for _, p in peers), rig.WAIT_S, "ours")
                fdialtest.wait_until(lambda: not hole.attempts(), what="the loser's end")
                self.state.check(spare_fds=5)
                for s, peer in peers:
                    if peer != mine and peer[1] not in hole.ports:
                        s.settimeout(rig.WAIT_S)
                        self.assertEqual(s.recv(1), b"")  # the loser is at its end
        finally:
            stop.set()
            for t in threads:
                t.join()
            for s, _ in peers:
                s.close()

    def test_at_most_six_at_once(self):
        hole = self.serve(Hole(MANY))
        ident = self.s.submit(f"tcp://many.test:{hole.port}", timeout_ms=5000)
        self.s.socket.setblocking(False)
        seen, most, until = set(), 0, time.monotonic() + rig.WAIT_S
        while time.monotonic() < until:
            now = hole.attempts()
            seen, most = seen | now, max(most, len(now))
            try:
                m = self.s.recv()
                break
            except BlockingIOError:
                time.sleep(0.01)
        self.s.socket.settimeout(rig.WAIT_S)
        self.assertEqual((m.id, m.code, m.stage), (ident, 11, "connect"), m)
        self.assertEqual((most, len(seen)), (AT_ONCE_MAX, AT_ONCE_MAX))
        fdialtest.wait_until(lambda: not hole.attempts(), rig.WAIT_S, "all closed")

    def test_live_among_dead(self):
        """Five holes, then one that answers: it is found a stagger per hole later."""
        hole = self.serve(Hole(MANY[:5]))
        for address in MANY[5:]:
            self.serve(fdialtest.Echo(host=address, port=hole.port))
        self.assertGreaterEqual(self.connect_us(f"tcp://many.test:{hole.port}"), 1e6 * STAGGER_S)
        fdialtest.wait_until(lambda: not hole.attempts(), rig.WAIT_S, "losers closed")

    def test_all_refused(self):
        m = self.s.connect(f"tcp://many.test:{self.port}")
        self.assertEqual((m.code, m.stage), (40, "connect"), m)
        self.assertIn("10 of 10 addresses tried", m.detail)
        self.assertEqual(m.number(rig.ERRNO), 111)

    def test_refusal_tells_more_than_silence(self):
        """One refuses, the others are silent: at the deadline, the deadline; refused by all, refused."""
        hole = self.serve(Hole(["127.0.0.1"]))
        m = self.s.connect(f"tcp://two.test:{hole.port}", timeout_ms=700)
        self.assertEqual((m.code, m.stage), (11, "connect"), m)

    def test_black_hole_in_the_network(self):
        """Packets that nobody answers; then an address behind it that does."""
        m = self.s.connect(f"tcp://{rig.NO_ANSWER}:80", timeout_ms=500)
        self.assertEqual((m.code, m.stage), (11, "connect"), m)
        origin = self.serve(FAR.do(fdialtest.Echo, host=rig.FAR_PUBLIC[0]))
        self.assertLess(self.connect_us(f"tcp://far.test:{origin.port}"), rig.WAIT_S * 1e6)
        self.wait_accepted(origin, 1)

    def test_no_route(self):
        rig._ip("route add unreachable 93.184.216.77/32")
        m = self.s.connect("tcp://93.184.216.77:80", timeout_ms=20000)
        self.assertEqual((m.code, m.stage), (41, "connect"), m)

    def test_socket_options(self):
        origin = self.serve(fdialtest.Echo())
        m = self.s.connect(f"tcp://127.0.0.1:{origin.port}", handover=rig.TCP)
        self.assertTrue(os.get_blocking(m.fds[0]))
        with socket.socket(fileno=m.fds[0]) as c:
            self.assertEqual(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
            self.assertEqual(c.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
            self.assertEqual(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60)
            self.assert_echo(c)
        m = self.s.connect(f"tcp://127.0.0.1:{origin.port}", handover=rig.RELAY)
        self.assertTrue(os.get_blocking(m.fds[0]))
        os.close(m.fds[0])

    def test_count(self):
        origin = self.serve(fdialtest.Echo())
        m = self.s.connect(f"tcp://127.0.0.1:{origin.port}", rig.u32(rig.COUNT, 64))
        self.assertEqual((m.code, len(m.fds)), (0, 64), m)
        for fd in m.fds:
            with socket.socket(fileno=fd) as c:
                self.assert_echo(c, b"x")
        self.wait_accepted(origin, 64)

    def unix(self, name):
        return f"unix:{self.directory_path}/{name}"

    def test_unix(self):
        origin = self.serve(fdialtest.Origin(fdialtest.echo, path=f"{self.directory_path}/good"))
        c = self.dial(self.s, self.unix("good"))
        self.assertEqual(c.family, socket.AF_UNIX)
        self.assert_echo(c)
        c = self.dial(self.s, self.unix("good"), handover=rig.RELAY)
        self.assert_echo(c)
        self.wait_accepted(origin, 2)

    def test_unix_errors(self):
        with open(f"{self.directory_path}/file", "wb"):
            pass
        os.mkdir(f"{self.directory_path}/good")
        dgram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        dgram.bind(f"{self.directory_path}/dgram")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(f"{self.directory_path}/stale")
        stale.close()
        for name, code, stage in (("other", 20, "policy"), ("none", 44, "connect"),
                                  ("file", 40, "connect"), ("stale", 40, "connect"),
                                  ("dgram", 45, "connect"), ("good", 40, "connect")):
            with self.subTest(name):
                m = self.s.connect(self.unix(name))
                self.assertEqual((m.code, m.stage), (code, stage), m)
                if stage == "connect":
                    self.assertIn(f"{self.directory_path}/{name}", m.detail)
        done = self.daemon.run_cli(["connect", self.unix("none")])
        self.assert_report(done, 1, "connect: no such Unix socket")
        dgram.close()

    def test_unix_backlog_full(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{self.directory_path}/full")
        listener.listen(0)
        fill = []
        for _ in range(4):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            if s.connect_ex(f"{self.directory_path}/full") != 0:
                s.close()
                break
            fill.append(s)
        for _ in range(3):
            started = time.monotonic()
            m = self.s.connect(self.unix("full"), timeout_ms=500)
            self.assertEqual((m.code, m.stage), (11, "connect"), m)
            self.assertLess(time.monotonic() - started, rig.WAIT_S)
        ident = self.s.submit(self.unix("full"), timeout_ms=20000)  # room is made: it connects
        time.sleep(0.1)
        with contextlib.ExitStack() as stack:
            for _ in range(len(fill) + 1):
                listener.settimeout(rig.WAIT_S)
                stack.enter_context(listener.accept()[0])
            m = self.s.recv()
            self.assertEqual((m.id, m.code), (ident, 0), m)
            os.close(m.fds[0])
        for s in [*fill, listener]:
            s.close()


if __name__ == "__main__":
    fdialtest.main()
