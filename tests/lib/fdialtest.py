"""For the tests in Python: the daemon, the command line and other users and namespaces, as a test
needs them. Servers to connect to are in origins.py, certificates in certificates.py; both are
re-exported here.

    import fdialtest

    class Plain(fdialtest.Case):
        def test_echo(self):
            origin = self.serve(fdialtest.Echo())
            daemon = self.start_daemon(RULES)
            done = daemon.run_cli(["connect", f"tcp://127.0.0.1:{origin.port}"], input=b"hello")
            self.assertEqual(done.stdout, b"hello")

    if __name__ == "__main__":
        fdialtest.main()
"""
import ctypes
import functools
import encodings.idna  # noqa: F401 (call_as: not loadable any more as another user)
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import leaks
from certificates import Authority  # noqa: F401 (re-exported)
from origins import *  # noqa: F401,F403 (re-exported)

SRCDIR = os.environ.get("abs_top_srcdir") or os.path.abspath(f"{__file__}/../../..")
BUILDDIR = os.environ.get("abs_top_builddir") or os.path.join(SRCDIR, "build")
CLIENT_UID = 12345
IS_SLOW = bool(os.environ.get("FDIAL_SLOW"))  # a build with sanitizers
WAIT_S = 60 if IS_SLOW else 30  # for what must come
START_TIMEOUT_S = 60 if IS_SLOW else 20
STOP_TIMEOUT_S = 60 if IS_SLOW else 20
CLI_TIMEOUT_S = 90 if IS_SLOW else 40
CLI_CARRIES = ("connect", "exec", "fdpass", "grant")  # others' words, on stdout

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


# ---- this machine ----

def is_root():
    return os.geteuid() == 0


def skip(reason):
    """Skips the case that calls it; at the top of a file, before main(), the whole test."""
    raise unittest.SkipTest(reason)


def skip_all(reason):
    print(reason)
    sys.exit(77)


def need_root():
    if not is_root():
        skip("needs root")


def need_command(*names):
    for name in names:
        if not find_command(name):
            skip(f"no {name} here")


def find_command(name):
    """Also where servers are, which is not in every user's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def free_port(family=socket.AF_INET, host=None):
    """A port that nobody listens on now. Prefer to listen on port 0 where the server can."""
    with socket.socket(family) as s:
        s.bind((host or ("127.0.0.1" if family == socket.AF_INET else "::1"), 0))
        return s.getsockname()[1]


def unshare_network():
    """For preexec_fn: an empty network namespace, through a user namespace where we are not root."""
    flags = CLONE_NEWNET if is_root() else CLONE_NEWNET | CLONE_NEWUSER
    if _libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


@functools.cache
def can_unshare_network():
    try:
        subprocess.run(["true"], preexec_fn=unshare_network, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def need_mounts():
    """For what needs a mount namespace, which a chroot that is no mount point does not give to root."""
    need_command("unshare", "mount")
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"no mounts of one's own here: {done.stderr.strip()}")


def popen(argv, *, uid=None, netns=False, **kwargs):
    """subprocess.Popen as another user (root only), in an empty network namespace; the process ends
    when the calling thread does: call it from the main one."""
    is_other = uid is not None and uid != os.geteuid()
    if is_other:
        need_root()
    if netns and not can_unshare_network():
        skip("no network namespaces here")

    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if netns:
            unshare_network()
        if is_other:
            become(uid)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # cleared by setuid

    return subprocess.Popen(argv, preexec_fn=prepare, **kwargs)


def call_as(function, *, uid=None, netns=False):
    """Calls it in a child, as another user and in an empty network namespace as popen() does: what it
    returned, or the exception's text (no exec: this Python may be out of that user's reach)."""
    if netns and not can_unshare_network():
        skip("no network namespaces here")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if netns:
                unshare_network()
            if uid is not None and uid != os.geteuid():
                become(uid)
            text = str(function())
        except BaseException as e:  # pylint: disable=broad-except
            text = f"{type(e).__name__}: {e}"
        os.write(writer, text.encode()[:4096])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        text = f.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return text


# ---- what was built ----

_published = None


def published():
    """The programs and the library in a place that every user can read (the build may be below a home
    directory), without libtool's wrappers: (folder of programs, folder of libraries)."""
    global _published
    if _published is None:
        top = tempfile.mkdtemp(prefix="built-")
        os.chmod(top, 0o755)
        for name in ("fdiald", "fdial"):
            for path in (f"{BUILDDIR}/.libs/{name}", f"{BUILDDIR}/{name}"):
                if os.path.exists(path):
                    shutil.copy(path, os.path.join(top, name))
                    break
        os.mkdir(os.path.join(top, "lib"), 0o755)
        for path in glob.glob(f"{BUILDDIR}/.libs/libfdial.so*"):
            shutil.copy(path, os.path.join(top, "lib"), follow_symlinks=True)
        _published = top
    return _published, os.path.join(_published, "lib")


