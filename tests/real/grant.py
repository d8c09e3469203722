#!/usr/bin/env python3
"""`fdial grant` and what it is for: programs in bubblewrap that see no path to the daemon's socket, are in
a network of their own, may not make sockets at all, or are another user's."""
import os
import subprocess

import fdialtest
import peers

CONFIG = """
rule "launchers" {{
  client = "uid:{uid}"
  allow = {{ "http://localhost:*", "https://localhost:*", "tcp://localhost:*" }}
  addresses = "loopback"
  tls = "ca"
}}
tls "ca" {{ ca-file = "{ca}" }}
"""
PAGE = b"a page from outside\n"
GET = r"printf 'GET / HTTP/1.0\r\n\r\n' | "
NOT_COVERED = b"policy: denied by policy: the grant does not cover this target"
NOBODY = 65534


class Grant(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.uid = fdialtest.CLIENT_UID if fdialtest.is_root() else os.getuid()
        authority = fdialtest.Authority()
        cls.origins = [fdialtest.Page(PAGE), fdialtest.Tls(*authority.issue(),
                                                           fdialtest.answer_page(PAGE))]
        cls.targets = [f"http://localhost:{cls.origins[0].port}", f"https://localhost:{cls.origins[1].port}"]
        cls.not_granted = f"tcp://localhost:{cls.origins[0].port}"  # though the rule allows it
        cls.bin = fdialtest.published()[0]
        for helper in ("library-client", "no-sockets"):
            peers.built_helper(helper)
        cls.daemon = fdialtest.start_daemon(CONFIG.format(uid=cls.uid, ca=authority.certificate))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        for origin in cls.origins:
            origin.stop()

    def grant(self, argv, *, patterns=None, env=None, **kwargs):
        """`fdial grant … -- ARGV` as the user of the rule."""
        patterns = patterns or self.targets
        full_env = fdialtest.built_environment(
            {"FDIAL_SOCKET": self.daemon.socket, "LD_LIBRARY_PATH": f"{self.bin}/lib:/app/lib"} | (env or {}))
        return peers.run([f"{self.bin}/fdial", "grant", "--allow", *patterns, "--", *argv],
                         uid=self.uid, env=full_env, cwd="/", **kwargs)

    def shell(self, script, **kwargs):
        return self.grant(["sh", "-c", f"PATH={self.bin}:$PATH; {script}"], **kwargs)

    def assert_page(self, done, n=1):
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.args)
        self.assertEqual(done.stdout.count(PAGE.strip()), n, done.stdout)

    # ---- the command ----

    def test_commands(self):
        """All of them take the grant by themselves."""
        target = self.targets[0]
        self.assert_page(self.shell(f"{GET} fdial connect {target}"))
        for command, status, out in (
                (f"check {target}", 0, b"done"), (f"explain {target}", 0, b"rule: launchers"),
                ("status", 0, b"version="), (f"connect {self.not_granted}", 4, b""),
                (f"check {self.not_granted}", 4, b""), (f"explain {self.not_granted}", 4, b"")):
            done = self.shell(f"fdial {command}")
            self.assertEqual(done.returncode, status, (command, done))
            self.assertIn(out, done.stdout)
            self.assertIn(NOT_COVERED if status else b"", done.stderr)
        done = self.shell(f"fdial exec --fd 5 {target} -- {peers.PYTHON} -c '{peers.PYTHON_GET}' 5 /")
        self.assert_page(done)

    def test_exec_keeps_the_grant(self):
        target = self.targets[0]
        done = self.shell(f"fdial exec {target} -- fdial explain {target}")
        self.assertEqual((done.returncode, done.stdout[:16]), (0, b"rule: launchers\n"), done)

    def test_environment(self):
        """What the program finds: the grant, and nothing that leads to the daemon, nor a wider grant."""
        done = self.shell('echo "[$FDIAL_SOCKET]"; ls -l /proc/self/fd | grep -c socket:')
        self.assertEqual((done.returncode, done.stdout), (0, b"[]\n1\n"), done)
        inner = f"fdial grant --allow {self.targets[0]} -- sh -c"
        self.assert_page(self.shell(f"{inner} \"{GET} fdial connect {self.targets[0]}\""))
        done = self.shell(f"{inner} 'ls -l /proc/self/fd | grep -c socket:; fdial explain {self.targets[1]}'")
        self.assertEqual((done.returncode, done.stdout), (4, b"1\n"), done)
        self.assertIn(NOT_COVERED, done.stderr)

    def test_status_of_the_command(self):
        for argv, status in ((["sh", "-c", "exit 7"], 7), (["/nonexistent"], 127), (["/etc/passwd"], 126)):
            self.assertEqual(self.grant(argv).returncode, status)
        for patterns, what in ((["localhost"], b"request: bad option: localhost: write a scheme first"),
                               ([""], b"a pattern is empty"), (["x" * 513], b"longer than 512"),
                               (["tcp://localhost:1"] * 257, b"more than 256 patterns"),
                               (["x" * 500] * 40, b"too long together")):
            done = self.grant(["false"], patterns=patterns)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(what, done.stderr)
        done = self.grant(["false"], env={"FDIAL_SOCKET": "/nonexistent"})
        self.assertEqual(done.returncode, 3)
        for args, what in ((["--", "true"], b"--allow"), (["--allow", "tcp://h:1"], b"after --"),
                           (["--allow", "--", "true"], b"needs a value"),
                           (["--allow", "tcp://h:1", "--as", "root", "--", "true"], b"--as")):
            done = self.daemon.run_cli(["grant", *args])
            self.assertEqual(done.returncode, 2)
            self.assertIn(what, done.stderr)

    def test_several_after_one_and_one_after_several(self):
        first, second = self.targets
        for args in (["--allow", first, second], ["--allow", first, "--allow", second],
                     ["--allow", first, "--socket", self.daemon.socket, second]):
            done = self.daemon.run_cli(["grant", *args, "--", fdialtest.program("fdial"), "explain", second],
                                       uid=self.uid)
            self.assertEqual(done.returncode, 0, done)

    def test_fd_that_did_not_arrive(self):
        """Never a way around it by another socket."""
        script = f"eval \"exec $FDIAL_FD>&-\"; FDIAL_SOCKET={self.daemon.socket} fdial explain {self.targets[0]}"
        done = self.grant(["bash", "-c", f"PATH={self.bin}:$PATH; {script}"])
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"$FDIAL_FD", done.stderr)

    def test_the_daemon_ends(self):
        daemon = fdialtest.start_daemon(CONFIG.format(uid=self.uid, ca="/etc/ssl/certs/ca-certificates.crt")
                                        if os.path.exists("/etc/ssl/certs/ca-certificates.crt") else "")
        with fdialtest.popen([f"{self.bin}/fdial", "grant", "--allow", "http://localhost", "--", "sh", "-c",
                              "echo ready; read line; exec $0 explain http://localhost",
                              f"{self.bin}/fdial"], uid=self.uid, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                             env=fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket})) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            daemon.stop()
            _, err = process.communicate(b"\n", 60)
        self.assertEqual(process.returncode, 3)
        self.assertIn(b"no daemon at $FDIAL_FD; a grant ends with its daemon", err)

    # ---- sandboxes ----

    def bwrap(self, *options):
        fdialtest.need_command("bwrap")
        return ["bwrap", "--unshare-net", "--unshare-pid", *options, "--ro-bind", "/usr", "/usr",
                "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
                "--symlink", "usr/lib64", "/lib64", "--dev", "/dev", "--proc", "/proc",
                "--tmpfs", "/run", "--tmpfs", "/tmp", "--ro-bind", self.bin, "/app"]

    def ways(self):
        """Who makes the sandbox, with which options, and what it then does first."""
        ways = [(self.uid, ("--unshare-user", "--new-session"), [])]
        if fdialtest.is_root():
            ways += [(None, (), ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"])
                     for uid in (self.uid, NOBODY, 12346)] + [(None, (), [])]
        possible = [way for way in ways
                    if peers.run([*self.bwrap(*way[1]), "true"], uid=way[0]).returncode == 0]
        if not possible:
            fdialtest.skip("bwrap cannot make a sandbox here")
        return possible

    def in_sandbox(self, way, argv, mode=None, **kwargs):
        """As root, a first process takes the grant as the user of the rule, and hands it to root's bwrap."""
        uid, options, first = way
        mode = "errno" if mode == "kill" and first else mode  # setpriv looks for nscd
        wrapper = [*self.bwrap(*options)]
        if mode:
            path = f"{self.directory()}/filter"
            with open(path, "wb") as f:
                f.write(peers.run([f"{self.bin}/no-sockets", mode]).stdout)
            os.chmod(path, 0o644)
            wrapper = ["sh", "-c", 'exec 9<"$1"; shift; exec "$@"', "sh", path,
                       *wrapper, "--seccomp", "9"]
        if uid is None:
            return self.grant_from_root([*wrapper, *first, *argv], **kwargs)
        return self.grant([*wrapper, *first, *argv], **kwargs)

    def grant_from_root(self, argv, **kwargs):
        """The rule is for another user than root, who makes the sandbox: so that one makes the grant and
        sends it."""
        code = ("import array, os, socket, subprocess, sys\n"
                "here, there = socket.socketpair()\n"
                "give = ('import os, socket; socket.send_fds(socket.socket(fileno=%d), [b\"x\"],'\n"
                "        ' [int(os.environ[\"FDIAL_FD\"])])' % there.fileno())\n"
                "n = int(sys.argv[2])\n"
                "subprocess.run(['setpriv', '--reuid=' + sys.argv[1], '--regid=' + sys.argv[1],\n"
                "    '--clear-groups', *sys.argv[3:3 + n], sys.executable, '-c', give], check=True,\n"
                "    pass_fds=[there.fileno()])\n"
                "fd = socket.recv_fds(here, 1, 1)[1][0]\n"
                "os.set_inheritable(fd, True)\n"
                "os.environ['FDIAL_FD'] = str(fd)\n"
                "del os.environ['FDIAL_SOCKET']\n"
                "os.execvp(sys.argv[3 + n], sys.argv[3 + n:])\n")
        maker = [f"{self.bin}/fdial", "grant", "--allow", *self.targets, "--"]
        env = fdialtest.built_environment({"FDIAL_SOCKET": self.daemon.socket,
                                           "LD_LIBRARY_PATH": f"{self.bin}/lib:/app/lib"})
        return peers.run([peers.PYTHON, "-c", code, str(self.uid), str(len(maker)), *maker, *argv],
                         env=env, cwd="/", **kwargs)

    def test_sandbox(self):
        """No path to the daemon, no network, no process to be seen; and no socket can be made: refused,
        or deadly."""
        for way in self.ways():
            for mode in (None, "errno", "kill"):
                for target in self.targets:
                    with self.subTest(way=way, mode=mode, target=target):
                        self.assert_page(self.in_sandbox(
                            way, ["sh", "-c", f"{GET} /app/fdial connect {target}"], mode))
                        self.assert_page(self.in_sandbox(way, ["/app/library-client", target], mode))
                done = self.in_sandbox(way, ["/app/fdial", "connect", self.not_granted], mode)
                self.assertEqual(done.returncode, 4, done)
                self.assertIn(NOT_COVERED, done.stderr)

    def test_sandbox_is_one(self):
        """The filter is on, and there is no daemon to be found without the grant."""
        for way in self.ways():
            self.assertEqual(self.in_sandbox(way, ["/app/no-sockets"], "errno").returncode, 0)
            if not way[2]:
                self.assertNotIn(self.in_sandbox(way, ["/app/no-sockets"], "kill").returncode, (0, 3, 4, 5))
            done = self.in_sandbox(way, ["env", "-u", "FDIAL_FD", "/app/fdial", "status"])
            self.assertEqual(done.returncode, 3, done)

    def test_many_processes_in_a_sandbox(self):
        """They share the one grant and run at the same time, each with its own sessions."""
        for way in self.ways():
            script = f"for i in 1 2 3 4 5 6 7 8; do {GET} /app/fdial connect {self.targets[0]} & " \
                     f"/app/library-client {self.targets[1]} & done; wait"
            self.assert_page(self.in_sandbox(way, ["sh", "-c", script], "kill"), 16)

    def test_narrower_in_a_sandbox(self):
        for way in self.ways():
            script = f"/app/fdial grant --allow {self.targets[0]} tcp://localhost:1 -- sh -c '" \
                     "/app/fdial explain $0 >/dev/null || exit 1; /app/fdial explain $1; " \
                     f"/app/fdial explain tcp://localhost:1' {' '.join(self.targets)}"
            done = self.in_sandbox(way, ["sh", "-c", script], "kill")
            self.assertEqual((done.returncode, done.stdout), (4, b""), done)
            self.assertEqual(done.stderr.count(NOT_COVERED), 2)

    def test_other_users_without_a_sandbox(self):
        fdialtest.need_root()
        fdialtest.need_command("setpriv")
        for uid in (12346, NOBODY):
            as_other = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
            self.assert_page(self.grant_from_root([*as_other, f"{self.bin}/library-client",
                                                   self.targets[1]]))
            done = self.grant_from_root([*as_other, f"{self.bin}/fdial", "connect", self.not_granted])
            self.assertEqual(done.returncode, 4)


if __name__ == "__main__":
    fdialtest.main()
