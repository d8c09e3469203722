#!/usr/bin/env python3
"""WebSocket with servers that people use: Python's websockets, by itself and behind nginx, with TLS and
without. What is said over the fds is frames."""
import os
import socket
import subprocess

import fdialtest
import peers
import protocol_client
import websocket_peer
from websocket_peer import BINARY, CLOSE, MASK, PING, PONG, TEXT, frame

CONFIG = """
rule "web" {{
  client = "uid:{uid}" allow = {{ "ws://localhost:*", "wss://localhost:*" }} addresses = "loopback" tls = "ca"
  seal = "{seal}"
}}
tls "ca" {{ ca-file = "{ca}" }}
"""
BEHIND = """
    location /ws/ {{
      proxy_pass http://127.0.0.1:{port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
    }}
"""


class Websockets(peers.Server):
    """websocket_echo.py. It has `port`."""

    def __init__(self, *subprotocols):
        self._subprotocols = subprotocols
        super().__init__("websockets", self._make_argv, lambda _: peers.can_connect(self.port))

    def _make_argv(self, _path):
        self.port = fdialtest.free_port()
        return [peers.PYTHON, os.path.join(os.path.dirname(os.path.abspath(__file__)), "websocket_echo.py"),
                str(self.port), *self._subprotocols]


class WebSocket(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("nginx", "openssl")
        if subprocess.run([peers.PYTHON, "-c", "import websockets"], stderr=subprocess.DEVNULL,
                          check=False).returncode:
            fdialtest.skip("no python3-websockets here")
        authority = fdialtest.Authority()
        cls.origin = Websockets("v1.chat", "v2.chat")
        cls.nginx = peers.Nginx(*authority.issue(), BEHIND.format(port=cls.origin.port))
        cls.daemons = [fdialtest.start_daemon(CONFIG.format(uid=os.getuid(), seal=seal, ca=authority.certificate))
                       for seal in ("required", "off")]
        cls.targets = [f"ws://localhost:{cls.origin.port}", f"ws://localhost:{cls.nginx.http_port}",
                       f"wss://localhost:{cls.nginx.https_port}"]

    @classmethod
    def tearDownClass(cls):
        for server in (*cls.daemons, cls.nginx, cls.origin):
            server.stop()

    def each(self):
        """Relayed and bare; by itself, behind nginx, and with TLS."""
        for daemon in self.daemons:
            for target in self.targets:
                print(f"# {target}{' bare' if daemon is self.daemons[1] else ''}")
                yield daemon, target

    def dial(self, daemon, target, **options):
        """The result, the connection, and a function that reads a frame from it."""
        with protocol_client.Session(daemon.socket) as session:
            session.connect(target, **options)
            result = session.result()
        c = socket.socket(fileno=result.fds[0])
        self.addCleanup(c.close)
        c.settimeout(fdialtest.WAIT_S)
        file = c.makefile("rb")
        self.addCleanup(file.close)
        return result, c, lambda: websocket_peer.read_frame(file.read)

    def test_messages(self):
        """The server speaks first; then messages of all lengths, a ping, and the end as RFC 6455 has it."""
        big = os.urandom(300000)
        for daemon, target in self.each():
            result, c, read_frame = self.dial(daemon, target + "/ws/chat?room=1")
            head = result.values["response"]
            self.assertTrue(head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"\r\n\r\n"), head)
            self.assertEqual(result.values.get("response is clear"), None if target.startswith("wss") else 1)
            self.assertEqual([t.stage for t in result.values["time"]][-1], "upgrade")
            self.assertEqual(read_frame(), (TEXT, b"/ws/chat?room=1 None"))
            for opcode, message in ((TEXT, b"hello"), (BINARY, b""), (BINARY, big[:1000]), (BINARY, big)):
                c.sendall(frame(message, opcode, MASK))
                self.assertEqual(read_frame(), (opcode, message))
            c.sendall(frame(b"are you there?", PING, MASK))
            self.assertEqual(read_frame(), (PONG, b"are you there?"))
            c.sendall(frame(b"\x03\xe8", CLOSE, MASK))  # 1000, RFC 6455, 7.4.1
            self.assertEqual(read_frame(), (CLOSE, b"\x03\xe8"))
            self.assertEqual(c.recv(1), b"")

    def test_headers_and_subprotocols(self):
        for daemon, target in self.each():
            result, _, read_frame = self.dial(daemon, target + "/ws/", subprotocol=["v9", "v2.chat"],
                                              header=["X-Token: Zk3", "X-Other:  spaces "])
            self.assertIn(b"\r\nSec-WebSocket-Protocol: v2.chat\r\n", result.values["response"])
            self.assertEqual(read_frame(), (TEXT, b"/ws/ X-Other=spaces X-Token=Zk3 v2.chat"))

    def test_refusals(self):
        for daemon, target in self.each():
            for path, said in {"/ws/refuse/401": "401 Unauthorized", "/ws/refuse/302": "302 Found",
                               "/ws/refuse/426": "426 Upgrade Required", "/ws/refuse/503": "503 Service",
                               }.items():
                done = daemon.run_cli(["connect", target + path])
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr.decode(), rf"\Afdial: {target}{path}: upgrade: .*: it answers {said}")
                status, report = daemon.check(target + path)
                self.assertEqual((status, report["error"]["name"]), (1, "UPGRADE_REFUSED"))
                self.assertRegex(report["response"]["text"], rf"\AHTTP/1.1 {said}.*X-Why: asked for")
        nginx = self.targets[2]
        status, report = self.daemons[0].check(nginx + "/hello")  # a page, and no WebSocket
        self.assertRegex(report["error"]["message"], "it answers 200 OK$")

    def test_command(self):
        """Frames on standard input and output, which stays open until the answer is there: nginx leaves whoever
        ends his side earlier."""
        wanted = frame(b"/ws/x v1.chat") + frame(b"hello")
        for daemon, target in self.each():
            env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
            with fdialtest.popen([fdialtest.program("fdial"), "connect", target + "/ws/x", "--subprotocol",
                                  "v1.chat"], env=env, cwd="/tmp", stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE) as process:
                process.stdin.write(frame(b"hello", TEXT, MASK))
                process.stdin.flush()
                self.assertEqual(process.stdout.read(len(wanted)), wanted)
                process.stdin.close()
                process.wait(fdialtest.CLI_TIMEOUT_S)


if __name__ == "__main__":
    fdialtest.main()