def program(name):
    return os.path.join(published()[0], name)


def built_environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FDIAL_", "LISTEN_", "NOTIFY_"))}
    env["LD_LIBRARY_PATH"] = published()[1]
    return env | (extra or {})


def run_cli(args, *, uid=None, netns=False, input=b"", timeout=CLI_TIMEOUT_S, env=None, cwd="/tmp",
            wrapper=()):
    """`fdial ARGS` to its end: a CompletedProcess with stdout and stderr as bytes."""
    argv = [*wrapper, program("fdial"), *args]
    process = popen(argv, uid=uid, netns=netns, env=built_environment(env), cwd=cwd,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(input, timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{argv} was not done after {timeout} s: {err[-2000:]!r}") from None
    leaks.search(err, f"{argv}'s stderr")
    if args[0] not in CLI_CARRIES:
        leaks.search(out, f"{argv}'s stdout")
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


# ---- looking at a process ----

def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", f.read(), re.M)[1])


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(condition, timeout=WAIT_S, what="the condition"):
    """Polls until condition() is true and returns what it gave."""
    until = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.01)
    return value


# ---- the daemon ----

_LAUNCHER = """
import fcntl, os, sys
fds, argv = [int(n) for n in sys.argv[1].split(",")], sys.argv[2:]
spare = [fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + len(fds)) for fd in fds]
for i, fd in enumerate(spare):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(fds))
os.execv(argv[0], argv)
"""


class Daemon:
    """A running fdiald.

    config: the text of its configuration, None for none. listeners: names; the daemon is then
    started with sockets as systemd does it, and `sockets` has the path of each (the default one is
    named "fdial"). user: --user. wrapper: a command in front, like valgrind's. credentials: {name: text}
    of the files that the configuration names. No secret may come out of it, see leaks.py."""

    def __init__(self, config="", *, user=False, listeners=(), args=(), env=None, uid=None,
                 wrapper=(), log_level="debug", credentials=None):
        self.is_ended = False  # by kill() or stop(); not when it died by itself
        self.directory = tempfile.mkdtemp(prefix="daemon-")
        os.chmod(self.directory, 0o755)
        self.log_path = os.path.join(self.directory, "log")
        self.config_path = os.path.join(self.directory, "fdiald.conf")
        self.sockets = {n: os.path.join(self.directory, n + ".sock") for n in listeners or ["fdial"]}
        self.socket = self.sockets.get("fdial") or next(iter(self.sockets.values()))
        argv = [*wrapper, program("fdiald"), "--log-level", log_level]
        if config is not None:
            self.write_config(config)
            argv += ["--config", self.config_path]
        argv += ["--user"] if user else []
        if uid is not None:
            os.chown(self.directory, uid, uid)
        listening = [self._listen(path) for path in self.sockets.values()] if listeners else []
        full_env = built_environment(env)
        if credentials is not None:
            self.credentials = leaks.write_credentials(credentials)
            full_env["CREDENTIALS_DIRECTORY"] = self.credentials
            if uid is not None:
                subprocess.run(["chown", "-R", str(uid), self.credentials], check=True)
        self.keep_credentials(full_env)
        if listening:
            full_env["LISTEN_FDNAMES"] = ":".join(self.sockets)
            numbers = ",".join(str(s.fileno()) for s in listening)
            argv = [sys.executable, "-c", _LAUNCHER, numbers, *argv]
        else:
            argv += ["--socket", self.socket]
        with open(self.log_path, "wb") as log:
            self.process = popen(argv + list(args), uid=uid, env=full_env, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, pass_fds=[s.fileno() for s in listening])
        self.pid = self.process.pid
        for s in listening:
            s.close()
        try:
            wait_until(self._is_ready, START_TIMEOUT_S, "the daemon's start")
        except AssertionError as e:
            self.kill()
            raise AssertionError(f"{e}\n{self.log()}") from None
        if not user and not listening:
            os.chmod(self.socket, 0o666)  # the rules decide, not the file's mode

    @staticmethod
    def keep_credentials(env):
        """Also those that a test has written by itself."""
        path = env.get("CREDENTIALS_DIRECTORY")
        if path and os.path.isdir(path):
            leaks.keep_folder(path)

    @staticmethod
    def _listen(path):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.bind(path)
        os.chmod(path, 0o666)
        s.listen(128)
        return s

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended at its start, status {self.process.returncode}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            try:
                s.connect(self.socket)
            except OSError:
                return False
            return True

    def write_config(self, text):
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.config_path, 0o644)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, timeout=WAIT_S):
        return wait_until(lambda: re.search(pattern, self.log(), re.M), timeout, f"log: {pattern}")

    def run_cli(self, args, **kwargs):
        """`fdial ARGS` on this daemon's socket."""
        env = {"FDIAL_SOCKET": self.socket} | (kwargs.pop("env", None) or {})
        return run_cli(args, env=env, **kwargs)

    def check(self, target, *args, **kwargs):
        """`fdial check TARGET --json`: (exit status, what it printed)."""
        done = self.run_cli(["check", target, "--json", *args], **kwargs)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"no JSON: {done.stdout!r} {done.stderr!r}") from None

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def fd_count(self):
        return fd_count(self.pid)

    def rss_kib(self):
        return rss_kib(self.pid)

    def kill(self):
        self.is_ended = True
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        leaks.search(self.log(), "the daemon's log")

    def search_status(self):
        """The counters are read by more people than may read the log."""
        for args in ([], ["--json"], ["--openmetrics"]):
            self.run_cli(["status", *args])

    def stop(self, expected_status=0):
        """Ends it; how it ended is part of the test."""
        self.is_ended = True
        if self.process.poll() is None:
            try:
                if leaks.has_secrets():
                    self.search_status()
            finally:
                self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not stop on SIGTERM\n{self.log()[-4000:]}") from None
        if status != expected_status:
            raise AssertionError(f"the daemon ended with status {status}\n{self.log()[-4000:]}")
        leaks.search(self.log(), "the daemon's log")


