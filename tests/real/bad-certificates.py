#!/usr/bin/env python3
"""The matrix of certificates (tests/lib/certs-matrix.c), each judged by fdial as curl judges it; where
both refuse, fdial says why, and which certificate it is."""
import os
import re
import subprocess

import fdialtest
import peers

CONFIG = """
rule "tls" {{
  client = "uid:{uid}" allow = {{ "https://localhost:*", "https://127.0.0.1:*" }}
  addresses = "loopback" tls = "ca"
}}
tls "ca" {{ ca-file = "{ca}" }}
"""
PAGE = b"a page\n"
NOT_TRUSTED = 5
CURL_NOT_TRUSTED = 60  # CURLE_PEER_FAILED_VERIFICATION
CURL_NO_HANDSHAKE = 35  # what it calls a signature that is wrong

# What a person gets to read, besides subject, issuer and depth.
REASONS = {
    "CERT_EXPIRED": r"certificate has expired: expired \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; ",
    "CERT_NOT_YET_VALID": r"certificate is not yet valid: valid only from \d{4}-\d\d-\d\d .* UTC; ",
    "CERT_WRONG_NAME": r"certificate is for another name: not for HOST, but for other\.example, "
                       r"\*\.other\.example, 192\.0\.2\.1; ",
    "CERT_UNKNOWN_ISSUER": r"certificate issuer is unknown: .* trust store",
    "CERT_SELF_SIGNED": r"certificate is self-signed: nobody else vouches for it, ",
    "CERT_BAD_PURPOSE": r"certificate is not for this purpose: not for ",
    "CERT_WEAK_KEY": r"certificate key or signature is too weak: "
                     r"(its RSA key has only 1024 bits|signed with .*sha1.*|signed with .*SHA1); ",
    "CERT_BAD_SIGNATURE": r"certificate signature is wrong: it was changed, or ",
    "CERT_NOT_TRUSTED": r"certificate is not trusted: (more CAs stand below it than it allows|"
                        r"a CA above it may not issue for its names); ",
}


class BadCertificates(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("curl")
        cls.certificates = peers.directory("matrix")
        done = subprocess.run([f"{fdialtest.BUILDDIR}/tests/lib/make-certs", cls.certificates],
                              stdout=subprocess.PIPE, text=True, check=True)
        cls.matrix = [line.split() for line in done.stdout.splitlines()]
        cls.ca = f"{cls.certificates}/ca.pem"
        cls.daemon = fdialtest.start_daemon(CONFIG.format(uid=os.getuid(), ca=cls.ca))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def origin(self, name):
        stem = f"{self.certificates}/{name}"
        return self.serve(fdialtest.Tls(f"{stem}.pem", f"{stem}.key", fdialtest.answer_page(PAGE),
                                        ciphers="DEFAULT:@SECLEVEL=0", alpn=["http/1.1"]))

    def curl(self, url):
        done = peers.run(["curl", "--disable", "--silent", "--show-error", "--noproxy", "*", "--cacert",
                          self.ca, "--max-time", "30", url], cwd="/")
        self.assertIn(done.returncode, (0, CURL_NOT_TRUSTED, CURL_NO_HANDSHAKE), done.stderr)
        return done.returncode == 0

    def judge(self, name, error, host):
        is_good = error == "OK"
        self.assertEqual(self.curl(f"https://{host}:{self.origin(name).port}"), is_good,
                         "curl judges otherwise")
        origin = self.origin(name)  # curl looks at the name only when the handshake is done
        target = f"https://{host}:{origin.port}"
        status, report = self.daemon.check(target)
        self.assertEqual(report["error"]["name"] if report["error"] else "OK", error, report)
        self.assertEqual((status, report["status"], report["ok"]),
                         (0, 0, True) if is_good else (NOT_TRUSTED, NOT_TRUSTED, False))
        done = self.daemon.run_cli(["connect", target], input=b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(done.returncode, status)
        if is_good:
            self.assertTrue(done.stdout.endswith(PAGE))
            return
        self.assertEqual((done.stdout, report["error"]["stage"]), (b"", "tls"))
        self.check_message(done.stderr.decode(), target, error, host)
        self.assertTrue(report["certificates"][0]["names"], "the certificate is not told")
        self.assertEqual(report["peer"], f"127.0.0.1:{origin.port}")
        self.assertEqual([s["stage"] for s in report["stages"]], ["resolve", "connect"])
        self.assertEqual(origin.seen, [], "the handshake went on")

    def check_message(self, message, target, error, host):
        start = f"fdial: {target}: tls: "
        self.assertTrue(message.startswith(start) and message.count("\n") == 1, message)
        self.assertRegex(message[len(start):], "^" + REASONS[error].replace("HOST", re.escape(host)))
        self.assertRegex(message, r"; subject CN=[\w -]+, issuer CN=[\w -]+, depth \d$")

    def test_matrix(self):
        self.assertGreaterEqual(len(self.matrix), 19)
        self.assertEqual({e for _, e in self.matrix} - {"OK"}, set(REASONS))
        for name, error in self.matrix:
            for host in ("localhost", "127.0.0.1"):
                with self.subTest(name, host=host):
                    self.judge(name, error, host)

    def test_another_trust_store(self):
        """The system's does not know these."""
        daemon = self.start_daemon(CONFIG.format(uid=os.getuid(), ca="/dev/null").replace(
            'tls = "ca"', "").partition("tls \"ca\"")[0])
        origin = self.origin("server-ecdsa")
        target = f"https://localhost:{origin.port}"
        done = peers.run(["curl", "--disable", "--silent", "--noproxy", "*", target], cwd="/")
        self.assertEqual(done.returncode, CURL_NOT_TRUSTED)
        status, report = daemon.check(target)
        self.assertEqual((status, report["error"]["name"]), (NOT_TRUSTED, "CERT_UNKNOWN_ISSUER"))


if __name__ == "__main__":
    fdialtest.main()
