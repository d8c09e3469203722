"""Certificates of our own: servers that want one get that of the section, read anew at a reload; and
nobody else does: no proxy gets the origin's, no origin the proxy's, and nobody any where a rule only
reports."""
import os
import ssl

import fdialtest
import rig
from proxies import tunnel
from rig import rule


class Asking(fdialtest.Tls):
    """Asks for a certificate and does without. `shown` has the common names, None where none came."""

    def __init__(self, pair, client_ca, handle):
        self.shown = []
        self._next = handle
        super().__init__(*pair, handle=self.note, client_ca=client_ca)
        self.context.verify_mode = ssl.CERT_OPTIONAL

    def note(self, conn):
        certificate = conn.getpeercert()
        names = [value for rdn in certificate["subject"] for key, value in rdn] if certificate else [None]
        self.shown += names
        self._next(conn)


class ClientCertificates(rig.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("openssl")
        cls.servers, cls.clients = fdialtest.Authority(), fdialtest.Authority(name="client root")
        cls.strangers = fdialtest.Authority(name="client root")
        cls.pair = cls.servers.issue()

    def setUp(self):
        super().setUp()
        self.credentials = self.directory()

    def put(self, name, path):
        with open(path, "rb") as f, open(os.path.join(self.credentials, name), "wb") as to:
            to.write(f.read())

    def issue(self, name, authority=None):
        certificate, key = (authority or self.clients).issue(name, sans=(), usage="clientAuth")
        self.put(f"{name}-cert", certificate)
        self.put(f"{name}-key", key)

    def section(self, title, name=None):
        keys = f'certificate = "{name}-cert"\n  key = "{name}-key"' if name else ""
        return f'tls "{title}" {{\n  ca-file = "{self.servers.certificate}"\n  {keys}\n}}\n'

    def start(self, text):
        return self.start_daemon(text, env={"CREDENTIALS_DIRECTORY": self.credentials})

    def ask(self, daemon, target):
        s = self.session(daemon)
        self.assert_echo(self.dial(s, target, handover=rig.RELAY))

    def origin(self, handle=fdialtest.echo):
        return self.serve(Asking(self.pair, self.clients.certificate, handle))

    def test_shown(self):
        self.issue("alice")
        origin = self.origin()
        daemon = self.start(self.section("with", "alice") + self.section("without") +
                            rule("a", tls='"with"', allow=f'"tls://localhost:{origin.port}"') +
                            rule("b", tls='"without"', allow=f'"tls://127.0.0.1:{origin.port}"'))
        self.ask(daemon, f"tls://localhost:{origin.port}")
        self.ask(daemon, f"tls://127.0.0.1:{origin.port}")
        self.assertEqual(origin.shown, ["alice", None])

    def test_reload(self):
        self.issue("alice")
        origin = self.origin()
        target = f"tls://localhost:{origin.port}"
        daemon = self.start("workers = 2\n" + self.section("t", "alice") + rule(tls='"t"'))

        def reload(answer):
            n = daemon.log().count(answer)
            daemon.reload()
            fdialtest.wait_until(lambda: daemon.log().count(answer) == n + 1, rig.WAIT_S, answer)

        self.ask(daemon, target)
        self.put("alice-cert", self.clients.issue("bob", sans=(), usage="clientAuth")[0])
        self.ask(daemon, target)
        reload("the running configuration stays")  # the key is another's
        self.assertIn("the private key is not that of the certificate", daemon.log())
        self.ask(daemon, target)
        os.unlink(os.path.join(self.credentials, "alice-key"))
        reload("the running configuration stays")
        self.ask(daemon, target)
        self.assertEqual(origin.shown, ["alice"] * 4)
        certificate, key = self.clients.issue("carol", sans=(), usage="clientAuth")
        self.put("alice-cert", certificate)
        self.put("alice-key", key)
        reload("configuration reloaded")
        for _ in range(8):
            self.ask(daemon, target)
        self.assertEqual(origin.shown[4:], ["carol"] * 8)

    def test_report(self):
        """What no rule allows is let through, but not in our name, neither to the origin nor to a proxy."""
        self.issue("alice")
        self.issue("courier")
        origin, proxy = self.origin(), self.origin(tunnel)
        daemon = self.start(
            self.section("o", "alice") + self.section("p", "courier") +
            f'proxy "p" {{\n  url = "https://localhost:{proxy.port}"\n  tls = "p"\n}}\n' +
            rule(tls='"o"', mode="report", via='"p"', allow=f'"tls://localhost:{origin.port}"'))
        self.ask(daemon, f"tls://localhost:{origin.port}")
        self.assertEqual((origin.shown, proxy.shown), (["alice"], ["courier"]))
        self.ask(daemon, f"tls://127.0.0.1:{origin.port}")
        self.assertIn("would be denied", daemon.log())
        self.assertEqual((origin.shown, proxy.shown), (["alice", None], ["courier", None]))

    def test_proxy_and_origin(self):
        """Each gets what it is for, or nothing."""
        self.issue("alice")
        self.issue("courier")
        for of_origin, of_proxy in (("alice", None), (None, "courier"), ("alice", "courier")):
            with self.subTest(origin=of_origin, proxy=of_proxy):
                origin, proxy = self.origin(), self.origin(tunnel)
                daemon = self.start(
                    self.section("o", of_origin) + self.section("p", of_proxy) +
                    f'proxy "p" {{\n  url = "https://localhost:{proxy.port}"\n  tls = "p"\n}}\n' +
                    rule(tls='"o"', via='"p"'))
                self.ask(daemon, f"tls://localhost:{origin.port}")
                self.assertEqual((origin.shown, proxy.shown), ([of_origin], [of_proxy]))


if __name__ == "__main__":
    fdialtest.main()
