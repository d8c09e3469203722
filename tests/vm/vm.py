"""The guest scripts of tests/vm/guest in machines with kernel TLS: one with the oldest kernel that is
supported, one with a new one, at the same time. Prints their TAP.
# time-limit: 600
"""
import os
import secrets
import sys
import tempfile
import time

import certificates
import guests
import kernels
import machine

LIMIT_S = 290  # for both together, from their start
# The suites that have them. From 6.14 on a KeyUpdate shows in another way; 6.12 is better than nothing.
KERNELS = [(None,), ("sid", "bookworm-backports")]
# And what its ciphers are made of: names of both kernels, and the faster ones of this processor.
MODULES = ["tls", "gcm", "ghash-generic", "ctr", "chacha20poly1305", "chacha_generic", "chacha",
           "poly1305_generic", "aesni-intel", "ghash-clmulni-intel", "chacha-x86_64", "poly1305-x86_64"]
TEXT_SIZE = 2 << 20
TEXT_LINE = 8192  # bytes of a line of it
TOOLS = ["setpriv", "unshare", "nginx", "openssl", "gnutls-serv"]


def make_files(directory):
    """{name in the guest: path here}. The guest's clock is UTC, set by the machine from this one's."""
    directory = os.path.join(directory, "certificates")
    os.mkdir(directory)
    authority = certificates.Authority(directory)
    certificate, key = authority.issue("localhost")
    lines = [secrets.token_hex(TEXT_LINE // 2)[1:] for _ in range(TEXT_SIZE // TEXT_LINE)]
    texts = {}
    for name, ways in ("text", 1), ("text-reversed", -1):
        texts["fdial/" + name] = os.path.join(directory, name)
        with open(texts["fdial/" + name], "w", encoding="ascii") as f:
            f.writelines(line[::ways] + "\n" for line in lines)
    return {"fdial/root.pem": authority.certificate, "fdial/server.pem": certificate,
            "fdial/server.key": key, **texts}


def start(directory, here, kernel, scripts, files):
    os.mkdir(directory)
    initramfs = os.path.join(directory, "initramfs")
    machine.build_initramfs(
        initramfs, kernel, init=os.path.join(here, "init.sh"), modules=MODULES,
        programs=[os.path.join(os.environ["abs_top_builddir"], p)
                  for p in os.environ["FDIAL_VM_PROGRAMS"].split()],
        tools=TOOLS, files=files, scripts=[os.path.join(here, "guest", n) for n in scripts])
    print(f"# Linux {kernel.release}, {os.path.getsize(initramfs) >> 20} MiB", flush=True)
    return kernel, machine.Machine(directory, kernel, initramfs)


def find_kernels(cache):
    """Those that can be had, and why others cannot."""
    found, missing = [], []
    for suites in KERNELS:
        try:
            found.append(kernels.get(cache, suites))
        except guests.Unavailable as e:
            missing.append(str(e))
    return found, missing


def judge(kernel, runs, deadline, scripts):
    """Waits for the machine; prints its TAP and what is wrong with it."""
    is_finished = runs.wait(max(0, deadline - time.monotonic()))
    tap = runs.tap()
    print(f"# ==== Linux {kernel.release}, after {time.monotonic() - deadline + LIMIT_S:.0f} s", tap,
          sep="\n", flush=True)
    complaints = guests.judge(tap, [n for n in scripts if n[0].isdigit()])
    if not is_finished:
        complaints.append(f"the machine was ended from outside (limit {LIMIT_S} s)")
    if complaints:
        print("# the console's last lines:", *runs.console().splitlines()[-60:], sep="\n#   ")
        print(f"# FAILED with Linux {kernel.release}:", *complaints, sep="\n#   ", flush=True)
    return not complaints


def main():
    srcdir, builddir = os.environ["abs_top_srcdir"], os.environ["abs_top_builddir"]
    here = os.path.join(srcdir, "tests", "vm")
    if cache := os.environ.get("XDG_CACHE_HOME"):
        cache = os.path.join(cache, "fdial")
    else:
        cache = os.path.join(builddir, "tests", "vm", "cache")
    scripts = sorted(n for n in os.listdir(os.path.join(here, "guest")) if n.endswith(".sh"))
    found, missing = find_kernels(cache)
    machines = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            files = make_files(directory)
            deadline = time.monotonic() + LIMIT_S
            for i, kernel in enumerate(found):
                machines.append(start(os.path.join(directory, str(i)), here, kernel, scripts, files))
            passed = [judge(*m, deadline, scripts) for m in machines]
        except guests.Unavailable as e:
            print(e)
            return 77
        finally:
            for _, runs in machines:
                runs.kill()
    if not all(passed):
        return 1
    if missing:
        print(*missing, sep="\n")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
