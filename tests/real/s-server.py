#!/usr/bin/env python3
"""TLS of `openssl s_server`: ECDSA and RSA, TLS 1.2 and 1.3, and versions that do not meet."""
import os

import fdialtest
import peers

CONFIG = """
rule "any" {{
  client = "uid:{uid}" allow = "tls://localhost:*" addresses = "loopback" tls = "any"
}}
rule "new" {{
  client = "uid:{uid}" allow = "tls://127.0.0.1:*" addresses = "loopback" tls = "new"
}}
tls "any" {{ ca-file = "{ca}" }}
tls "new" {{ ca-file = "{ca}" min-version = "1.3" }}
"""


class SServer(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("openssl")
        cls.authority = fdialtest.Authority()
        cls.pairs = {key: cls.authority.issue(key=key) for key in ("ec", "rsa")}
        cls.daemon = fdialtest.start_daemon(CONFIG.format(uid=os.getuid(), ca=cls.authority.certificate))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def get(self, target):
        return self.daemon.run_cli(["connect", target], input=b"GET / HTTP/1.0\r\n\r\n")

    def test_versions_and_keys(self):
        for key, pair in self.pairs.items():
            for option, version in (("-tls1_2", "1.2"), ("-tls1_3", "1.3"), ("-quiet", "1.3")):
                with self.subTest(key=key, option=option):
                    origin = self.serve(peers.SServer(*pair, *([option] if "tls" in option else [])))
                    done = self.get(f"tls://localhost:{origin.port}")
                    self.assertEqual((done.returncode, done.stderr), (0, b""))
                    self.assertIn(f"Protocol  : TLSv{version}".encode(), done.stdout)
                    status, report = self.daemon.check(f"tls://localhost:{origin.port}")
                    self.assertEqual((status, report["tls"]["version"]), (0, version))
                    if version == "1.2":
                        self.assertIn("ECDSA" if key == "ec" else "RSA", report["tls"]["cipher"])

    def test_ciphers(self):
        """What a server may insist on."""
        for option in (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
                       ["-tls1_3", "-groups", "P-384"],  # a HelloRetryRequest
                       ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]):
            with self.subTest(option):
                origin = self.serve(peers.SServer(*self.pairs["ec"], *option))
                self.assertEqual(self.get(f"tls://localhost:{origin.port}").returncode, 0)

    def test_versions_that_do_not_meet(self):
        old = self.serve(peers.SServer(*self.pairs["ec"], "-tls1_2"))
        status, report = self.daemon.check(f"tls://127.0.0.1:{old.port}")
        self.assertEqual((status, report["error"]["name"], report["error"]["stage"]),
                         (1, "TLS_VERSION", "tls"))
        self.assertRegex(report["error"]["message"], "no TLS version in common: .*version")
        ancient = self.serve(peers.SServer(*self.pairs["ec"], "-tls1_1", "-cipher",
                                           "DEFAULT:@SECLEVEL=0"))
        status, report = self.daemon.check(f"tls://localhost:{ancient.port}")
        self.assertEqual((status, report["error"]["name"]), (1, "TLS_VERSION"))

    def start_as(self, authority):
        """A daemon with a client certificate of this authority; None: without."""
        keys = ""
        credentials = self.directory()
        if authority:
            for name, path in zip(("cert", "key"), authority.issue("alice", sans=(), usage="clientAuth")):
                os.link(path, os.path.join(credentials, name))
            keys = 'certificate = "cert" key = "key"'
        return self.start_daemon(CONFIG.format(uid=os.getuid(), ca=self.authority.certificate)
                                 .replace('tls "any" {', 'tls "any" { ' + keys),
                                 env={"CREDENTIALS_DIRECTORY": credentials})

    def test_client_certificate_is_wanted(self):
        """With TLS 1.3 the server says what it thinks of it only after the handshake, when the connection
        was handed over: the log of the relay's end has it."""
        clients, strangers = (fdialtest.Authority(name="clients") for _ in range(2))
        for authority, pattern in ((clients, None), (None, "it wants a client certificate; "),
                                   (strangers, "client certificate and did not accept ours")):
            daemon = self.start_as(authority)
            for option in ("-tls1_2", "-tls1_3"):
                with self.subTest(option, pattern=pattern):
                    origin = self.serve(peers.SServer(*self.pairs["ec"], option, "-Verify", "1",
                                                      "-verify_return_error", "-CAfile",
                                                      clients.certificate))
                    target = f"tls://localhost:{origin.port}"
                    n = daemon.log().count("relay ended")
                    done = daemon.run_cli(["connect", target], input=b"GET / HTTP/1.0\r\n\r\n")
                    if authority is clients:
                        self.assertEqual((done.returncode, done.stderr), (0, b""))
                        self.assertRegex(done.stdout, rb"CN ?= ?alice")
                        continue
                    self.assertNotIn(b"200", done.stdout)
                    if option == "-tls1_2":
                        status, report = daemon.check(target)
                        self.assertEqual((status, report["error"]["name"]), (1, "TLS_ALERT"))
                        self.assertRegex(report["error"]["message"], pattern)
                        continue
                    fdialtest.wait_until(lambda: daemon.log().count("relay ended") > n, 30, "the end")
                    self.assertRegex(daemon.log(), "relay ended: .* after the handshake: .*" + pattern)


if __name__ == "__main__":
    fdialtest.main()
