"""Servers that the tests of real programs start: each on a free port of loopback, in a directory of its
own, ended by stop()."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import fdialtest

START_TIMEOUT_S = 30
START_TRIES = 3  # somebody else may take a port that was free

# Python's standard library over an fd that fdial handed out: PYTHON_GET FD PATH prints the body.
PYTHON = "/usr/bin/python3"  # readable for every user, as the one in PATH may not be
PYTHON_GET = """
import http.client, os, socket, sys
client = http.client.HTTPConnection("localhost")
client.sock = socket.socket(fileno=int(sys.argv[1]))
for path in sys.argv[2:]:
    client.request("GET", path)
    answer = client.getresponse()
    sys.stdout.buffer.write(b"%d %s\\n" % (answer.status, answer.read()))
"""


def directory(name):
    path = tempfile.mkdtemp(prefix=name + "-")
    os.chmod(path, 0o755)
    return path


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Server:
    """A process with its output in a log. is_ready(log) is asked until it is true."""

    def __init__(self, name, make_argv, is_ready, **kwargs):
        self.directory = directory(name)
        self.log_path = os.path.join(self.directory, "log")
        for attempt in range(START_TRIES):
            argv = make_argv(self.directory)
            with open(self.log_path, "wb") as log:
                self.process = fdialtest.popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                               **kwargs)
            if self._wait(lambda: is_ready(self.log())):
                return
            self.stop()
        raise AssertionError(f"{argv} does not start: {self.log()}")

    def _wait(self, is_ready):
        until = time.monotonic() + START_TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < until:
            if is_ready():
                return True
            time.sleep(0.02)
        return False

    def log(self):
        return read(self.log_path).decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


NGINX = """
daemon off;
master_process off;
pid {dir}/pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  default_type application/octet-stream;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  client_max_body_size 64m;
  root {dir}/root;
  server {{
    listen 127.0.0.1:{http} default_server;
    listen [::1]:{http};
    listen 127.0.0.1:{https} ssl;
    listen [::1]:{https} ssl;
    server_name localhost;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ dav_methods PUT; }}
    location = /hello {{ return 200 "hello from nginx, $scheme $ssl_protocol\\n"; }}
    {more}
  }}
}}
"""


class Nginx(Server):
    """http_port and https_port, with the files of `root` and /hello; PUT writes a file. more: for its
    configuration, in the server."""

    def __init__(self, certificate, key, more=""):
        self._certificate, self._key, self._more = certificate, key, more
        super().__init__("nginx", self._make_argv, lambda _: can_connect(self.https_port))

    def _make_argv(self, path):
        self.root = os.path.join(path, "root")
        os.makedirs(self.root, exist_ok=True)
        self.http_port, self.https_port = fdialtest.free_port(), fdialtest.free_port()
        config = NGINX.format(dir=path, http=self.http_port, https=self.https_port,
                              certificate=self._certificate, key=self._key, more=self._more)
        return [fdialtest.find_command("nginx"), "-e", "stderr", "-p", path, "-c",
                write(f"{path}/nginx.conf", config)]


class SServer(Server):
    """openssl s_server -www: a page that tells the version and the cipher. It has `port`."""

    def __init__(self, certificate, key, *options):
        argv = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate,
                "-cert_chain", certificate, "-key", key, *options]
        super().__init__("s-server", lambda _: argv, self._is_ready)

    def _is_ready(self, log):
        match = re.search(r"^ACCEPT .*:(\d+)$", log, re.M)
        if match:
            self.port = int(match[1])
        return match


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host
AuthorizedKeysFile {dir}/user.pub
PidFile {dir}/pid
UsePAM {pam}
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


def is_account_locked():
    """sshd refuses a locked one, unless PAM decides."""
    try:
        with open("/etc/shadow", encoding="utf-8") as f:
            return any(line.startswith("root:!") for line in f)
    except OSError:
        return False


class Sshd(Server):
    """For the user that runs the test. ssh_options() are for a client that comes by fdial."""

    def __init__(self):
        super().__init__("sshd", self._make_argv, lambda _: can_connect(self.port))

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        for name in ("host", "user"):
            if not os.path.exists(f"{path}/{name}"):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{path}/{name}"],
                               check=True)
        pam = "yes" if fdialtest.is_root() and is_account_locked() else "no"
        config = write(f"{path}/sshd_config", SSHD.format(dir=path, port=self.port, pam=pam))
        argv = [fdialtest.find_command("sshd"), "-D", "-e", "-f", config]
        if fdialtest.is_root() and not os.path.isdir("/run/sshd"):
            fdialtest.need_mounts()
            # It wants this directory; a /run of its own leaves the machine's alone.
            script = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$@\""
            argv = ["unshare", "-m", "sh", "-c", script, "sh", *argv]
        return argv

    def ssh_options(self, host):
        with open(f"{self.directory}/host.pub", encoding="utf-8") as f:
            kind, key = f.read().split()[:2]
        known = write(f"{self.directory}/known", f"[{host}]:{self.port} {kind} {key}\n")
        return ["-F", "/dev/null", "-i", f"{self.directory}/user", "-p", str(self.port),
                *(x for option in (
                    "BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes",
                    f"UserKnownHostsFile={known}", "LogLevel=ERROR", "ProxyUseFdpass=yes",
                    f"ProxyCommand={fdialtest.program('fdial')} fdpass %h %p")
                  for x in ("-o", option))]


RSYNCD = """
use chroot = no
{user}
[in]
path = {dir}/in
read only = no
[out]
path = {dir}/out
"""


class Rsyncd(Server):
    """An rsync daemon with the modules `in` (to write) and `out` (to read)."""

    def __init__(self):
        super().__init__("rsyncd", self._make_argv, lambda _: can_connect(self.port))

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        for name in ("in", "out"):
            os.makedirs(f"{path}/{name}", exist_ok=True)
        user = "uid = root\ngid = root" if fdialtest.is_root() else ""
        config = write(f"{path}/rsyncd.conf", RSYNCD.format(dir=path, user=user))
        return ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={self.port}",
                f"--config={config}", f"--log-file={path}/rsyncd.log"]


def run(argv, *, timeout=fdialtest.CLI_TIMEOUT_S, input=b"", **kwargs):
    """Any command to its end, as fdialtest.run_cli does for fdial."""
    process = fdialtest.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, **kwargs)
    try:
        out, err = process.communicate(input, timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{argv} was not done after {timeout} s: {err[-2000:]!r}") from None
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def built_helper(name):
    """A check program of this folder, in the place that everybody can read; libtool leaves the real one
    in .libs when it needs the library of this build."""
    to = os.path.join(fdialtest.published()[0], name)
    for path in (f"{fdialtest.BUILDDIR}/tests/real/.libs/{name}",
                 f"{fdialtest.BUILDDIR}/tests/real/{name}"):
        if os.path.exists(path):
            shutil.copy(path, to)
            return to
    sys.exit(f"tests/real/{name} was not built")