def start_daemon(config="", **kwargs):
    return Daemon(config, **kwargs)


# ---- cases and the runner ----

class Case(unittest.TestCase):
    """A TestCase that ends what it started."""

    maxDiff = None

    def start_daemon(self, config="", **kwargs):
        daemon = Daemon(config, **kwargs)
        self.addCleanup(lambda: self._stop(daemon))
        return daemon

    @staticmethod
    def _stop(daemon):
        if not daemon.is_ended:
            daemon.stop()

    def serve(self, origin):
        self.addCleanup(origin.stop)
        return origin

    def directory(self):
        path = tempfile.mkdtemp(prefix="case-")
        os.chmod(path, 0o755)
        return path


class _Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.n_passed = 0

    def _line(self, verdict, test, more=""):
        name = test.id().replace("__main__.", "")
        print(f"{verdict} {self.testsRun} - {name}{more}", flush=True)

    def addSuccess(self, test):
        self.n_passed += 1
        self._line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("ok", test, f" # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._complain(test, self.failures)

    def addError(self, test, err):
        super().addError(test, err)
        self._complain(test, self.errors)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._complain(subtest, self.failures if issubclass(err[0], test.failureException)
                           else self.errors)

    def _complain(self, test, kept):
        self._line("not ok", test)
        for line in kept[-1][1].splitlines():
            print(f"#   {line}", flush=True)


def main():
    """Runs the cases of the calling file (or those named on the command line): 0 all passed, 77 all
    skipped, else 1."""
    loader = unittest.defaultTestLoader
    module = sys.modules["__main__"]
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    try:
        suite = loader.loadTestsFromNames(names, module) if names \
            else loader.loadTestsFromModule(module)
    except unittest.SkipTest as e:
        skip_all(str(e))
    print(f"1..{suite.countTestCases()}", flush=True)
    result = _Tap()
    suite.run(result)
    if _published:
        shutil.rmtree(_published, ignore_errors=True)
    if not result.wasSuccessful() or not (result.testsRun or result.skipped):
        sys.exit(1)
    if not result.n_passed:
        skip_all(result.skipped[0][1])
    sys.exit(0)
