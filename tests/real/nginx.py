#!/usr/bin/env python3
"""HTTP and HTTPS of nginx over the fds that are handed out: by the command, by the library, and by
Python's http.client."""
import json
import os
import subprocess

import fdialtest
import peers

CONFIG = """
rule "web" {{
  client = "uid:{uid}"
  allow = {{ "http://localhost:*", "https://localhost:*", "http://[::1]:*", "https://127.0.0.1:*" }}
  addresses = "loopback"
  tls = "ca"
  {more}
}}
tls "ca" {{ ca-file = "{ca}" }}
"""


class Nginx(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("nginx", "openssl")
        cls.authority = fdialtest.Authority()
        cls.origin = peers.Nginx(*cls.authority.issue())
        cls.big = os.urandom(3 << 20)
        with open(f"{cls.origin.root}/big", "wb") as f:
            f.write(cls.big)
        cls.daemons = [fdialtest.start_daemon(CONFIG.format(uid=os.getuid(), more=more,
                                                            ca=cls.authority.certificate))
                       for more in ("", 'seal = "off"')]
        cls.targets = [f"http://localhost:{cls.origin.http_port}",
                       f"https://localhost:{cls.origin.https_port}",
                       f"http://[::1]:{cls.origin.http_port}",
                       f"https://127.0.0.1:{cls.origin.https_port}"]

    @classmethod
    def tearDownClass(cls):
        for daemon in cls.daemons:
            daemon.stop()
        cls.origin.stop()

    def each(self):
        """Relayed and bare, plain and TLS."""
        for daemon in self.daemons:
            for target in self.targets:
                print(f"# {target}{' bare' if daemon is self.daemons[1] else ''}")
                yield daemon, target

    def test_connect(self):
        for daemon, target in self.each():
            request = b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            head, _, body = self.talk(daemon, target, request).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertTrue(body == self.big, len(body))

    def talk(self, daemon, target, request):
        """With stdin open until the answer is there: nginx leaves whoever ends his side earlier."""
        env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
        with fdialtest.popen([fdialtest.program("fdial"), "connect", target], env=env, cwd="/tmp",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(request)
            process.stdin.flush()
            answer = process.stdout.read()
            process.stdin.close()
            self.assertEqual(process.wait(fdialtest.CLI_TIMEOUT_S), 0)
        return answer

    def test_connect_keeps_open(self):
        """Two requests at once in one connection; the second closes it."""
        for daemon, target in self.each():
            request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
            last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            done = daemon.run_cli(["connect", target], input=request + last)
            self.assertEqual(done.stdout.count(b"HTTP/1.1 200 OK"), 2, done)
            self.assertEqual(done.stdout.count(b"hello from nginx, " + target.encode().split(b":")[0]), 2)

    def test_resumption(self):
        """nginx says the same as the daemon, with each version; each connection is the next one's."""
        for version in ("TLSv1.2", "TLSv1.3"):
            said = f'ssl_protocols {version}; add_header X-Resumed "<$ssl_session_reused>";'
            origin = peers.Nginx(*self.authority.issue(), more=said)
            self.addCleanup(origin.stop)
            daemon = self.start_daemon(CONFIG.format(uid=os.getuid(), more="",
                                                     ca=self.authority.certificate))
            request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            heads = [self.talk(daemon, f"https://localhost:{origin.https_port}", request)
                     for _ in range(4)]
            resumed = [b"X-Resumed: <r>" in head for head in heads]
            self.assertEqual(resumed, [False, True, True, True], heads)
            status = json.loads(daemon.run_cli(["status", "--json"]).stdout)
            self.assertEqual(status["tls_resumed"], 3)

    def test_exec(self):
        script = r"printf 'GET /hello HTTP/1.0\r\n\r\n' >&7; cat <&6"
        for daemon, target in self.each():
            done = daemon.run_cli(["exec", target, "--", "sh", "-c", script])
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"\r\n\r\nhello from nginx", done.stdout)

    def test_http_client(self):
        """Python's http.client on socket.socket(fileno=…), three requests on one connection."""
        for daemon, target in self.each():
            done = daemon.run_cli(["exec", "--fd", "5", target, "--", peers.PYTHON, "-c",
                                   peers.PYTHON_GET, "5", "/hello", "/absent", "/hello"])
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            lines = [line for line in done.stdout.split(b"\n") if line[:4] in (b"200 ", b"404 ")]
            self.assertEqual([line[:4] for line in lines], [b"200 ", b"404 ", b"200 "])

    def test_http_client_uploads(self):
        code = ("import http.client, socket, sys; c = http.client.HTTPConnection('localhost');"
                "c.sock = socket.socket(fileno=5); c.request('PUT', sys.argv[1], sys.stdin.buffer.read());"
                "r = c.getresponse(); r.read(); print(r.status);"
                "c.request('GET', sys.argv[1]); sys.stdout.flush();"
                "sys.stdout.buffer.write(c.getresponse().read())")
        for n, (daemon, target) in enumerate(self.each()):
            done = daemon.run_cli(["exec", "--fd", "5", target, "--", peers.PYTHON, "-c", code,
                                   f"/upload-{n}"], input=self.big)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertTrue(done.stdout == b"201\n" + self.big, done.stdout[:100])

    def test_library(self):
        program = peers.built_helper("library-client")
        for daemon, target in self.each():
            env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})
            for argv in ([target, "/hello"], ["-s", target, "/hello", "/absent", "/hello"]):
                done = peers.run([program, *argv], env=env)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(done.stdout.count(b"hello from nginx"), argv.count("/hello"))
        env["FDIAL_SOCKET"] = "/nonexistent"
        self.assertIn(b"not connected", peers.run([program, target], env=env).stderr)

    def test_check(self):
        for daemon, target in self.each():
            status, report = daemon.check(target)
            self.assertEqual((status, report["ok"]), (0, True))
            is_tls = target.startswith("https")
            is_bare = daemon is self.daemons[1] and not is_tls
            self.assertEqual(report["handoff"], "tcp" if is_bare else "relay")
            self.assertEqual(report["tls"]["alpn"] if is_tls else report["tls"],
                             "http/1.1" if is_tls else None)


if __name__ == "__main__":
    fdialtest.main()
