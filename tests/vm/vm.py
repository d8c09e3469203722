"""The guest scripts of tests/vm/guest in a machine with kernel TLS; prints their TAP.
# time-limit: 600
"""
import os
import sys
import tempfile

import guests
import machine

LIMIT_S = 110
MODULES = ["tls", "gcm", "ghash-generic", "ctr"]  # and what AES-GCM is made of
TOOLS = ["setpriv", "unshare"]
FILES = []  # the guest has no CA bundle: a rule without TLS targets needs none


def main():
    srcdir, builddir = os.environ["abs_top_srcdir"], os.environ["abs_top_builddir"]
    here = os.path.join(srcdir, "tests", "vm")
    if cache := os.environ.get("XDG_CACHE_HOME"):
        cache = os.path.join(cache, "fdial")
    else:
        cache = os.path.join(builddir, "tests", "vm", "cache")
    scripts = sorted(n for n in os.listdir(os.path.join(here, "guest")) if n.endswith(".sh"))
    programs = [os.path.join(builddir, p) for p in os.environ["FDIAL_VM_PROGRAMS"].split()]
    try:
        guests.need_commands("qemu-system-x86_64", "busybox")
        kernel = machine.fetch_kernel(cache)
        with tempfile.TemporaryDirectory() as directory:
            initramfs = os.path.join(directory, "initramfs")
            machine.build_initramfs(
                initramfs, kernel, init=os.path.join(here, "init.sh"), modules=MODULES,
                programs=programs, tools=TOOLS, files=FILES,
                scripts=[os.path.join(here, "guest", n) for n in scripts])
            print(f"# Linux {kernel.release}, {os.path.getsize(initramfs) >> 20} MiB", flush=True)
            is_finished, tap, console = machine.run(directory, kernel, initramfs, LIMIT_S)
    except guests.Unavailable as e:
        print(e)
        return 77
    print(tap)
    complaints = guests.judge(tap, [n for n in scripts if n[0].isdigit()])
    if not is_finished:
        complaints.append(f"the machine was ended from outside (limit {LIMIT_S} s)")
    if complaints:
        print("# the console's last lines:", *console.splitlines()[-60:], sep="\n#   ")
        print("# FAILED:", *complaints, sep="\n#   ")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
