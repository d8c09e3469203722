#!/usr/bin/env python3
"""OpenSSH takes its connection from `fdial fdpass` (ProxyUseFdpass), and git goes over that. Where it
can be, ssh is in a network namespace with nothing in it, so that no other way is left."""
import os
import pwd
import shlex

import fdialtest
import peers

CONFIG = """
rule "git" {{
  client = "uid:{uid}" allow = "tcp://127.0.0.1:{port}" addresses = "loopback" {more}
}}
"""


class Ssh(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("ssh", "sshd", "ssh-keygen")
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            fdialtest.skip("OpenSSH does not work for a uid without a name")
        cls.origin = peers.Sshd()
        cls.daemons = [fdialtest.start_daemon(CONFIG.format(uid=os.getuid(), port=cls.origin.port,
                                                            more=more))
                       for more in ("", 'seal = "off"')]
        # As root, ssh finds its sandbox as it wants it; else the user namespace hides who it is.
        cls.is_alone = fdialtest.is_root()

    @classmethod
    def tearDownClass(cls):
        for daemon in cls.daemons:
            daemon.stop()
        cls.origin.stop()

    def environment(self, daemon, **more):
        return fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket, **more})

    def run_in(self, daemon, argv, **kwargs):
        return peers.run(argv, env=self.environment(daemon, **kwargs.pop("env", {})), cwd="/tmp",
                         netns=self.is_alone, **kwargs)

    def test_command(self):
        for daemon in self.daemons:
            done = self.run_in(daemon, ["ssh", *self.origin.ssh_options("127.0.0.1"), "127.0.0.1",
                                        "echo from afar; echo aside >&2; exit 7"])
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (7, b"from afar\n", b"aside\n"), self.origin.log())

    def test_data_both_ways(self):
        data = os.urandom(3 << 20)
        for daemon in self.daemons:
            done = self.run_in(daemon, ["ssh", *self.origin.ssh_options("127.0.0.1"), "127.0.0.1", "cat"],
                               input=data)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertTrue(done.stdout == data, len(done.stdout))

    def test_git_clone_and_push(self):
        fdialtest.need_command("git")
        env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_PROTOCOL": "",
               "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
               "GIT_COMMITTER_EMAIL": "a@example.org"}

        def git(*args):
            done = peers.run(["git", *args], env=self.environment(self.daemons[0], **env))
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        top = self.directory()
        git("init", "-q", f"{top}/tree")
        with open(f"{top}/tree/data", "wb") as f:
            f.write(os.urandom(1 << 20))
        git("-C", f"{top}/tree", "add", "data")
        git("-C", f"{top}/tree", "commit", "-qm", "data")
        git("clone", "-q", "--bare", f"{top}/tree", f"{top}/origin.git")
        options = shlex.join(["ssh", *self.origin.ssh_options("127.0.0.1")])
        for n, daemon in enumerate(self.daemons):
            clone = f"{top}/clone-{n}"
            for argv in (["clone", "-q", f"ssh://127.0.0.1:{self.origin.port}{top}/origin.git", clone],
                         ["-C", clone, "push", "-q", "origin", f"HEAD:refs/heads/from-{n}"]):
                done = self.run_in(daemon, ["git", *argv], env=env | {"GIT_SSH_COMMAND": options})
                self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(peers.read(f"{clone}/data"), peers.read(f"{top}/tree/data"))
            self.assertEqual(git("-C", f"{top}/origin.git", "rev-parse", f"from-{n}"),
                             git("-C", f"{top}/tree", "rev-parse", "HEAD"))

    def test_refused(self):
        """ssh fails with what fdial says."""
        closed = self.serve(fdialtest.Closed())
        for host, what in (("192.0.2.1", b"denied by policy"), ("127.0.0.1", b"denied by policy")):
            options = [*self.origin.ssh_options(host), "-p", str(closed.port)]
            options[options.index("-p") + 1] = str(closed.port)
            done = self.run_in(self.daemons[0], ["ssh", *options, host, "true"])
            self.assertEqual(done.returncode, 255)
            self.assertIn(f"fdial: tcp://{host}:{closed.port}: policy: ".encode() + what, done.stderr)


if __name__ == "__main__":
    fdialtest.main()
