"""Which process a session is for: its maker while that lives, whoever else has the socket, inherits
it, or gets the maker's process id. All in a pid namespace of its own, where ids can be chosen."""
# time-limit: 180
import contextlib
import os
import signal
import socket
import ssl
import sys
import threading

import fdialtest
import rig
from rig import attr, hello, message

if not fdialtest.is_root():
    fdialtest.skip_all("needs root, for a pid namespace of its own")
if not fdialtest.find_command("unshare"):
    fdialtest.skip_all("no unshare here")
if os.getpid() != 1:
    os.execvp("unshare", ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, *sys.argv])

WRONG_SENDER = 13
LAST_PID = "/proc/sys/kernel/ns_last_pid"


class Maker:
    """A child that opens a session with a client's rights and does as told, one step at a time. The
    socket is the test's as well: the heir's."""

    def __init__(self, daemon, *steps):
        """steps: functions of the session, each called at a step()."""
        self.session = rig.Session.__new__(rig.Session)
        self.session.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.session.socket.settimeout(rig.WAIT_S)
        self.session.next_id, self.session.early = 1, None
        self.order, order = os.pipe()[::-1]
        report, self.report = os.pipe()[::-1]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.order)
                self.session.socket.connect(daemon.socket)
                for step in steps:
                    os.read(order, 1)
                    step(self.session)
                    os.write(report, b".")
                os.read(order, 1)
            finally:
                os._exit(0)
        os.close(order)
        os.close(report)

    def step(self):
        os.write(self.order, b".")
        assert os.read(self.report, 1) == b"."

    def end(self, is_reaped=True):
        os.close(self.order)
        if is_reaped:
            os.waitpid(self.pid, 0)
        else:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def close(self):
        self.session.close()
        os.close(self.report)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def say_hello(session):
    session.send(hello())
    assert session.recv().kind == rig.WELCOME


def fork_with_pid(pid, function):
    """A child with this very process id."""
    for _ in range(100):
        with open(LAST_PID, "w", encoding="ascii") as f:
            f.write(str(pid - 1))
        child = os.fork()
        if child == 0:
            if os.getpid() == pid:
                with contextlib.suppress(OSError):
                    function()
            os._exit(0)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        if child == pid:
            return
        os.waitpid(child, 0)
    raise AssertionError(f"nobody can be process {pid}")


