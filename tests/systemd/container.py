"""What `make install` installs, in a container with systemd as PID 1; prints the TAP of guest.sh.
# time-limit: 600

The container's root is Debian's (or Ubuntu's) smallest, of the same release as this machine, so
that libraries missing there can come from here. debootstrap makes it once; each run gets a copy,
which lies in $TMPDIR and goes with it. Mounts are made in namespaces that end with their processes.
"""
import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from guests import Unavailable, end_with_parent, judge, libraries, need_commands

LIMIT_S = 100
SHUTDOWN_LIMIT_S = 10
PACKAGES = ["systemd", "systemd-sysv", "dbus"]

# The container lives as long as the test in it.
UNIT = """[Unit]
SuccessAction=poweroff
FailureAction=poweroff

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo "# script guest.sh"; sh /fdial/guest/guest.sh; \\
    echo "# exit $$?"; echo "# done"'
StandardOutput=file:/fdial/tap
StandardError=file:/fdial/log

[Install]
WantedBy=multi-user.target
"""


# ---- the root file system ----

def suite():
    with open("/etc/os-release", encoding="utf-8") as f:
        match = re.search(r'^VERSION_CODENAME="?([a-z]+)', f.read(), re.M)
    if not match or not os.path.exists(f"/usr/share/debootstrap/scripts/{match[1]}"):
        raise Unavailable("debootstrap does not know this machine's release")
    return match[1]


