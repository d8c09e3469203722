"""Debian's kernels for the virtual machines: fetched once with apt, which checks their signatures, and
unpacked below a cache; nothing is installed.

The older one is what this machine's own archive has. The newer ones come from a private set of apt's
lists with the archive's other suites, signed by the same keyring.
"""
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from guests import Unavailable, need_commands

META_PACKAGE = "linux-image-amd64"
# An image needs the packages with its modules, where these are not in it.
PARTS = re.compile(r"Depends: (linux-(?:image|binary|modules)-\d\S+)")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Kernel:
    def __init__(self, directory):
        self.directory = directory
        self.modules = self._only(("lib/modules", "usr/lib/modules"), r"\d.*")
        self.release = os.path.basename(self.modules)
        self.image = self._only(("boot", os.path.relpath(self.modules, directory)), r"vmlinuz.*")

    def _only(self, folders, pattern):
        for folder in (os.path.join(self.directory, f) for f in folders):
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            for name in filter(re.compile(pattern).fullmatch, names):
                return os.path.join(folder, name)
        raise FileNotFoundError(f"{' or '.join(folders)}: {pattern} below {self.directory}")

    def _module(self, name):
        """The module's content, and the names of those that it needs; None: there is none."""
        wanted = re.compile(re.escape(name).replace("_", "[-_]") + r"\.ko(\.xz)?")
        for folder, _, files in os.walk(os.path.join(self.modules, "kernel")):
            for file in filter(wanted.fullmatch, files):
                with open(os.path.join(folder, file), "rb") as f:
                    data = f.read()
                if file.endswith(".xz"):
                    data = lzma.decompress(data)
                depends = re.search(rb"\0depends=([^\0]*)\0", data)[1].decode()
                return data, [d for d in depends.split(",") if d]
        return None

    def modules_in_order(self, names):
        """{name: content}, each behind those that it needs. One that is not there is left out: it is
        part of the image, or its work is done elsewhere on this kernel."""
        found = {}

        def add(name):
            if name not in found and (module := self._module(name)):
                for other in module[1]:
                    add(other)
                found[name] = module[0]

        for name in names:
            add(name)
        return found


class Apt:
    """apt's commands; with a suite, on lists of their own below `directory`."""

    def __init__(self, directory, suite=None):
        self.options = []
        if not suite:
            return
        sources = os.path.join(directory, "sources.list")
        for folder in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(directory, folder))
        with open(sources, "w", encoding="utf-8") as f:
            f.write(f"deb [arch=amd64 signed-by={KEYRING}] {archive()} {suite} main\n")
        for option in (f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=-",
                       f"Dir::State::lists={directory}/lists", f"Dir::Cache={directory}/cache",
                       "Acquire::Languages=none"):
            self.options += ["-o", option]
        self.run("apt-get", "update")

    def run(self, command, *args, cwd=None):
        done = subprocess.run([command, *self.options, "-q", *args], cwd=cwd, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Unavailable(f"{command} {' '.join(args)} failed: {done.stdout.strip()[-300:]}")
        return done.stdout


def archive():
    """Where this machine has its own Debian from."""
    found = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)",
                            "Created-By: Packages", "Origin: Debian", "Label: Debian"],
                           text=True, check=False, capture_output=True).stdout.split()
    if not found:
        raise Unavailable("apt has no lists of a Debian archive here")
    return found[0]


def package_parts(apt):
    """The image's package, and those with what belongs to it."""
    parts, i = PARTS.findall(apt.run("apt-cache", "depends", META_PACKAGE)), 0
    if not parts:
        raise Unavailable(f"apt knows no {META_PACKAGE} here (it is Debian's)")
    while i < len(parts):
        parts += [p for p in PARTS.findall(apt.run("apt-cache", "depends", parts[i]))
                  if p not in parts]
        i += 1
    return parts


def fetch(apt, parent):
    """Downloads and unpacks; returns the folder."""
    packages = package_parts(apt)
    final = os.path.join(parent, packages[0])
    part = final + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    print(f"# fetching {' '.join(packages)}", flush=True)
    apt.run("apt-get", "download", *packages, cwd=part)
    for deb in (n for n in os.listdir(part) if n.endswith(".deb")):
        subprocess.run(["dpkg-deb", "-x", deb, "."], cwd=part, check=True)
        os.unlink(os.path.join(part, deb))
    os.rename(part, final)
    return final


def get(cache, suites):
    """The kernel of the first of these suites that has one (None: this machine's own), unpacked below
    `cache`; what is there already is not asked for again."""
    if os.uname().machine != "x86_64":
        raise Unavailable(f"the kernel package is for x86_64, this is {os.uname().machine}")
    parents = [os.path.join(cache, suite or "own") for suite in suites]
    for parent in filter(os.path.isdir, parents):
        for name in sorted(os.listdir(parent)):
            if not name.endswith(".part"):
                return Kernel(os.path.join(parent, name))
    need_commands("apt-cache", "apt-get", "dpkg-deb")
    reasons = []
    for suite, parent in zip(suites, parents):
        with tempfile.TemporaryDirectory() as directory:
            try:
                return Kernel(fetch(Apt(directory, suite), parent))
            except Unavailable as e:
                reasons.append(str(e))
    raise Unavailable("; ".join(reasons))
