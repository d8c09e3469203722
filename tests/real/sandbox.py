#!/usr/bin/env python3
"""Clients that have no network: in an empty network namespace, and in bubblewrap with nothing but /usr,
the programs and the daemon's socket; as another user; plain and TLS."""
import os
import shutil
import subprocess

import fdialtest
import peers

CONFIG = """
rule "sandboxes" {{
  client = "uid:{uid}"
  allow = {{ "http://localhost:*", "https://localhost:*" }}
  addresses = "loopback"
  tls = "ca"
  {more}
}}
tls "ca" {{ ca-file = "{ca}" }}
"""
PAGE = b"a page from outside\n"
SOCKET = "/run/fdial/fdial.sock"  # where it is in the sandbox


class Sandbox(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.uid = fdialtest.CLIENT_UID if fdialtest.is_root() else os.getuid()
        authority = fdialtest.Authority()
        cls.origins = [fdialtest.Page(PAGE), fdialtest.Tls(*authority.issue(),
                                                           fdialtest.answer_page(PAGE))]
        cls.targets = [f"http://localhost:{cls.origins[0].port}", f"https://localhost:{cls.origins[1].port}"]
        cls.daemons = [fdialtest.start_daemon(CONFIG.format(uid=cls.uid, ca=authority.certificate, more=more))
                       for more in ("", 'seal = "off"')]
        cls.bin = fdialtest.published()[0]
        shutil.copy(f"{fdialtest.SRCDIR}/tests/real/protocol_client.py", cls.bin)
        os.chmod(f"{cls.bin}/protocol_client.py", 0o755)
        peers.built_helper("library-client")

    @classmethod
    def tearDownClass(cls):
        for daemon in cls.daemons:
            daemon.stop()
        for origin in cls.origins:
            origin.stop()

    def clients(self, top, socket_path, target):
        """The same page by the command, by http.client over `exec`, by the library, and by the client
        that knows the protocol only."""
        script = r"printf 'GET / HTTP/1.0\r\n\r\n' | " + f"{top}/fdial connect {target}"
        return (["sh", "-c", script],
                [f"{top}/fdial", "exec", "--fd", "5", target, "--", peers.PYTHON, "-c", peers.PYTHON_GET,
                 "5", "/"],
                [f"{top}/library-client", target],
                [peers.PYTHON, f"{top}/protocol_client.py", socket_path, target])

    def fetch_all(self, wrapper, top, *, daemons=None, socket_path=None, **kwargs):
        for daemon in daemons or self.daemons:
            path = socket_path or daemon.socket
            env = fdialtest.built_environment({"FDIAL_SOCKET": path, "LD_LIBRARY_PATH": f"{top}/lib"})
            for target in self.targets:
                for argv in self.clients(top, path, target):
                    done = peers.run([*wrapper(daemon), *argv], env=env, cwd="/", **kwargs)
                    self.assertEqual((done.returncode, done.stderr), (0, b""), done.args)
                    self.assertIn(PAGE.strip(), done.stdout)

    def test_empty_network(self):
        self.fetch_all(lambda _: [], self.bin, netns=True, uid=self.uid)

    def test_unshare(self):
        fdialtest.need_root()
        fdialtest.need_command("unshare", "setpriv")
        as_user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups",
                   "--no-new-privs"]
        self.fetch_all(lambda _: ["unshare", "-n", *as_user], self.bin, daemons=self.daemons[:1])

    def bwrap(self, daemon, *options):
        fdialtest.need_command("bwrap")
        return ["bwrap", "--unshare-net", *options, "--ro-bind", "/usr", "/usr",
                "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
                "--symlink", "usr/lib64", "/lib64", "--dev", "/dev", "--proc", "/proc",
                "--ro-bind", self.bin, "/app",
                "--perms", "755", "--dir", "/run", "--perms", "755", "--dir", "/run/fdial",
                "--bind", daemon.socket, SOCKET]

    def can_bwrap(self, uid, *options):
        done = peers.run([*self.bwrap(self.daemons[0], *options), "true"], uid=uid)
        if done.returncode:
            print(f"# no bwrap {' '.join(options)} as uid {uid} here: {done.stderr.decode().strip()}")
        return done.returncode == 0

    def test_bwrap(self):
        """As root it makes the sandbox and setpriv changes the user in it, pid namespace or not; as
        that user it makes a user namespace, where the daemon still sees who it is."""
        ways = [(self.uid, (), []), (self.uid, ("--unshare-pid", "--unshare-user", "--new-session"), [])]
        if fdialtest.is_root():
            as_user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
            ways += [(None, (), as_user), (None, ("--unshare-pid", "--unshare-ipc"), as_user)]
        done = 0
        for uid, options, inside in ways:
            if not self.can_bwrap(uid, *options):
                continue
            done += 1
            self.fetch_all(lambda d: [*self.bwrap(d, *options), *inside], "/app",  # noqa: B023
                           daemons=self.daemons[:1], socket_path=SOCKET, uid=uid)
        if not done:
            fdialtest.skip("bwrap cannot make a sandbox here")

    def test_no_environment(self):
        """The socket at the system's place is found without being told."""
        if not self.can_bwrap(None, "--clearenv"):
            fdialtest.skip("bwrap cannot make a sandbox here")
        inside = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] \
            if fdialtest.is_root() else []
        for target in self.targets:
            done = peers.run([*self.bwrap(self.daemons[0], "--clearenv", "--setenv", "LD_LIBRARY_PATH",
                                          "/app/lib"), *inside, "/app/library-client", target])
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(PAGE.strip(), done.stdout)

    def test_root_in_a_user_namespace_is_nobody_special(self):
        """Who makes himself root in a user namespace is still the user that he is."""
        if not self.can_bwrap(self.uid, "--unshare-user", "--uid", "0"):
            return
        daemon = self.daemons[0]
        wrapper = self.bwrap(daemon, "--unshare-user", "--uid", "0")
        asked = [(["connect", self.targets[0]], 0, b""),
                 (["connect", "http://localhost:1x"], 2, b"request"),
                 (["connect", "http://elsewhere.example"], 4, b"no rule allows this target")]
        if self.uid != os.getuid():  # the daemon's own user may
            asked.append((["explain", "--as", "root", self.targets[0]], 4, b"only root"))
        for args, status, what in asked:
            done = peers.run([*wrapper, "/app/fdial", *args], uid=self.uid,
                             env=fdialtest.built_environment({"LD_LIBRARY_PATH": "/app/lib"}),
                             input=b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(what, done.stderr)

    def test_impostor(self):
        """Somebody at the other end of the socket who is not to be believed: uid 65534 outside of any
        namespace is a user like another."""
        fdialtest.need_root()
        path = f"{self.directory()}/sock"
        os.chmod(os.path.dirname(path), 0o777)
        code = ("import os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
                "s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666); s.listen(8); print(flush=True);"
                "sys.stdin.read()")
        for uid in (65534, 12346):
            with fdialtest.popen([peers.PYTHON, "-c", code, path], uid=uid, cwd="/", stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE) as impostor:
                impostor.stdout.readline()
                done = fdialtest.run_cli(["connect", self.targets[0]], uid=self.uid,
                                         env={"FDIAL_SOCKET": path})
                impostor.stdin.close()
            self.assertEqual(done.returncode, 3)
            self.assertIn(b"runs as another user", done.stderr)
            os.unlink(path)

    def test_others_are_denied(self):
        if not fdialtest.is_root():
            fdialtest.skip("needs root")
        for uid in (0, 12346):
            for target in self.targets:
                done = self.daemons[0].run_cli(["connect", target], uid=uid, netns=True)
                self.assertEqual(done.returncode, 4)
                self.assertEqual(done.stderr, f"fdial: {target}: policy: denied by policy: no rule is for "
                                 "this client on this socket\n".encode())


if __name__ == "__main__":
    fdialtest.main()