def mirror(name):
    """Where apt has the release from; none: debootstrap's own default."""
    if not shutil.which("apt-get"):
        return []
    out = subprocess.run(["apt-get", "indextargets", "--format",
                          "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
                         text=True, check=False, capture_output=True).stdout
    sites = re.findall(rf"^(http\S+) {name} main$", out, re.M)
    return sites[:1]


def make_root(cache):
    """The pristine root; made when it is not there."""
    name = suite()
    root = os.path.join(cache, "-".join([name, *PACKAGES]))
    if os.path.isdir(root):
        return root
    need_commands("debootstrap")
    os.makedirs(cache, mode=0o700, exist_ok=True)
    part = root + ".part"
    subprocess.run(["rm", "-rf", "--one-file-system", part], check=True)
    print(f"# debootstrap {name}", flush=True)
    # debootstrap mounts /proc in there: in a namespace of its own, whatever happens to it.
    done = subprocess.run(["unshare", "--mount", "debootstrap", "--variant=minbase",
                           "--include=" + ",".join(PACKAGES), name, part, *mirror(name)],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise Unavailable(f"debootstrap {name} failed: {done.stdout.strip()[-300:]}")
    os.rename(part, root)
    return root


def programs_in(directory):
    for folder, _, files in os.walk(directory):
        for file in files:
            path = os.path.join(folder, file)
            if not os.path.islink(path) and os.access(path, os.X_OK):
                with open(path, "rb") as f:
                    if f.read(4) == b"\x7fELF":
                        yield path


def install(root, destdir):
    """What `make install` put into destdir, and the libraries that it needs and the root lacks."""
    programs = list(programs_in(destdir))
    search = ":".join({os.path.dirname(p) for p in programs})
    for program in programs:
        for path in libraries(program, search).values():
            there = root + path
            if not path.startswith(destdir + "/") and not os.path.exists(there):
                os.makedirs(os.path.dirname(there), exist_ok=True)
                shutil.copyfile(path, there)
                os.chmod(there, 0o755)
    subprocess.run(["cp", "-a", destdir + "/.", root], check=True)
    subprocess.run(["ldconfig", "-r", root], check=True)


def add_test(root, scripts):
    folder = os.path.join(root, "fdial/guest")
    os.makedirs(folder)
    for script in scripts:
        shutil.copy(script, folder)
    units = os.path.join(root, "etc/systemd/system")
    with open(os.path.join(units, "fdial-test.service"), "w", encoding="utf-8") as f:
        f.write(UNIT)
    wants = os.path.join(units, "multi-user.target.wants")
    os.makedirs(wants, exist_ok=True)
    os.symlink("../fdial-test.service", os.path.join(wants, "fdial-test.service"))


# ---- running ----

def remove_cgroup(folder):
    """As far as nobody is in it."""
    for inner, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(inner)


@contextlib.contextmanager
def own_cgroups():
    """Folders for the container in the two hierarchies that systemd uses (one, on newer systems),
    where nobody else makes them: without systemd on this machine."""
    made = []
    if not is_systemd_here():
        with open("/proc/self/cgroup", encoding="utf-8") as f:
            found = re.findall(r"^\d+:(name=systemd|):(/.*)$", f.read(), re.M)
        for name, path in found:
            tops = ["systemd"] if name else ["unified", ""]
            top = next((t for t in (os.path.join("/sys/fs/cgroup", t) for t in tops)
                        if os.path.exists(os.path.join(t, "cgroup.procs"))), None)
            if top and os.access(top, os.W_OK):
                parent = os.path.join(top, path.lstrip("/"))
                for old in glob.glob(os.path.join(parent, "fdial-*")):  # of a run that was killed
                    if not os.path.exists("/proc/" + old.rpartition("-")[2]):
                        remove_cgroup(old)
                folder = os.path.join(parent, f"fdial-{os.getpid()}")
                os.mkdir(folder)
                made.append(folder)
    try:
        yield made
    finally:
        for folder in made:
            remove_cgroup(folder)


def is_systemd_here():
    return os.path.isdir("/run/systemd/system")


def run(root, console, cgroups):
    """Runs the container to its end, or to its limit; returns whether it came to its end."""
    def prepare():
        end_with_parent()
        for folder in cgroups:
            with open(os.path.join(folder, "cgroup.procs"), "w", encoding="utf-8") as f:
                f.write(str(os.getpid()))

    # In a network namespace of its own: only loopback.
    command = ["systemd-nspawn", "-D", root, "-b", f"--machine=fdial-{os.getpid()}",
               "--register=no", "--private-network", "--link-journal=no", "--resolv-conf=off",
               "--timezone=off", "--console=read-only"]
    if not is_systemd_here():
        command.append("--keep-unit")
    with open(console, "wb") as f:
        container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=f,
                                     stderr=subprocess.STDOUT, preexec_fn=prepare)
        try:
            return container.wait(LIMIT_S) == 0
        except subprocess.TimeoutExpired:
            container.terminate()  # an orderly shutdown
            with contextlib.suppress(subprocess.TimeoutExpired):
                container.wait(SHUTDOWN_LIMIT_S)
            return False
        finally:
            if container.poll() is None:
                container.kill()
                container.wait()


def read(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def check_needs(destdir):
    if os.geteuid() != 0:
        raise Unavailable("needs root")
    need_commands("systemd-nspawn", "unshare", "ldconfig", "ldd")
    if not any("fdiald.service" in files for _, _, files in os.walk(destdir)):
        raise Unavailable("configured without units")
    done = subprocess.run(["unshare", "--mount", "true"], text=True, capture_output=True,
                          check=False)
    if done.returncode:
        raise Unavailable(f"no mount namespaces here: {done.stderr.strip()}")


def main():
    srcdir, builddir, destdir = (os.path.abspath(os.environ[n]) for n in
                                 ("abs_top_srcdir", "abs_top_builddir", "FDIAL_DESTDIR"))
    scripts = [os.path.join(srcdir, "tests", *p) for p in
               (("systemd", "guest.sh"), ("vm", "guest", "tap.sh"))]
    try:
        check_needs(destdir)
        pristine = make_root(os.path.join(builddir, "tests", "systemd", "cache"))
    except Unavailable as e:
        print(e)
        return 77
    with tempfile.TemporaryDirectory() as directory, own_cgroups() as cgroups:
        root, console = (os.path.join(directory, n) for n in ("root", "console"))
        subprocess.run(["cp", "-a", pristine, root], check=True)
        install(root, destdir)
        add_test(root, scripts)
        is_finished = run(root, console, cgroups)
        tap, log, screen = read(root, "fdial/tap"), read(root, "fdial/log"), read(console)
    print(tap)
    complaints = judge(tap, ["guest.sh"])
    if not is_finished:
        complaints.append(f"the container did not end by itself (limit {LIMIT_S} s)")
    if complaints:
        print("# guest.sh wrote:", *log.splitlines()[-200:], sep="\n#   ")
        print("# the console's last lines:", *screen.splitlines()[-40:], sep="\n#   ")
        print("# FAILED:", *complaints, sep="\n#   ")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
