"""The upgrade to WebSocket, through the running daemon, on each way a connection is handed over: servers
that are right in every unusual way, ones that refuse, and ones that are wrong, slow, endless or silent."""
# time-limit: 240
import base64
import json
import os
import socket
import threading

import fdialtest
import rig
import websocket_peer
from rig import attr, u32
from websocket_peer import answer

BAD_OPTION, CANCELLED, DEADLINE, NOT_TLS, REFUSED, BROKEN = 4, 10, 11, 60, 80, 81
EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_TIMED_OUT = 0, 1, 2, 6
HEAD_MAX = 16384
INTERIM_MAX = 8
SECRET = "Zk3-very-secret"
SHORT_S = 5 if fdialtest.IS_SLOW else 2  # enough to come to the upgrade
KINDS = ("tcp", "relay", "wss")


def path_of(head):
    return head.split(b" ", 2)[1].decode()


def upgrade(conn):
    """Agrees, then gives back what comes."""
    conn.sendall(answer(websocket_peer.read_head(conn)))
    fdialtest.echo(conn)


def escaped(head):
    """As `fdial check` writes what a peer said."""
    return "".join(c if " " <= c <= "~" and c != "\\" else f"\\x{ord(c):02x}" for c in head.decode("latin-1"))


def wait_for_end(conn):
    while conn.recv(65536):
        pass


