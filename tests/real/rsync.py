#!/usr/bin/env python3
"""rsync to and from an rsync daemon, over `fdial connect` as its RSYNC_CONNECT_PROG."""
import os

import fdialtest
import peers

CONFIG = """
rule "mirror" {{
  client = "uid:{uid}" allow = "tcp://127.0.0.1:{port}" addresses = "loopback" {more}
}}
"""


class Rsync(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("rsync", "diff", "ip")
        cls.origin = peers.Rsyncd()

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()

    def make_tree(self, top):
        for n in range(40):
            path = f"{top}/folder {n % 5}/{n % 3}"
            os.makedirs(path, exist_ok=True)
            with open(f"{path}/file-{n}", "wb") as f:
                f.write(os.urandom(n * n * 256))
        with open(f"{top}/empty", "wb"):
            pass

    def rsync(self, daemon, *argv):
        connect = f"{fdialtest.program('fdial')} connect tcp://%H:{self.origin.port}"
        env = fdialtest.built_environment({"FDIAL_SOCKET": daemon.socket, "RSYNC_CONNECT_PROG": connect})
        # rsync wants loopback for the socket pair that it makes of TCP. Only for root: a user namespace
        # would hide who copies.
        alone = ["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"] if fdialtest.is_root() else []
        return peers.run([*alone, "rsync", *argv], env=env, cwd="/tmp", netns=fdialtest.is_root())

    def test_both_ways(self):
        self.make_tree(f"{self.origin.directory}/out")
        for more in ("", 'seal = "off"'):
            with self.subTest(more):
                daemon = self.start_daemon(CONFIG.format(uid=os.getuid(), port=self.origin.port, more=more))
                to = self.directory()
                done = self.rsync(daemon, "-a", "127.0.0.1::out/", f"{to}/")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
                self.assert_same(f"{self.origin.directory}/out", to)
                done = self.rsync(daemon, "-a", "--delete", f"{to}/", "127.0.0.1::in/")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
                self.assert_same(to, f"{self.origin.directory}/in")

    def assert_same(self, a, b):
        done = peers.run(["diff", "-r", a, b])
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertTrue(os.listdir(a))

    def test_denied(self):
        daemon = self.start_daemon(CONFIG.format(uid=os.getuid(), port=1, more=""))
        done = self.rsync(daemon, "-a", "127.0.0.1::out/", f"{self.directory()}/")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b": policy: denied by policy: ", done.stderr)


if __name__ == "__main__":
    fdialtest.main()