class Identity(rig.Case):
    def setUp(self):
        super().setUp()
        self.origin = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.origin.port}"
        authority = fdialtest.Authority()
        self.daemon = self.start_daemon(
            f'workers = 1\ntls "t" {{ ca-file = "{authority.certificate}" }}\n'
            + rig.rule(tls='"t"', handoff='"relay"'))
        self.gate = threading.Event()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*authority.issue("localhost"))
        self.slow = self.serve(fdialtest.Origin(self.wait_for_gate))
        self.state = rig.State(self.daemon)

    def wait_for_gate(self, conn):
        """TLS, as soon as the gate is open."""
        self.gate.wait(rig.WAIT_S)
        with self.tls.wrap_socket(conn.dup(), server_side=True) as tls:
            tls.recv(1)

    def maker(self, *steps):
        maker = Maker(self.daemon, *steps)
        self.addCleanup(maker.close)
        return maker

    @contextlib.contextmanager
    def stopped(self, daemon=None):
        """Meanwhile the daemon sees nothing: all comes to it at once afterwards."""
        daemon = daemon or self.daemon
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            fdialtest.wait_until(lambda: self.state_of(daemon) == "T", rig.WAIT_S)
            yield
        finally:
            daemon.process.send_signal(signal.SIGCONT)

    @staticmethod
    def state_of(daemon):
        with open(f"/proc/{daemon.pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0]

    def request(self, session, target=None):
        session.send(message(rig.CONNECT, 5, attr(rig.TARGET, target or self.target)))

    def assert_nothing_inherited(self, maker, code=None):
        """The heir reads the end, perhaps an error before it, and no fd."""
        m = maker.session.recv()
        if code:
            self.assertEqual((m and m.kind, m and m.code), (rig.ERROR, code), m)
            m = maker.session.recv()
        self.assertIsNone(m)
        self.state.check()
        self.assertEqual(rig.status(self.daemon)["relays_now"], "0")

    def test_maker_is_served(self):
        """The same steps, and the maker lives: what the others are compared with."""
        maker = self.maker(say_hello, self.request)
        maker.step()
        with self.stopped():
            maker.step()
        m = maker.session.recv()
        self.assertEqual((m.kind, m.code, len(m.fds)), (rig.RESULT, 0, 1), m)
        maker.end()
        self.assertIsNone(maker.session.recv())
        os.close(m.fds[0])
        self.state.check()

    def test_ended_maker(self):
        """Its session ends with it, though another process has the socket; a zombie has ended."""
        for is_reaped in (True, False):
            with self.subTest(is_reaped=is_reaped):
                maker = self.maker(say_hello)
                maker.step()
                maker.end(is_reaped)
                self.assert_nothing_inherited(maker)

    def test_requests_of_an_ended_maker(self):
        """They wait in the socket when it ends, and are not so much as tried."""
        for is_reaped in (True, False):
            with self.subTest(is_reaped=is_reaped):
                maker = self.maker(say_hello, self.request)
                maker.step()
                with self.stopped():
                    maker.step()
                    maker.end(is_reaped)
                self.assert_nothing_inherited(maker)
        self.assertEqual(self.origin.accepted, 0)

    def test_answers_to_an_ended_maker(self):
        """The connection is made when it ends, and its answer is due."""
        maker = self.maker(say_hello,
                           lambda s: self.request(s, f"tls://localhost:{self.slow.port}"))
        maker.step()
        maker.step()
        fdialtest.wait_until(lambda: self.slow.accepted > 0, rig.WAIT_S, "the connection")
        with self.stopped():
            maker.end()
            self.gate.set()
        self.assert_nothing_inherited(maker)

    def test_ended_before_it_was_accepted(self):
        for is_reaped in (True, False):
            with self.subTest(is_reaped=is_reaped):
                with self.stopped():
                    maker = self.maker(lambda s: (s.send(hello()), self.request(s)))
                    maker.step()
                    maker.end(is_reaped)
                m = maker.session.recv()
                if m:
                    self.assertEqual((m.kind, m.code), (rig.ERROR, WRONG_SENDER), m)
                    self.assertIsNone(maker.session.recv())
                self.state.check()
        self.assertEqual(self.origin.accepted, 0)

    def test_heir_breaks_the_protocol_of_an_ended_maker(self):
        """What the maker has in flight ends twice at once: by the heir's message and by its end."""
        server = rig.NameServer("* - SILENT\n")
        self.addCleanup(server.stop)
        daemon = self.start_daemon(f'workers = 1\nnameservers = {{ "127.0.0.1:{server.port}" }}\n'
                                   + rig.rule(allow='"tcp://*:*"'))
        state = rig.State(daemon)
        for data in (hello(), bytes(20000)):  # from a wrong sender; too long
            maker = Maker(daemon, say_hello, lambda s: [s.submit(f"tcp://n{i}.example:1")
                                                        for i in range(8)])
            self.addCleanup(maker.close)
            maker.step()
            maker.step()
            fdialtest.wait_until(lambda: rig.status(daemon)["requests_now"] == "8", rig.WAIT_S)
            with self.stopped(daemon):
                maker.session.send(data)
                maker.end()
            while maker.session.recv():
                pass
            state.check(spare_fds=1)

    def test_heir_of_the_process_id(self):
        """Whoever gets the maker's id has nothing of it, whenever the daemon looks."""
        for is_stopped in (True, False):
            with self.subTest(is_stopped=is_stopped):
                maker = self.maker(say_hello)
                maker.step()
                with self.stopped() if is_stopped else contextlib.nullcontext():
                    maker.end()
                    fork_with_pid(maker.pid, lambda m=maker: self.request(m.session))
                self.assert_nothing_inherited(maker)
        self.assertEqual(self.origin.accepted, 0)

    def test_heir_of_the_process_id_before_it_was_accepted(self):
        with self.stopped():
            maker = self.maker(lambda s: s.send(hello()))
            maker.step()
            maker.end()
            fork_with_pid(maker.pid, lambda: self.request(maker.session))
        m = maker.session.recv()
        if m:
            self.assertEqual((m.kind, m.code), (rig.ERROR, WRONG_SENDER), m)
            self.assertIsNone(maker.session.recv())
        self.state.check()
        self.assertEqual(self.origin.accepted, 0)

    def test_relays_outlive_their_client(self):
        """What was given out stays: the end of the session is not that of its connections."""
        maker = self.maker(say_hello, self.request)
        maker.step()
        maker.step()
        m = maker.session.recv()
        self.assertEqual(len(m.fds), 1, m)
        with socket.socket(fileno=m.fds[0]) as s:
            s.settimeout(rig.WAIT_S)
            maker.end()
            self.assertIsNone(maker.session.recv())
            self.assert_echo(s)


if __name__ == "__main__":
    fdialtest.main()
