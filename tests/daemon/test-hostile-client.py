"""Clients that break the protocol, cheat, vanish, or never read: each is dropped with its one error,
nobody else notices, and nothing of them stays."""
# time-limit: 180
import array
import contextlib
import os
import resource
import socket
import struct
import threading

import fdialtest
import rig
from rig import attr, hello, message, u8, u16, u32

BAD_MESSAGE, DUPLICATE_ID, OVER_LIMIT, WRONG_SENDER = 1, 6, 7, 13
TARGET = attr(rig.TARGET, "tcp://127.0.0.1:9")
PATTERN = attr(rig.PATTERN, "*://*:*")
FIRST = "the first message must be hello"
HEAD = "the head is short, has flags, or a wrong length"
UNKNOWN = "unknown or not allowed"
UNREAD_MEMORY_MAX_KIB = 64 * 1024


def head(kind, flags, length, ident=1):
    return struct.pack("<HHIQ", kind, flags, length, ident)


# what is wrong, bytes, after a good hello?, code, part of the detail
ROWS = [
    ("empty packet", b"", False, BAD_MESSAGE, HEAD),
    ("empty packet later", b"", True, BAD_MESSAGE, HEAD),
    ("one byte", b"\x01", False, BAD_MESSAGE, HEAD),
    ("half a head", head(rig.STATUS, 0, 16)[:15], True, BAD_MESSAGE, HEAD),
    ("zeros", bytes(16), True, BAD_MESSAGE, HEAD),
    ("ones", b"\xff" * 64, True, BAD_MESSAGE, HEAD),
    ("text", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", False, BAD_MESSAGE, HEAD),
    ("flags", head(rig.STATUS, 1, 16), True, BAD_MESSAGE, HEAD),
    ("the top flag", head(rig.STATUS, 0x8000, 16), True, BAD_MESSAGE, HEAD),
    ("length too small", head(rig.CONNECT, 0, 16) + TARGET, True, BAD_MESSAGE, HEAD),
    ("length too large", head(rig.STATUS, 0, 17), True, BAD_MESSAGE, HEAD),
    ("length huge", head(rig.STATUS, 0, 0xFFFFFFFF), True, BAD_MESSAGE, HEAD),
    ("16385 bytes", message(rig.CONNECT, 1, attr(0x8000, bytes(16385 - 20))), True, BAD_MESSAGE,
     "longer than 16384"),
    ("100000 bytes", bytes(100000), True, BAD_MESSAGE, "longer than 16384"),
    ("100000 bytes first", bytes(100000), False, BAD_MESSAGE, "longer than 16384"),
    ("connect before hello", message(rig.CONNECT, 1, TARGET), False, BAD_MESSAGE, FIRST),
    ("status before hello", message(rig.STATUS, 1), False, BAD_MESSAGE, FIRST),
    ("status in format 0", message(rig.STATUS, 1, rig.u8(rig.FORMAT, 0)), True, BAD_MESSAGE, "range"),
    ("status in format 2", message(rig.STATUS, 1, rig.u8(rig.FORMAT, 2)), True, BAD_MESSAGE, "range"),
    ("status in two formats", message(rig.STATUS, 1, *[rig.u8(rig.FORMAT, 1)] * 2), True, BAD_MESSAGE,
     "twice"),
    ("unknown type before hello", message(77, 1), False, BAD_MESSAGE, FIRST),
    ("hello without version", message(rig.HELLO, 0), False, BAD_MESSAGE, ""),
    ("hello with version 0", message(rig.HELLO, 0, u16(rig.VERSION, 0)), False, BAD_MESSAGE,
     "out of range"),
    ("version of 4 bytes", message(rig.HELLO, 0, u32(rig.VERSION, 1)), False, BAD_MESSAGE,
     "wrong size"),
    ("software of 65 bytes", hello(attr(rig.SOFTWARE, "x" * 65)), False, BAD_MESSAGE, "too long"),
    ("a second hello", hello(), True, BAD_MESSAGE, "second hello"),
    ("type 0", message(0, 1), True, BAD_MESSAGE, "unknown message type"),
    ("grant before hello", message(rig.GRANT, 1, PATTERN), False, BAD_MESSAGE, FIRST),
    ("grant without pattern", message(rig.GRANT, 1), True, BAD_MESSAGE, "without a pattern"),
    ("empty pattern", message(rig.GRANT, 1, attr(rig.PATTERN)), True, BAD_MESSAGE, "empty"),
    ("NUL in a pattern", message(rig.GRANT, 1, attr(rig.PATTERN, b"tcp://\0:1")), True, BAD_MESSAGE, "NUL"),
    ("pattern of 513 bytes", message(rig.GRANT, 1, attr(rig.PATTERN, "x" * 513)), True, BAD_MESSAGE,
     "too long"),
    ("257 patterns", message(rig.GRANT, 1, *[PATTERN] * 257), True, BAD_MESSAGE, "too often"),
    ("grant with a target", message(rig.GRANT, 1, PATTERN, TARGET), True, BAD_MESSAGE, UNKNOWN),
    ("open after hello", message(rig.OPEN, 0), True, BAD_MESSAGE, "before hello"),
    ("open with an attribute", message(rig.OPEN, 0, PATTERN), False, BAD_MESSAGE, UNKNOWN),
    ("unknown type", message(0x7FFF, 1), True, BAD_MESSAGE, "unknown message type"),
    ("the daemon's own type", message(rig.RESULT, 1, u32(rig.CODE, 0)), True, BAD_MESSAGE,
     "unknown message type"),
    ("no target", message(rig.CONNECT, 1), True, BAD_MESSAGE, "target"),
    ("empty target", message(rig.CONNECT, 1, attr(rig.TARGET)), True, BAD_MESSAGE, "empty"),
    ("target of 2049 bytes", message(rig.CONNECT, 1, attr(rig.TARGET, "x" * 2049)), True, BAD_MESSAGE,
     "too long"),
    ("NUL in the target", message(rig.CONNECT, 1, attr(rig.TARGET, b"tcp://a\0b:1")), True,
     BAD_MESSAGE, "NUL"),
    ("two targets", message(rig.CONNECT, 1, TARGET, TARGET), True, BAD_MESSAGE, "twice"),
    ("unknown attribute", message(rig.CONNECT, 1, TARGET, attr(63)), True, BAD_MESSAGE, UNKNOWN),
    ("attribute 0", message(rig.CONNECT, 1, attr(0), TARGET), True, BAD_MESSAGE, UNKNOWN),
    ("the highest attribute", message(rig.CONNECT, 1, TARGET, attr(0x7FFF)), True, BAD_MESSAGE,
     UNKNOWN),
    ("attribute of another message", message(rig.CONNECT, 1, TARGET, attr(rig.AS_USER, "root")), True,
     BAD_MESSAGE, UNKNOWN),
    ("status with an attribute", message(rig.STATUS, 1, TARGET), True, BAD_MESSAGE, UNKNOWN),
    ("cancel with an attribute", message(rig.CANCEL, 1, TARGET), True, BAD_MESSAGE, UNKNOWN),
    ("explain without target", message(rig.EXPLAIN, 1), True, BAD_MESSAGE, "target"),
    ("as user of 65 bytes", message(rig.EXPLAIN, 1, TARGET, attr(rig.AS_USER, "x" * 65)), True,
     BAD_MESSAGE, "too long"),
    ("attribute cut in its head", head(rig.CONNECT, 0, 19) + b"\x10\x00\x01", True, BAD_MESSAGE,
     "does not end"),
    ("attribute cut in its value", head(rig.CONNECT, 0, 23) + b"\x10\x00\x09\x00tcp", True,
     BAD_MESSAGE, "does not end"),
    ("timeout 0", message(rig.CONNECT, 1, TARGET, u32(rig.TIMEOUT, 0)), True, BAD_MESSAGE, "range"),
    ("timeout over an hour", message(rig.CONNECT, 1, TARGET, u32(rig.TIMEOUT, 3600001)), True,
     BAD_MESSAGE, "range"),
    ("timeout of 8 bytes", message(rig.CONNECT, 1, TARGET, attr(rig.TIMEOUT, bytes(8))), True,
     BAD_MESSAGE, "size"),
    ("family 5", message(rig.CONNECT, 1, TARGET, u8(rig.FAMILY, 5)), True, BAD_MESSAGE, ""),
    ("hand-over 8", message(rig.CONNECT, 1, TARGET, u8(rig.HANDOVER, 8)), True, BAD_MESSAGE, ""),
    ("hand-over 0", message(rig.CONNECT, 1, TARGET, u8(rig.HANDOVER, 0)), True, BAD_MESSAGE, ""),
    ("count 0", message(rig.CONNECT, 1, TARGET, u32(rig.COUNT, 0)), True, BAD_MESSAGE, "range"),
    ("count 65", message(rig.CONNECT, 1, TARGET, u32(rig.COUNT, 65)), True, BAD_MESSAGE, "range"),
    ("nine ALPN names", message(rig.CONNECT, 1, TARGET, *[attr(rig.ALPN, "a")] * 9), True, BAD_MESSAGE,
     "too often"),
    ("ALPN of 256 bytes", message(rig.CONNECT, 1, TARGET, attr(rig.ALPN, "a" * 256)), True,
     BAD_MESSAGE, "too long"),
    ("33 headers", message(rig.CONNECT, 1, TARGET, *[attr(rig.HEADER, "A: b")] * 33), True,
     BAD_MESSAGE, "too often"),
]

# Well-formed and refused: an answer, and the session goes on. Attributes, code, part of the detail
REFUSED = [
    ([attr(rig.TARGET, "nonsense")], 3, "scheme is missing"),
    ([attr(rig.TARGET, "tcp://127.0.0.01:9")], 3, "IPv4"),
    ([attr(rig.TARGET, "https://user:pw@h")], 3, "password"),
    ([attr(rig.TARGET, b"tcp://\xff\xfe\x1b[2J:1")], 3, ""),
    ([attr(rig.TARGET, "wss://localhost"), attr(rig.HEADER, "Host: h")], 4, "Host"),
    ([TARGET, attr(rig.ALPN, "h2")], 4, "alpn"),
    ([TARGET, attr(rig.TLS_NAME, "x.example")], 4, "tls-name"),
    ([TARGET, attr(rig.HEADER, "A: b")], 4, "header"),
    ([attr(rig.TARGET, "tls://localhost:9"), attr(rig.TLS_NAME, "a b")], 4, "tls-name"),
    ([TARGET, u8(rig.HANDOVER, rig.KTLS)], 90, ""),
]


class HostileClient(rig.Case):
    def setUp(self):
        super().setUp()
        self.origin = self.serve(fdialtest.Echo())
        self.mute = self.serve(fdialtest.Mute())
        self.hole = self.serve(fdialtest.BlackHole())
        self.names = self.name_server("silent.test - SILENT\n")
        self.target = f"tcp://127.0.0.1:{self.origin.port}"
        config = f'workers = 2\nnameservers = "127.0.0.1:{self.names.port}"\n' \
            + rig.rule(max_pending="300", max_relays="300")
        self.daemon = self.start_daemon(config, log_level="warning")
        # Somebody else, at work all the time; and the name server's socket is there from here on.
        self.other = self.session(self.daemon)
        self.assertEqual(self.other.connect("tcp://silent.test:1", timeout_ms=50).stage, "resolve")
        self.relay = self.dial(self.other, self.target, handover=rig.RELAY)
        self.sock = self.dial(self.other, self.target)
        self.others, self.opened = self.opened, []
        self.state = rig.State(self.daemon)
        self.state.why_not = self.why_not

    def why_not(self):
        now = rig.status(self.daemon)
        wrong = {k: now[k] for k, n in (("requests_now", "0"), ("relays_now", "1")) if now[k] != n}
        if int(now["sessions_now"]) > self.state.n_sessions:
            wrong["sessions_now"] = now["sessions_now"]
        if int(now["quota_accounts_now"]) > self.state.n_accounts:
            wrong["quota_accounts_now"] = now["quota_accounts_now"]
        return wrong

    def assert_others_unharmed(self):
        self.assert_echo(self.relay)
        self.assert_echo(self.sock)
        with contextlib.closing(self.other.dial(self.target)) as s:
            self.assert_echo(s)

    def tearDown(self):
        self.close_all()
        self.assert_others_unharmed()
        self.state.check()

    def assert_dropped(self, session, code, detail):
        m = session.recv()
        self.assertIsNotNone(m, "no error before the end")
        self.assertEqual((m.kind, m.code), (rig.ERROR, code), m)
        self.assertIn(detail, m.detail)
        self.assertIsNone(session.recv())

    def test_malformed(self):
        n_before = int(rig.status(self.daemon)["protocol_errors"])
        for what, data, after_hello, code, detail in ROWS:
            with self.subTest(what), contextlib.closing(
                    rig.Session(self.daemon.socket, after_hello)) as s:
                s.send(data)
                self.assert_dropped(s, code, detail)
                self.relay.sendall(b"x")
                self.assertEqual(self.relay.recv(1), b"x")
        self.assertEqual(int(rig.status(self.daemon)["protocol_errors"]) - n_before, len(ROWS))

    def test_malformed_drops_what_is_in_flight(self):
        s = self.session(self.daemon)
        s.submit(f"tcp://127.0.0.1:{self.hole.port}")
        s.submit(f"tls://127.0.0.1:{self.mute.port}")
        s.submit("tcp://silent.test:1")
        s.send(message(99, 1))
        self.assert_dropped(s, BAD_MESSAGE, "unknown message type")

    def test_only_one_error(self):
        s = self.session(self.daemon)
        for _ in range(20):
            try:
                s.send(message(99, 1))
            except (BrokenPipeError, ConnectionResetError):
                break
        self.assert_dropped(s, BAD_MESSAGE, "unknown message type")

    def test_refused_but_not_dropped(self):
        s = self.session(self.daemon)
        for i, (attributes, code, detail) in enumerate(REFUSED):
            with self.subTest(detail):
                s.send(message(rig.CONNECT, i, *attributes))
                m = s.recv()
                self.assertEqual((m.kind, m.id, m.code), (rig.RESULT, i, code), m)
                self.assertIn(detail, m.detail)
                self.assertTrue(m.detail.isprintable())

    def test_later_clients(self):
        """What a later version may send."""
        s = self.session(self.daemon, says_hello=False)
        s.send(message(rig.HELLO, 0, u16(rig.VERSION, 9), attr(0x8123, "new"), attr(0x8123, "twice")))
        welcome = s.recv()
        self.assertEqual((welcome.kind, welcome.number(rig.VERSION)), (rig.WELCOME, 1))
        with contextlib.closing(s.dial(self.target, attr(0xFFFF, "?"), attr(0x8000))) as c:
            self.assert_echo(c)
        s.send(message(rig.CANCEL, 4711))
        s.send(message(rig.STATUS, 5, attr(0x8042, bytes(9000))))
        self.assertEqual(s.recv().kind, rig.STATUS_REPLY)

    def test_duplicate_id(self):
        s = self.session(self.daemon)
        request = message(rig.CONNECT, 5, attr(rig.TARGET, f"tcp://127.0.0.1:{self.hole.port}"))
        s.send(request)
        s.send(request)
        self.assert_dropped(s, DUPLICATE_ID, "after its result")

    def test_id_used_again_after_its_result(self):
        s = self.session(self.daemon)
        for _ in range(3):
            s.next_id = 2**64 - 1
            m = s.connect(self.target)
            self.assertEqual(m.code, 0)
            os.close(m.fds[0])

    def test_fds_are_not_taken(self):
        s = self.session(self.daemon)
        n_before = self.daemon.fd_count()
        r, w = os.pipe()
        s.send(message(rig.STATUS, 1), [w] * 200)
        self.assertEqual(s.recv().kind, rig.STATUS_REPLY)
        s.socket.sendmsg([message(rig.STATUS, 2)], [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w])),
            (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", os.getpid(), rig.UID,
                                                                    os.getgid()))])
        self.assertEqual(s.recv().kind, rig.STATUS_REPLY)
        self.assertLessEqual(self.daemon.fd_count(), n_before)  # those of sessions before may go meanwhile
        os.close(w)
        self.assertEqual(os.read(r, 1), b"")  # nobody has the other end
        os.close(r)

    def test_vanishing(self):
        targets = {"resolve": "tcp://silent.test:1", "connect": f"tcp://127.0.0.1:{self.hole.port}",
                   "tls": f"tls://127.0.0.1:{self.mute.port}", "refused": "tcp://127.0.0.1:1",
                   "result": self.target}
        for _ in range(5):
            with self.subTest("after connect"):
                self.session(self.daemon, says_hello=False).close()
            with self.subTest("after hello, answer unread"):
                s = self.session(self.daemon, says_hello=False)
                s.send(hello())
                s.close()
            for what, target in targets.items():
                for n in (1, 20):
                    s = self.session(self.daemon)
                    for _ in range(n):
                        s.submit(target, handover=rig.RELAY if n > 1 else None)
                    s.submit(target, u32(rig.COUNT, 8))
                    if what != "result":
                        s.send(message(rig.CANCEL, 1))
                    s.close()
            with self.subTest("stage reached, then gone"):
                sessions = [self.session(self.daemon) for _ in targets]
                for s, target in zip(sessions, targets.values()):
                    s.submit(target)
                sessions[0].status()  # all workers have turned since
                for s in sessions:
                    s.close()
            self.state.check()
        self.assertIsNone(self.daemon.process.poll())

    def test_vanishing_with_unread_results(self):
        for handover in (rig.TCP, rig.RELAY):
            s = self.session(self.daemon)
            for _ in range(50):
                s.submit(self.target, handover=handover)
            fdialtest.wait_until(lambda: self.origin.accepted >= 50, rig.WAIT_S, "50 connections")
            s.close()
            self.state.check()

    def test_vanishing_with_a_relay(self):
        """The session's end leaves the relay alone; the relay ends with its fd."""
        for _ in range(5):
            s = self.session(self.daemon)
            c = self.dial(s, self.target, handover=rig.RELAY)
            s.close()
            self.assert_echo(c)
            self.assertEqual(rig.status(self.daemon)["relays_now"], "2")
            c.close()
            self.state.check()
        s = self.session(self.daemon)
        c = self.dial(s, self.target, handover=rig.RELAY)
        c.sendall(b"x" * 100000)  # and never reads what comes back
        c.close()
        self.assertIn(s.ended(), (rig.CLEAN, rig.RESET))
        s.close()

    def flood(self, request):
        """A client that submits and never reads, until it is dropped. Returns how many it sent."""
        s = self.session(self.daemon)
        s.socket.settimeout(0.2)
        n_stalled = 0
        for n in range(20000):
            try:
                s.send(request(n))
                n_stalled = 0
            except TimeoutError:
                n_stalled += 1
                if n_stalled > 20:
                    return s, n
            except (BrokenPipeError, ConnectionResetError):
                return s, n
        return s, 20000

    def test_never_reading(self):
        requests = {
            "status": lambda n: message(rig.STATUS, n),
            "explain": lambda n: message(rig.EXPLAIN, n, TARGET),
            "bad targets": lambda n: message(rig.CONNECT, n, attr(rig.TARGET, "\x01" * 1000)),
            "connections": lambda n: message(rig.CONNECT, n, attr(rig.TARGET, self.target),
                                             u8(rig.HANDOVER, rig.RELAY)),
        }
        rss_before = self.daemon.rss_kib()
        for what, request in requests.items():
            with self.subTest(what):
                s, n = self.flood(request)
                self.assertLess(n, 15000, "it was served without an end")
                self.assert_others_unharmed()
                grown = self.daemon.rss_kib() - rss_before
                if not fdialtest.IS_SLOW:
                    self.assertLess(grown, UNREAD_MEMORY_MAX_KIB)
                s.close()
                self.state.check()

    def test_wrong_sender_after_fork(self):
        s = self.session(self.daemon)
        pid = os.fork()
        if pid == 0:
            try:
                s.send(message(rig.STATUS, 1))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        self.assert_dropped(s, WRONG_SENDER, "open a session of your own")

    def test_wrong_sender_of_hello(self):
        s = self.session(self.daemon, says_hello=False)
        pid = os.fork()
        if pid == 0:
            try:
                s.send(hello())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        self.assert_dropped(s, WRONG_SENDER, "open a session of your own")

    def test_session_sent_to_another_process(self):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            try:
                _, fds, _, _ = socket.recv_fds(there, 1, 1)
                with socket.socket(fileno=fds[0]) as theirs:
                    theirs.send(message(rig.CONNECT, 1, attr(rig.TARGET, self.target)))
            finally:
                os._exit(0)
        s = self.session(self.daemon)
        socket.send_fds(here, [b"x"], [s.socket.fileno()])
        os.waitpid(pid, 0)
        self.assert_dropped(s, WRONG_SENDER, "open a session of your own")
        here.close()
        there.close()

    def test_other_user_than_before(self):
        fdialtest.need_root()
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer = b"no answer"
            try:
                s = rig.Session(self.daemon.socket)
                fdialtest.become(fdialtest.CLIENT_UID)
                s.send(message(rig.STATUS, 1))
                m = s.recv()
                answer = str(m.code if m.kind == rig.ERROR else m).encode()
            finally:
                os.write(w, answer)
                os._exit(0)
        os.waitpid(pid, 0)
        self.assertEqual(os.read(r, 100), str(WRONG_SENDER).encode())
        os.close(r)
        os.close(w)

    def test_effective_user_of_another_time(self):
        """The kernel attaches real ids, so this one cannot be told; the protocol's text says so."""
        fdialtest.need_root()

        def change():
            s = rig.Session(self.daemon.socket)
            os.seteuid(fdialtest.CLIENT_UID)
            return s.connect("tcp://127.0.0.1:1").code

        as_root = self.session(self.daemon).connect("tcp://127.0.0.1:1").code
        self.assertEqual(fdialtest.call_as(change), str(as_root))

    def test_flood_of_sessions(self):
        """Sessions that never say hello: one user gets a bounded number, others are served on."""
        fdialtest.need_root()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = 4096  # SESSIONS_PER_USER_MAX
        if hard < limit + 1000:
            fdialtest.skip("RLIMIT_NOFILE is too low for this")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        ready, go = os.pipe()
        end_r, end_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            sessions, n_open = [], 0
            try:
                fdialtest.become(fdialtest.CLIENT_UID)
                for _ in range(limit + 500):
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    s.connect(self.daemon.socket)
                    sessions.append(s)
                for s in sessions[limit:]:
                    s.settimeout(rig.WAIT_S)
                    n_open += not (refusal := s.recv(1000)) or refusal[0] != rig.ERROR
            finally:
                os.write(go, str(n_open).encode())
                os.close(end_w)
                os.read(end_r, 1)
                os._exit(0)
        os.close(end_r)
        try:
            self.assertEqual(os.read(ready, 100), b"0", "a session over the limit was not refused")
            self.assert_others_unharmed()
            with contextlib.closing(rig.Session(self.daemon.socket)) as s:
                self.assertLessEqual(int(s.status()["sessions_now"]), limit + self.state.n_sessions)
        finally:
            os.close(end_w)
            os.waitpid(pid, 0)
            os.close(ready)
            os.close(go)

    def test_many_at_once(self):
        """Bad ones from many threads, while good ones work."""

        def attack(seed):
            for i in range(40):
                with contextlib.closing(rig.Session(self.daemon.socket, False)) as s:
                    data = ROWS[(seed * 7 + i) % len(ROWS)][1]
                    try:
                        s.send(hello())
                        s.submit(self.target)
                        s.send(data)
                    except OSError:
                        pass

        threads = [threading.Thread(target=attack, args=(n,)) for n in range(6)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            self.assert_others_unharmed()
        for t in threads:
            t.join()


if __name__ == "__main__":
    fdialtest.main()
