#!/usr/bin/env python3
"""`make demo`: the main job, end to end, on loopback, told stage by stage.

A daemon, a TLS origin, and a client in a network namespace with nothing in it, which fetches a page
through a connection that it was handed. All of it lives in a temporary directory and ends with this
program.
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fdialtest  # noqa: E402

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


def configuration(uid, ca_file, port):
    return f"""\
tls "demo" {{
  ca-file = "{ca_file}"
}}
rule "demo" {{
  client    = {{ "uid:{uid}" }}
  allow     = {{ "https://localhost:{port}" }}
  addresses = {{ "loopback" }}
  tls       = "demo"
}}
"""


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

    tell(1, "A certificate authority, and an HTTPS origin on loopback with a certificate of it")
    authority = fdialtest.Authority()
    origin = fdialtest.Tls(*authority.issue(), fdialtest.answer_page(PAGE), alpn=["http/1.1"])
    target = f"https://localhost:{origin.port}"
    show(target)

    config = configuration(uid, authority.certificate, origin.port)
    tell(2, f"A daemon with one rule: uid {uid} may have that origin, and nothing else")
    show(config)
    daemon = fdialtest.start_daemon(config)
    try:
        show_no_network(uid, origin.port)
        tell(4, "With fdial, from the same place: what a connection takes, stage by stage")
        run_client(daemon, "the check", ["check", target], uid=uid)
        tell(5, "The page, fetched over the connection: HTTP by the client, TLS by the daemon")
        request = f"GET / HTTP/1.1\r\nHost: localhost:{origin.port}\r\nConnection: close\r\n\r\n"
        done = run_client(daemon, "the fetch", ["connect", target], uid=uid, input=request.encode())
        if not done.stdout.endswith(PAGE):
            fail("what came is not the page", daemon)
        tell(6, "Anything else is denied, before any DNS query")
        other = "https://elsewhere.example"
        show(f"$ fdial connect {other}")
        done = daemon.run_cli(["connect", other], uid=uid, netns=True)
        show(done.stderr.decode(errors="replace"))
        if done.returncode != 4:
            fail(f"that should have ended with status 4, not {done.returncode}", daemon)
        daemon.stop()
    finally:
        daemon.kill()
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
