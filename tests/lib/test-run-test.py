"""run-test judges as it says: exit status, time limit, strays, skips, sanitizer reports."""
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

SRCDIR = os.environ["abs_top_srcdir"]
RUN_TEST = os.path.join(SRCDIR, "tests", "lib", "run-test")


class RunTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name

    def run_script(self, text, name="a.sh", **env):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(text))
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FDIAL_")}
        done = subprocess.run([sys.executable, RUN_TEST, path], capture_output=True, text=True,
                              env=clean | {"abs_top_srcdir": self.dir} | env, check=False,
                              timeout=60)
        return done.returncode, done.stdout

    def allow(self, text):
        os.mkdir(os.path.join(self.dir, "tests"))
        with open(os.path.join(self.dir, "tests", "skips-allowed"), "w", encoding="utf-8") as f:
            f.write(text)

    def test_exit_status(self):
        self.assertEqual(self.run_script("exit 0")[0], 0)
        self.assertEqual(self.run_script("exit 3")[0], 1)
        self.assertEqual(self.run_script("kill -SEGV $$")[0], 1)
        self.assertEqual(self.run_script("import sys; sys.exit(4)", "a.py")[0], 1)

    def test_time_limit(self):
        start = time.monotonic()
        code, out = self.run_script("# time-limit: 1\nsleep 50 & trap '' TERM; sleep 50; sleep 50")
        self.assertEqual(code, 1)
        self.assertIn("not done after 1 s", out)
        self.assertLess(time.monotonic() - start, 20)

    def test_strays_end_and_fail(self):
        pid_path = os.path.join(self.dir, "pid")
        code, out = self.run_script(f"setsid sh -c 'echo $$ >{pid_path}; exec sleep 50' &\n"
                                    f"while ! [ -s {pid_path} ]; do sleep 0.05; done")
        self.assertEqual(code, 1)
        self.assertIn("left behind: sleep 50", out)
        with open(pid_path, encoding="utf-8") as f:
            self.assertFalse(os.path.exists(f"/proc/{f.read().strip()}"))

    def test_skip(self):
        self.allow("a.sh no widget\n")
        self.assertEqual(self.run_script("echo no widget here; exit 77")[0], 77)
        self.assertEqual(self.run_script("echo no gadget; exit 77")[0], 77)
        expect = {"FDIAL_EXPECT_ALL": "1"}
        code, out = self.run_script("echo no widget here; exit 77", **expect)
        self.assertEqual(code, 77)
        self.assertIn("skip: no widget here", out)
        code, out = self.run_script("echo no widget here; exit 77", **expect,
                                    abs_top_srcdir=os.path.join(self.dir, "tests", ".."))
        self.assertEqual(code, 77, out)
        code, out = self.run_script("echo no gadget; exit 77", **expect)
        self.assertEqual(code, 1)
        self.assertIn("skip not allowed: no gadget", out)

    def test_skipped_case(self):
        self.allow("a.sh no widget\n")
        case = "echo 'ok 1 - x # SKIP no %s'"
        self.assertEqual(self.run_script(case % "gadget")[0], 0)
        self.assertEqual(self.run_script(case % "gadget", FDIAL_EXPECT_ALL="1")[0], 1)
        self.assertEqual(self.run_script(case % "widget", FDIAL_EXPECT_ALL="1")[0], 0)

    def test_sanitizer_report(self):
        code, out = self.run_script('echo "bad thing" >"$TMPDIR/sanitizer.123"')
        self.assertEqual(code, 1)
        self.assertIn("bad thing", out)

    def test_private_directory(self):
        code, out = self.run_script('stat -c %a "$TMPDIR"; echo "$TMPDIR"')
        self.assertEqual(code, 0)
        mode, path = out.split()
        self.assertEqual(mode, "1777")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    unittest.main(verbosity=2)
