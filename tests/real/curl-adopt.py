#!/usr/bin/env python3
"""libcurl makes its transfers on an fd that fdial handed out (CURL_SOCKOPT_ALREADY_CONNECTED): in the
clear, in the clear over the daemon's TLS, and with TLS of its own."""
import os

import fdialtest
import peers

CONFIG = """
rule "any" {{
  client = "uid:{uid}" allow = {{ "tcp://127.0.0.1:*", "https://localhost:*" }}
  addresses = "loopback" tls = "ca" {more}
}}
tls "ca" {{ ca-file = "{ca}" }}
"""


class CurlAdopt(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(f"{fdialtest.BUILDDIR}/tests/real/curl-adopt-client"):
            fdialtest.skip("built without libcurl")
        cls.program = peers.built_helper("curl-adopt-client")
        done = peers.run([cls.program, "-1", "", ""], env=fdialtest.built_environment())
        if done.returncode == 77:
            fdialtest.skip(done.stdout.decode().strip())
        fdialtest.need_command("nginx")
        cls.authority = fdialtest.Authority()
        cls.origin = peers.Nginx(*cls.authority.issue())
        cls.big = os.urandom(1 << 20)
        with open(f"{cls.origin.root}/big", "wb") as f:
            f.write(cls.big)
        cls.addClassCleanup(cls.origin.stop)

    def test_transfers(self):
        http, https = self.origin.http_port, self.origin.https_port
        for more in ("", 'seal = "off"'):
            daemon = self.start_daemon(CONFIG.format(uid=os.getuid(), more=more,
                                                     ca=self.authority.certificate))
            for target, url in ((f"tcp://127.0.0.1:{http}", f"http://localhost:{http}/big"),
                                (f"https://localhost:{https}", f"http://localhost:{https}/big"),
                                (f"tcp://127.0.0.1:{https}", f"https://localhost:{https}/big")):
                done = daemon.run_cli(["exec", "--fd", "5", target, "--", self.program, "5", url,
                                       self.authority.certificate], netns=fdialtest.is_root())
                self.assertEqual((done.returncode, done.stderr), (0, b""), (more, target))
                self.assertTrue(done.stdout == self.big, len(done.stdout))


if __name__ == "__main__":
    fdialtest.main()