class WebSocket(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()

    def setUp(self):
        super().setUp()
        self.daemon = self.start_daemon(
            f'workers = 1\ntls "t" {{ ca-file = "{self.authority.certificate}" }}\n'
            + rig.rule("relayed", allow='"*://127.0.0.2:*"', handoff='"relay"') + rig.rule(tls='"t"'))
        self.s = self.session(self.daemon)
        self.state = rig.State(self.daemon)

    def tearDown(self):
        while len(self.opened) > 1:
            self.opened.pop().close()
        self.state.check()
        self.close_all()
        self.assertNotIn(SECRET, self.daemon.log())

    def origin(self, kind, handle):
        """With its target, up to the path."""
        if kind == "wss":
            origin = self.serve(fdialtest.Tls(*self.certificate, handle, alpn=["http/1.1"]))
            return origin, f"wss://localhost:{origin.port}"
        host = "127.0.0.2" if kind == "relay" else "127.0.0.1"
        origin = self.serve(fdialtest.Origin(handle, host=host))
        return origin, f"ws://{host}:{origin.port}"

    def each(self, handle, kinds=KINDS):
        for kind in kinds:
            print(f"# {kind}")
            yield kind, *self.origin(kind, handle)

    def assert_fails(self, m, code, detail, stage="upgrade"):
        self.assertEqual((m.code, m.stage, m.fds), (code, stage, []), m)
        self.assertRegex(m.detail, detail)
        self.assertNotIn(SECRET, m.detail)

    # ---- good ones ----

    def test_request_and_result(self):
        heads = []

        def handle(conn):
            heads.append(websocket_peer.read_head(conn))
            heads.append(answer(heads[0], "Server: x"))
            conn.sendall(heads[1])
            fdialtest.echo(conn)

        for kind, origin, target in self.each(handle):
            heads.clear()
            m = self.s.connect(target + "/chat?room=1")
            self.assertEqual((m.code, m.number(rig.HANDOVER)),
                             (0, rig.TCP if kind == "tcp" else rig.RELAY), m)
            self.assertEqual(m.attributes[rig.RESPONSE], [heads[1]])
            self.assertEqual(m.number(rig.RESPONSE_IS_CLEAR), None if kind == "wss" else 1)
            stages = list(m.times_us())
            self.assertEqual(stages[-2:], ["tls", "upgrade"] if kind == "wss" else ["connect", "upgrade"])
            with socket.socket(fileno=m.fds[0]) as c:
                c.settimeout(rig.WAIT_S)
                self.assert_echo(c, websocket_peer.frame(b"hello", mask=websocket_peer.MASK))
            self.assertEqual(heads[0].split(b"\r\n")[0], b"GET /chat?room=1 HTTP/1.1")
            fields = websocket_peer.fields(heads[0])
            self.assertEqual([name for name, _ in fields],
                             ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key",
                              "Sec-WebSocket-Version"])
            self.assertEqual([value for _, value in fields[:3] + fields[4:]],
                             [target.split("/")[2], "websocket", "Upgrade", "13"])
            self.assertEqual(len(base64.b64decode(fields[3][1], validate=True)), 16)
            if kind == "wss":
                self.assertEqual(origin.seen[0][2], "http/1.1")

    def test_headers_and_subprotocols(self):
        heads = []

        def handle(conn):
            heads.append(websocket_peer.read_head(conn))
            chosen = {"/none": [], "/other": ["Sec-WebSocket-Protocol: v9"],
                      "/second": ["Sec-WebSocket-Protocol: v1.chat"]}[path_of(heads[-1])]
            conn.sendall(answer(heads[-1], *chosen))
            fdialtest.echo(conn)

        options = [attr(rig.HEADER, f"Authorization: Bearer {SECRET}"), attr(rig.HEADER, "X-Empty:"),
                   attr(rig.SUBPROTOCOL, "v2.chat"), attr(rig.SUBPROTOCOL, "v1.chat")]
        for _, _, target in self.each(handle):
            for path in ("/none", "/second"):
                m = self.s.connect(target + path, *options)
                self.assertEqual(m.code, 0, m)
                os.close(m.fds[0])
                self.assertEqual(b"\r\nSec-WebSocket-Protocol: v1.chat\r\n" in m.attributes[rig.RESPONSE][0],
                                 path == "/second")
                fields = websocket_peer.fields(heads.pop())
                self.assertEqual(fields[5:], [("Authorization", f"Bearer {SECRET}"), ("X-Empty", ""),
                                              ("Sec-WebSocket-Protocol", "v2.chat, v1.chat")])
            self.assert_fails(self.s.connect(target + "/other", *options), BROKEN,
                              "subprotocol that was not offered")

    def test_longest_request(self):
        """As much as fits into a message of the client; and a target without a path."""
        heads = []

        def handle(conn):
            heads.append(websocket_peer.read_head(conn))
            conn.sendall(answer(heads[-1]))
            fdialtest.echo(conn)

        values = [f"{i:02}" + "v" * 501 for i in range(32)]
        for _, _, target in self.each(handle):
            with self.dial(self.s, target, *[attr(rig.HEADER, f"X: {v}") for v in values]) as c:
                self.assert_echo(c)
            head = heads.pop()
            self.assertTrue(head.startswith(b"GET / HTTP/1.1\r\n"), head)
            self.assertEqual([v for name, v in websocket_peer.fields(head) if name == "X"], values)
            self.assertGreater(len(head), 16 * 1024)

    def test_options_that_may_not_be(self):
        """Said before anything is connected."""
        for _, origin, target in self.each(upgrade):
            for header in ("Host: x", "Connection: close", "Sec-WebSocket-Key: x", "no colon",
                           f"X: {SECRET}\r\nHost: y", "Content-Length: 5"):
                self.assert_fails(self.s.connect(target, attr(rig.HEADER, header)), BAD_OPTION, "header",
                                  "request")
            for subprotocol in ("a,b", "a b"):
                self.assert_fails(self.s.connect(target, attr(rig.SUBPROTOCOL, subprotocol)), BAD_OPTION,
                                  "subprotocol", "request")
            self.assertEqual(origin.accepted, 0)
        self.assert_fails(self.s.connect("http://127.0.0.1:1", attr(rig.HEADER, "X: y")), BAD_OPTION,
                          "ws or wss", "request")

    def test_first_frames(self):
        """Behind the answer, in the same piece: all of them arrive, and nothing else."""
        frames = {f"/{n}": websocket_peer.frame(os.urandom(n), websocket_peer.BINARY)
                  for n in (1, 100, 4000, 70000, 400000)}

        def handle(conn):
            head = websocket_peer.read_head(conn)
            conn.sendall(answer(head) + frames[path_of(head)])
            conn.sendall(conn.recv(100))

        for _, _, target in self.each(handle):
            for path, frame in frames.items():
                with self.dial(self.s, target + path) as c:
                    file = c.makefile("rb")
                    self.assertEqual(file.read(len(frame)), frame)
                    c.sendall(b"and then")
                    self.assertEqual(file.read(), b"and then")

    def test_interim_answers(self):
        interim = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]

        def handle(conn):
            head = websocket_peer.read_head(conn)
            n = int(path_of(head)[1:])
            conn.sendall(b"".join(interim[i % 2] for i in range(n)) + answer(head) + b"first")
            wait_for_end(conn)

        for _, _, target in self.each(handle):
            for n in (1, INTERIM_MAX):
                m = self.s.connect(f"{target}/{n}")
                self.assertEqual(m.code, 0, m)
                self.assertTrue(m.attributes[rig.RESPONSE][0].startswith(b"HTTP/1.1 101 "), m)
                with socket.socket(fileno=m.fds[0]) as c:
                    self.assertEqual(c.makefile("rb").read(5), b"first")
            self.assert_fails(self.s.connect(f"{target}/{INTERIM_MAX + 1}"), BROKEN,
                              "more than 8 interim answers")

    def test_byte_by_byte(self):

        def handle(conn):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = websocket_peer.read_head(conn)
            for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + answer(head) + b"first":
                conn.sendall(bytes([byte]))
            wait_for_end(conn)

        for _, _, target in self.each(handle):
            with self.dial(self.s, target) as c:
                self.assertEqual(c.makefile("rb").read(5), b"first")

    def test_count(self):
        """Each is upgraded for itself; those that are refused are not there."""
        keys = []

        def handle(conn):
            head = websocket_peer.read_head(conn)
            keys.append(websocket_peer.accept_of(head))
            if path_of(head) == "/all" or (path_of(head) == "/half" and len(keys) % 2 == 0):
                conn.sendall(answer(head))
                fdialtest.echo(conn)
            else:
                conn.sendall(b"HTTP/1.1 503 Busy\r\n\r\n")

        for _, _, target in self.each(handle):
            for path, n in {"/all": 6, "/half": 3}.items():
                keys.clear()
                m = self.s.connect(target + path, u32(rig.COUNT, 6))
                self.assertEqual((m.code, len(m.fds), len(set(keys))), (0, n, 6), m)
                for fd in m.fds:
                    with socket.socket(fileno=fd) as c:
                        self.assert_echo(c)
            m = self.s.connect(target + "/none", u32(rig.COUNT, 6))
            self.assert_fails(m, REFUSED, "503 Busy")

    # ---- refusals ----

    REFUSALS = {
        "/401": b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
        "/302": b"HTTP/1.1 302 Found\r\nLocation: https://login.example/in?token=Zk3-very-secret\r\n\r\n",
        "/426": b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 12, 8\r\nUpgrade: h2c\r\n\r\n",
        "/503": b"HTTP/1.1 503 Over\xe9\r\nRetry-After: 5\r\n\r\n",
        "/200": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n",
        "/1.0": b"HTTP/1.0 404\r\n\r\n"}
    SAID = {"/401": "it answers 401 Unauthorized", "/426": "it answers 426 Upgrade Required",
            "/302": "it answers 302 Found, Location: https://login.example/in",
            "/503": r"it answers 503 Over\xe9", "/200": "it answers 200 OK", "/1.0": "it answers 404"}

    def refuse(self, conn):
        path = path_of(websocket_peer.read_head(conn))
        conn.sendall(self.REFUSALS[path] + b"<html>" * 100)
        wait_for_end(conn)

    def test_refusals(self):
        """With their head; of what is behind it nothing is waited for."""
        for _, _, target in self.each(self.refuse):
            for path, head in self.REFUSALS.items():
                m = self.s.connect(target + path)
                self.assertEqual((m.code, m.stage, m.detail),
                                 (REFUSED, "upgrade", "websocket: " + self.SAID[path]), m)
                self.assertEqual(m.attributes[rig.RESPONSE], [head])

    def test_refusals_for_people(self):
        for kind, _, target in self.each(self.refuse, ("tcp", "wss")):
            for path, head in self.REFUSALS.items():
                done = self.daemon.run_cli(["check", "--json", target + path])
                self.assertEqual(done.stderr.decode(), f"fdial: {target + path}: upgrade: server refused the"
                                 f" upgrade: websocket: {self.SAID[path]}\n")
                report = json.loads(done.stdout)
                self.assertEqual((done.returncode, report["error"]["stage"], report["error"]["name"]),
                                 (EXIT_FAILED, "upgrade", "UPGRADE_REFUSED"))
                self.assertEqual(report["response"],
                                 {"text": escaped(head), "is_authenticated": kind == "wss"})
            done = self.daemon.run_cli(["connect", target + "/503"])
            self.assert_report(done, EXIT_FAILED, r"upgrade: .*503 Over\\xe9$")

    # ---- wrong ones ----

    def test_wrong_answers(self):
        wrong = {
            "not websocket": lambda good: good.replace(b"websocket", b"h2c", 1),
            "does not say upgrade": lambda good: good.replace(b"Connection: Upgrade", b"Connection: close"),
            "does not answer the key": lambda good: good.replace(b"-Accept: ", b"-Accept: A"),
            "extension": lambda good: good[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "subprotocol": lambda good: good[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n",
            "HTTP/1.0": lambda good: good.replace(b"1.1", b"1.0", 1),
            "head of its answer": lambda good: good[:-2] + b"no colon\r\n\r\n",
            "head of  *its answer": lambda good: good.replace(b"Upgrade", b"Upgr\0de", 1),
            "head of +its answer": lambda _: b"SSH-2.0-x\r\n\r\n"}

        for pattern, spoil in wrong.items():

            def handle(conn, spoil=spoil):
                conn.sendall(spoil(answer(websocket_peer.read_head(conn))))
                wait_for_end(conn)

            for _, _, target in self.each(handle):
                self.assert_fails(self.s.connect(target), BROKEN, pattern)

    def test_cut_at_every_byte(self):
        """With the end of the stream, and with a reset. The path says where."""

        def handle(conn):
            head = websocket_peer.read_head(conn)
            _, how, n = path_of(head).split("/")
            conn.sendall(answer(head)[:int(n)])
            if how == "reset":
                fdialtest.reset(conn)

        n_bytes = len(answer(b"GET /\r\nSec-WebSocket-Key: x\r\n\r\n"))
        for kind, _, target in self.each(handle):
            for how in ("close",) if kind == "wss" else ("close", "reset"):
                for n in range(n_bytes):
                    self.s.submit(f"{target}/{how}/{n}")
                for _ in range(n_bytes):
                    self.assert_fails(self.s.recv_kind(rig.RESULT), BROKEN,
                                      "it closed the connection" if how == "close" else
                                      "it (closed|reset) the connection")

    def test_tls_that_is_cut(self):
        """Without close_notify, at every stage of TLS and behind it."""
        origin, _ = self.origin("wss", upgrade)
        codes = set()
        for n in range(1, 20000, 97):
            between = fdialtest.Between(origin.port, cut_after=n)
            try:
                m = self.s.connect(f"wss://localhost:{between.port}")
                if m.code == 0:
                    os.close(m.fds[0])
                    break
                codes.add((m.stage, m.code))
            finally:
                between.stop()
        self.assertLessEqual(codes, {("tls", 63), ("upgrade", BROKEN)})
        self.assertIn(("tls", 63), codes)

    def test_endless_answers(self):
        pieces = {"/line": b"x" * 1000, "/fields": b"X-Y: z\r\n" * 100, "/interim": b"HTTP/1.1 100 x\r\n\r\n"}

        def handle(conn):
            piece = pieces[path_of(websocket_peer.read_head(conn))]
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\n" if piece[:1] != b"H" else b"")
            while True:
                conn.sendall(piece)

        rss_before = self.daemon.rss_kib()
        for _, _, target in self.each(handle):
            for path in pieces:
                m = self.s.connect(target + path)
                self.assert_fails(m, BROKEN, "interim" if path == "/interim" else
                                  f"more than {HEAD_MAX} bytes without an end")
        if not fdialtest.IS_SLOW:
            self.assertLess(self.daemon.rss_kib() - rss_before, 8 * 1024)

    def test_longest_head(self):

        def handle(conn):
            head = websocket_peer.read_head(conn)
            good = answer(head, "X-Long: ")
            n = int(path_of(head)[1:])
            conn.sendall(good[:-4] + b"x" * (n - len(good)) + b"\r\n\r\n" + b"first")
            wait_for_end(conn)

        for _, _, target in self.each(handle):
            m = self.s.connect(f"{target}/{HEAD_MAX}")
            self.assertEqual((m.code, len(m.attributes[rig.RESPONSE][0])), (0, HEAD_MAX))
            with socket.socket(fileno=m.fds[0]) as c:
                self.assertEqual(c.makefile("rb").read(5), b"first")
            self.assert_fails(self.s.connect(f"{target}/{HEAD_MAX + 1}"), BROKEN, "without an end")

    # ---- slow ones ----

    def test_silence(self):
        """The request's deadline is the upgrade's, too; and a byte now and then does not move it."""
        is_over = threading.Event()
        self.addCleanup(is_over.set)

        def handle(conn):
            head = websocket_peer.read_head(conn)
            if path_of(head) == "/silent":
                wait_for_end(conn)
            for byte in answer(head)[:-1] * 1000:
                conn.sendall(bytes([byte]))
                if is_over.wait(0.05):
                    return

        for _, _, target in self.each(handle):
            for path in ("/silent", "/slow"):
                self.s.submit(target + path, timeout_ms=SHORT_S * 1000)
            for _ in range(2):
                m = self.s.recv_kind(rig.RESULT)
                self.assert_fails(m, DEADLINE, "has not answered the upgrade request")
                self.assertNotIn(rig.RESPONSE, m.attributes)
                self.assertNotIn("upgrade", m.times_us())
            done = self.daemon.run_cli(["check", "--json", "--timeout", str(SHORT_S), target + "/silent"])
            self.assert_report(done, EXIT_TIMED_OUT, ": upgrade: deadline passed: connected, but the server"
                               " has not answered the upgrade request")
            self.assertGreaterEqual(json.loads(done.stdout)["elapsed_us"], SHORT_S * 1e6 - 50e3)

    def test_cancel(self):
        """And a session that goes: the server sees the end at once."""
        asked, ended = threading.Semaphore(0), threading.Semaphore(0)

        def handle(conn):
            websocket_peer.read_head(conn)
            conn.sendall(b"HTTP/1.1 101")
            asked.release()
            try:
                wait_for_end(conn)
            finally:
                ended.release()

        for _, _, target in self.each(handle):
            ident = self.s.submit(target, u32(rig.COUNT, 3), timeout_ms=600000)
            for _ in range(3):
                self.assertTrue(asked.acquire(timeout=rig.WAIT_S))
            self.s.send(rig.message(rig.CANCEL, ident))
            self.assert_fails(self.s.recv_kind(rig.RESULT), CANCELLED, "^$", "request")
            other = self.session(self.daemon)
            other.submit(target, timeout_ms=600000)
            self.assertTrue(asked.acquire(timeout=rig.WAIT_S))
            other.close()
            for _ in range(4):
                self.assertTrue(ended.acquire(timeout=rig.WAIT_S))

    def test_the_other_protocol(self):
        origin, _ = self.origin("wss", upgrade)
        m = self.s.connect(f"ws://127.0.0.1:{origin.port}")
        self.assertEqual((m.code, m.stage), (BROKEN, "upgrade"), m)
        origin = self.serve(fdialtest.Origin(lambda conn: conn.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")))
        self.assert_fails(self.s.connect(f"wss://localhost:{origin.port}"), NOT_TLS, "HTTP/1.1 400", "tls")
        origin = self.serve(fdialtest.Tls(*self.certificate, upgrade, alpn=["h2"]))
        m = self.s.connect(f"wss://localhost:{origin.port}")  # who speaks h2 alone would not answer
        self.assertEqual(m.code, 0, m)
        os.close(m.fds[0])

    # ---- the command ----

    def test_command(self):
        for kind, _, target in self.each(upgrade):
            done = self.daemon.run_cli(["connect", target, "--header", f"Authorization: {SECRET}",
                                        "--subprotocol", "chat"], input=b"frames")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (EXIT_DONE, b"frames", b""))
            script = "printf over-exec >&7; head -c 9 <&6; echo; echo $PROTO"
            done = self.daemon.run_cli(["exec", target, "--", "sh", "-c", script])
            self.assertEqual((done.returncode, done.stdout), (EXIT_DONE, b"over-exec\nTCP\n"), done)
            status, report = self.daemon.check(target)
            self.assertEqual((status, report["stages"][-1]["stage"]), (EXIT_DONE, "upgrade"), report)
            self.assertGreater(report["stages"][-1]["us"], 0)
            self.assertTrue(report["response"]["text"].startswith(
                r"HTTP/1.1 101 Switching Protocols\x0d\x0aUpgrade"))
            self.assertEqual(report["response"]["is_authenticated"], kind == "wss")
            text = self.daemon.run_cli(["check", target]).stdout.decode()
            self.assertRegex(text, r"(?m)^upgrade +\d+\.\d+ ms$")
            self.assertRegex(text, r"(?m)^response( \(without TLS, unauthenticated\))?:\n"
                             r"  HTTP/1.1 101 Switching Protocols\n  Upgrade: websocket$")
            done = self.daemon.run_cli(["explain", target])
            self.assertRegex(done.stdout.decode(), r"websocket.*handoff\(" + ("tcp" if kind == "tcp"
                                                                              else "relay"))

    def test_command_refuses_headers(self):
        for args, pattern in {("--header", "Host: x"): "Host is not for the client to set",
                              ("--header", "no"): "name:value", ("--subprotocol", "a b"): "word"}.items():
            done = self.daemon.run_cli(["connect", "ws://127.0.0.1:1", *args])
            self.assert_report(done, EXIT_USAGE, pattern)


if __name__ == "__main__":
    fdialtest.main()
