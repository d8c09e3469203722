"""Relays with TLS in user space and in the kernel; see RESULTS.md.

First here, where most kernels have no TLS, but times are times; then in the emulated machine of tests/vm
with each of its kernels, where a microsecond is 1000 instructions.
"""
import os
import subprocess
import sys
import tempfile

srcdir, builddir = os.environ["abs_top_srcdir"], os.environ["abs_top_builddir"]
sys.path.append(os.path.join(srcdir, "tests", "vm"))

import guests  # noqa: E402
import machine  # noqa: E402
import vm  # noqa: E402

LIMIT_S = 900
MIB_HERE, ROUNDS_HERE = 16, 10
MIB_THERE, ROUNDS_THERE = 1, 4
# The clock counts instructions. With ERMS or FSRM the kernel copies with REP MOVSB, which the emulator
# counts as an instruction for each byte.
OPTIONS = ["-cpu", "max,-erms,-fsrm", "-icount", "shift=0,sleep=off"]


def run_there(kernel):
    with tempfile.TemporaryDirectory() as directory:
        initramfs = os.path.join(directory, "initramfs")
        script = os.path.join(directory, "10-relay.sh")
        with open(script, "w", encoding="utf-8") as f:
            # What the machine does behind its start would count.
            f.write(f"sleep 5; exec relay-crypto {MIB_THERE} {ROUNDS_THERE}\n")
        machine.build_initramfs(
            initramfs, kernel, init=os.path.join(srcdir, "tests", "vm", "init.sh"),
            modules=vm.MODULES + ["chacha"],
            programs=[os.path.join(builddir, "tests", "bench", "relay-crypto")], tools=[], files={},
            scripts=[script])
        runs = machine.Machine(directory, kernel, initramfs, OPTIONS)
        is_finished = runs.wait(LIMIT_S)
        print(runs.tap(), flush=True)
        if not is_finished or "# exit 0" not in runs.tap():
            sys.exit(f"the machine did not come to its end: {runs.console()[-2000:]}")


def main():
    programs = os.path.join(builddir, "tests", "bench")
    subprocess.run([os.path.join(programs, "relay-crypto"), str(MIB_HERE), str(ROUNDS_HERE)], check=True)
    subprocess.run([os.path.join(programs, "relay-ring")], check=True)
    found, missing = vm.find_kernels(os.path.join(builddir, "tests", "vm", "cache"))
    try:
        for kernel in found:
            run_there(kernel)
    except guests.Unavailable as e:
        missing.append(str(e))
    if missing:
        sys.exit("\n".join(missing))


if __name__ == "__main__":
    main()
