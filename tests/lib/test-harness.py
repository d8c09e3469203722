"""The harness's own servers and certificates do what their names say (seen with plain sockets)."""
import base64
import os
import socket
import ssl
import subprocess
import sys

import fdialtest
import leaks


class Harness(fdialtest.Case):
    def connect(self, port, timeout=10):
        s = socket.create_connection(("127.0.0.1", port), timeout)
        self.addCleanup(s.close)
        return s

    def test_echo(self):
        s = self.connect(self.serve(fdialtest.Echo()).port)
        s.sendall(b"hello")
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.makefile("rb").read(), b"hello")

    def trusting(self, authority):
        return ssl.create_default_context(cafile=authority.certificate)

    def test_tls(self):
        root = fdialtest.Authority()
        middle = fdialtest.Authority(name="middle", issuer=root)
        for authority, key in ((root, "ec"), (root, "rsa"), (middle, "ec")):
            certificate, key = authority.issue(key=key)
            origin = self.serve(fdialtest.Tls(authority.chain(certificate), key, alpn=["http/1.1"],
                                              handle=fdialtest.answer_page(b"page")))
            context = self.trusting(root)
            with context.wrap_socket(self.connect(origin.port), server_hostname="localhost") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
                self.assertIn(b"page", tls.makefile("rb").read())
            self.assertEqual(origin.seen[0][0], "localhost")

    def test_bad_certificates(self):
        root = fdialtest.Authority()
        for reason, kwargs in {"expired": {"days": (-9, -2)}, "not yet valid": {"days": (2, 9)},
                               "self-signed": {"is_self_signed": True},
                               "doesn't match|mismatch|not valid for": {"sans": ["DNS:other.example"]},
                               "purpose": {"usage": "clientAuth"}}.items():
            with self.subTest(reason):
                origin = self.serve(fdialtest.Tls(*root.issue(**kwargs)))
                with self.assertRaisesRegex(ssl.SSLCertVerificationError, reason):
                    self.trusting(root).wrap_socket(self.connect(origin.port),
                                                    server_hostname="localhost")

    def test_dribble_and_cut(self):
        root = fdialtest.Authority()
        origin = self.serve(fdialtest.Tls(*root.issue()))
        slow = self.serve(fdialtest.Between(origin.port, chunk=1))
        with self.trusting(root).wrap_socket(self.connect(slow.port), server_hostname="localhost") as t:
            t.sendall(b"x")
            self.assertEqual(t.recv(1), b"x")
        for kwargs, error in (({}, ssl.SSLError), ({"is_reset": True}, ConnectionResetError)):
            cut = self.serve(fdialtest.Between(origin.port, cut_after=100, **kwargs))
            with self.assertRaises(error):
                self.trusting(root).wrap_socket(self.connect(cut.port), server_hostname="localhost")

    def test_refusals(self):
        with self.assertRaises(ConnectionRefusedError):
            self.connect(self.serve(fdialtest.Closed()).port)
        with self.assertRaises(TimeoutError):
            self.connect(self.serve(fdialtest.BlackHole()).port, 1)
        s = self.connect(self.serve(fdialtest.Resetting(after=1)).port)
        s.sendall(b"x")
        with self.assertRaises(ConnectionResetError):
            s.recv(1)

    def test_skip_of_a_class(self):
        """What setUpClass skips counts as skipped, though no case of it was begun."""
        path = os.path.join(self.directory(), "skipping.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write("import fdialtest\nclass Skipping(fdialtest.Case):\n"
                    "    @classmethod\n    def setUpClass(cls):\n        fdialtest.skip('not here')\n"
                    "    def test(self):\n        pass\n"
                    "fdialtest.main()\n")
        done = subprocess.run([sys.executable, path], stdout=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (77, b"not here"))

    def test_empty_network(self):
        if not fdialtest.can_unshare_network():
            fdialtest.skip("no network namespaces here")
        origin = self.serve(fdialtest.Echo())

        def connect():
            socket.create_connection(("127.0.0.1", origin.port), 5)

        uid = fdialtest.CLIENT_UID if fdialtest.is_root() else None
        self.assertIn("unreachable", fdialtest.call_as(connect, uid=uid, netns=True))
        self.assertIn("unreachable", fdialtest.call_as(connect, netns=True))
        self.assertEqual(fdialtest.call_as(connect, uid=uid), "None")
        fdialtest.wait_until(lambda: origin.accepted == 1)

    def test_leaks_are_found(self):
        self.addCleanup(leaks.forget)
        leaks.keep_credential("somebody:correct horse")
        leaks.search("somebody: correct, horse", "what is harmless")
        for before in ("", "a", "ab", "abc"):
            text = base64.b64encode(f"{before}correct horse battery".encode()).decode()
            with self.subTest(text), self.assertRaises(leaks.Leak):
                leaks.search(f"Basic {text}==", "this")
        for text in ("x=correct horse", "636f727265637420686f727365", "correct%20horse"):
            with self.subTest(text), self.assertRaises(leaks.Leak):
                leaks.search(text.encode(), "this")

    def test_leaks_of_the_daemon(self):
        self.addCleanup(leaks.forget)
        rule = 'rule "correct-horse" { client = "uid:%d" allow = "tcp://*:*" addresses = "loopback" }' % os.getuid()
        daemon = fdialtest.start_daemon(rule, credentials={"corp": "me:correct-horse"})
        self.addCleanup(daemon.process.wait)
        self.addCleanup(daemon.process.kill)
        with open(os.path.join(daemon.credentials, "corp"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "me:correct-horse")
        with self.assertRaisesRegex(leaks.Leak, "stdout"):
            daemon.run_cli(["explain", "tcp://127.0.0.1:1"])
        daemon.run_cli(["connect", f"tcp://127.0.0.1:{self.serve(fdialtest.Echo()).port}"])
        with self.assertRaisesRegex(leaks.Leak, "stdout"):  # its counters are by rule
            daemon.stop()
        with self.assertRaisesRegex(leaks.Leak, "log"):
            daemon.kill()


if __name__ == "__main__":
    fdialtest.main()
