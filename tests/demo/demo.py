#!/usr/bin/env python3
"""`make demo`: the main job, end to end, on loopback, told stage by stage.

A daemon, a TLS origin behind a proxy that wants a password, and a client in a network namespace with
nothing in it, which fetches a page through a connection that it was handed. All of it lives in a temporary
directory and ends with this program.
"""
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fdialtest  # noqa: E402
import proxies  # noqa: E402

PAGE = b"Hello from the origin. You have no network, and yet you are here.\n"


def tell(stage, text):
    print(f"\n[{stage}] {text}", flush=True)


def show(text):
    print(textwrap.indent(text.rstrip("\n"), "    | ", lambda _line: True), flush=True)


def fail(text, daemon=None):
    print(f"\ndemo: {text}", file=sys.stderr)
    if daemon:
        print("The daemon said:", daemon.log()[-4000:], sep="\n", file=sys.stderr)
    sys.exit(1)


def configuration(uid, ca_file, port, proxy_port):
    return f"""\
tls "demo" {{
  ca-file = "{ca_file}"
}}
proxy "gate" {{
  url        = "http://127.0.0.1:{proxy_port}"
  auth       = {{ "digest" }}
  credential = "gate-password"
}}
rule "demo" {{
  client    = {{ "uid:{uid}" }}
  allow     = {{ "https://localhost:{port}" }}
  addresses = {{ "loopback" }}
  via       = {{ "gate" }}
  tls       = "demo"
}}
"""


def write_credential(user, password):
    """Returns the folder, which nobody else can look into."""
    directory = tempfile.mkdtemp(prefix="credentials-")
    with open(os.path.join(directory, "gate-password"), "w", encoding="ascii") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(f"{user}:{password}\n")
    return directory


def show_no_password(uid, directory):
    def read():
        with open(os.path.join(directory, "gate-password"), encoding="ascii") as f:
            return f.read()

    tell(4, "Nor can it read the proxy's password:")
    outcome = fdialtest.call_as(read, uid=uid)
    show(f"read gate-password: {outcome}")
    if "Permission denied" not in str(outcome):
        fail("the client can read the proxy's password")


def show_no_network(uid, port):
    tell(3, "The client's network namespace has nothing in it. Without fdial:")

    def connect():
        socket.create_connection(("127.0.0.1", port), 5).close()
        return "connected"

    outcome = fdialtest.call_as(connect, uid=uid, netns=True)
    show(f"connect 127.0.0.1:{port}: {outcome}")
    if outcome == "connected":
        fail("the client reached the origin by itself: this is no empty namespace")


def run_client(daemon, what, args, **kwargs):
    show(f"$ fdial {' '.join(args)}")
    done = daemon.run_cli(args, netns=True, **kwargs)
    show(done.stdout.decode(errors="replace").replace("\r", "") + done.stderr.decode(errors="replace"))
    if done.returncode != 0:
        fail(f"{what}: fdial ended with status {done.returncode}", daemon)
    return done


def demo():
    uid = fdialtest.CLIENT_UID if fdialtest.is_root() else os.getuid()
    if not fdialtest.can_unshare_network():
        fail("this machine lets nobody but root make network namespaces: run it as root")

    tell(1, "A certificate authority, an HTTPS origin on loopback with a certificate of it, and a proxy"
            " that wants a password")
    authority = fdialtest.Authority()
    origin = fdialtest.Tls(*authority.issue(), fdialtest.answer_page(PAGE), alpn=["http/1.1"])
    target = f"https://localhost:{origin.port}"
    password = secrets.token_hex(8)
    proxy = proxies.HttpProxy("demo", password)
    show(f"{target}\nhttp://127.0.0.1:{proxy.port}")

    config = configuration(uid, authority.certificate, origin.port, proxy.port)
    credentials = write_credential("demo", password)
    tell(2, f"A daemon with one rule: uid {uid} may have that origin, by that proxy, and nothing else")
    show(config)
    daemon = fdialtest.start_daemon(config, env={"CREDENTIALS_DIRECTORY": credentials})
    try:
        show_no_network(uid, origin.port)
        if fdialtest.is_root():
            show_no_password(uid, credentials)
        tell(5, "With fdial, from the same place: what a connection takes, stage by stage")
        run_client(daemon, "the check", ["check", target], uid=uid)
        tell(6, "The page, fetched over the connection: HTTP by the client, TLS by the daemon")
        request = f"GET / HTTP/1.1\r\nHost: localhost:{origin.port}\r\nConnection: close\r\n\r\n"
        done = run_client(daemon, "the fetch", ["connect", target], uid=uid, input=request.encode())
        if not done.stdout.endswith(PAGE):
            fail("what came is not the page", daemon)
        show(f"the proxy connected to: {', '.join(proxy.targets)}")
        if not proxy.targets or password in done.stdout.decode() + daemon.log():
            fail("that did not go through the proxy, or the password was told", daemon)
        tell(7, "Anything else is denied, before any DNS query")
        other = "https://elsewhere.example"
        show(f"$ fdial connect {other}")
        done = daemon.run_cli(["connect", other], uid=uid, netns=True)
        show(done.stderr.decode(errors="replace"))
        if done.returncode != 4:
            fail(f"that should have ended with status 4, not {done.returncode}", daemon)
        daemon.stop()
    finally:
        daemon.kill()
        proxy.stop()
        origin.stop()
    tell("done", "The page came through. The tests: ./bootstrap check")


def main():
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="fdial-demo-", dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        tempfile.tempdir = directory
        try:
            demo()
        except (AssertionError, OSError, subprocess.SubprocessError, RuntimeError) as e:
            fail(str(e))


if __name__ == "__main__":
    main()
