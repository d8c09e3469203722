"""What the tests with a guest (an emulated machine, a container) have in common: what they need,
which libraries a program takes along, and the judgement on the TAP that comes back."""
import ctypes
import os
import re
import shutil
import signal
import subprocess

PR_SET_PDEATHSIG = 1


class Unavailable(Exception):
    """Something that the guest needs is not here; the text says what."""


def need_commands(*names):
    for name in names:
        if not shutil.which(name):
            raise Unavailable(f"no {name} here")


def end_with_parent():
    """For Popen's preexec_fn."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def libraries(program, search):
    """{name: path} of the shared libraries; the loader under its full path."""
    env = dict(os.environ, LD_LIBRARY_PATH=search)
    done = subprocess.run(["ldd", program], env=env, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        if match := re.search(r"(\S+) => (/\S+)", line):
            found[match[1]] = match[2]
        elif match := re.match(r"\s*(/\S+) \(0x", line):
            found[match[1]] = match[1]
        elif "not found" in line:
            raise FileNotFoundError(f"{program}: {line.strip()}")
    return found


def judge(tap, scripts):
    """The complaints about what the scripts printed: none when all is well. Expected of each are

        # script NAME
        (TAP, with its plan, or several)
        # exit STATUS

    and `# done` behind the last."""
    complaints = []
    seen = {}
    for name, body in re.findall(r"^# script (\S+)\n(.*?)(?=^# script |\Z)", tap, re.M | re.S):
        seen[name] = body
    for name in scripts:
        if name not in seen:
            complaints.append(f"{name} did not run")
            continue
        body = seen[name]
        plans = [int(n) for n in re.findall(r"^1\.\.(\d+)", body, re.M)]
        passed = len(re.findall(r"^ok\b", body, re.M))
        failed = re.findall(r"^not ok\b.*", body, re.M)
        status = re.search(r"^# exit (\d+)$", body, re.M)
        complaints += [f"{name}: {line}" for line in failed]
        if not plans:
            complaints.append(f"{name}: no plan")
        elif sum(plans) != passed + len(failed):
            complaints.append(f"{name}: {passed + len(failed)} of {sum(plans)} cases were run")
        if not status or int(status[1]) != 0:
            complaints.append(f"{name}: exit status {status[1] if status else 'missing'}")
    if not re.search(r"^# done$", tap, re.M):
        complaints.append("the guest did not come to its end")
    return complaints
