"""A virtual machine for what the build machine's kernel may lack: Debian's kernel with kernel TLS.

No root, no disk image: the kernel package is fetched once (apt checks its signature) and unpacked, and
an initramfs is put together from a static busybox, the modules, the programs under test with their
libraries, and the guest scripts. The machine runs emulated (TCG), so it is slow and needs nothing.

The guest's /init runs the scripts one after the other and writes their TAP to the second serial port;
the first one is the console. See init.sh.
"""
import lzma
import os
import re
import shutil
import stat
import subprocess

from guests import Unavailable, end_with_parent, libraries, need_commands

KERNEL_META_PACKAGE = "linux-image-amd64"
MEMORY_MIB = 512


# ---- the kernel ----

class Kernel:
    def __init__(self, directory):
        self.directory = directory
        self.image = self._only("boot", r"vmlinuz-.*")
        release = os.path.basename(self.image).removeprefix("vmlinuz-")
        for top in ("lib/modules", "usr/lib/modules"):
            self.modules = os.path.join(directory, top, release)
            if os.path.isdir(self.modules):
                break
        self.release = release

    def _only(self, folder, pattern):
        folder = os.path.join(self.directory, folder)
        return next(os.path.join(folder, n) for n in sorted(os.listdir(folder))
                    if re.fullmatch(pattern, n))

    def module(self, name):
        """The module's content, and the names of those that it needs."""
        wanted = re.compile(re.escape(name).replace("_", "[-_]") + r"\.ko(\.xz)?")
        for folder, _, files in os.walk(self.modules):
            for file in filter(wanted.fullmatch, files):
                with open(os.path.join(folder, file), "rb") as f:
                    data = f.read()
                if file.endswith(".xz"):
                    data = lzma.decompress(data)
                depends = re.search(rb"\0depends=([^\0]*)\0", data)[1].decode()
                return data, [d for d in depends.split(",") if d]
        raise FileNotFoundError(f"{name}.ko of {self.release}")

    def modules_in_order(self, names):
        """{name: content}, each behind those that it needs."""
        found = {}

        def add(name):
            if name not in found:
                data, needs = self.module(name)
                for other in needs:
                    add(other)
                found[name] = data

        for name in names:
            add(name)
        return found


def kernel_package():
    need_commands("apt-cache", "apt-get", "dpkg-deb")
    if os.uname().machine != "x86_64":
        raise Unavailable(f"the kernel package is for x86_64, this is {os.uname().machine}")
    out = subprocess.run(["apt-cache", "depends", KERNEL_META_PACKAGE], text=True, check=False,
                         capture_output=True).stdout
    names = re.findall(r"Depends: (linux-image-\S+)", out)
    if not names:
        raise Unavailable(f"apt knows no {KERNEL_META_PACKAGE} here (it is Debian's)")
    return names[0]


def fetch_kernel(cache):
    """Unpacked below `cache`; fetched when it is not there."""
    os.makedirs(cache, exist_ok=True)
    have = sorted(n for n in os.listdir(cache) if n.startswith("linux-image-") and "." in n
                  and not n.endswith((".deb", ".part")))
    if have:
        return Kernel(os.path.join(cache, have[-1]))
    package = kernel_package()
    part = os.path.join(cache, package + ".part")
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    print(f"# fetching {package}", flush=True)
    done = subprocess.run(["apt-get", "-q", "download", package], cwd=part, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise Unavailable(f"apt-get download {package} failed: {done.stdout.strip()[-300:]}")
    deb = next(n for n in os.listdir(part) if n.endswith(".deb"))
    subprocess.run(["dpkg-deb", "-x", deb, "."], cwd=part, check=True)
    os.unlink(os.path.join(part, deb))
    final = os.path.join(cache, package)
    os.rename(part, final)
    return Kernel(final)


# ---- the initramfs ----

class Initramfs:
    """A cpio archive (format newc), written without root: owners and devices are only numbers."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.inode = 0
        self.folders = set()

    def _pad(self):
        self.file.write(b"\0" * (-self.file.tell() % 4))

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0]
        self.file.write(b"070701" + b"".join(b"%08X" % n for n in fields) + raw)
        self._pad()
        self.file.write(data)
        self._pad()

    def folder(self, name, mode=0o755):
        if name and name not in self.folders:
            self.folder(os.path.dirname(name))
            self.folders.add(name)
            self._entry(name, stat.S_IFDIR | mode)

    def put(self, name, data, mode=0o644):
        name = name.lstrip("/")
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data if isinstance(data, bytes) else data.encode())

    def copy(self, name, path, mode=0o644):
        with open(path, "rb") as f:
            self.put(name, f.read(), mode)

    def character_device(self, name, major, minor):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def close(self):
        self._entry("TRAILER!!!", 0)
        self.file.close()


def libtool_program(path):
    """What a libtool wrapper script stands for, and where its libraries are."""
    folder, name = os.path.split(path)
    real = os.path.join(folder, ".libs", name)
    return real if os.path.exists(real) else path


def build_initramfs(path, kernel, *, init, modules, programs, tools, files, scripts):
    """programs: paths, found in the guest's /fdial/bin; tools: names of commands of this machine, in
    /fdial/tools; files: paths, kept, left out where this machine lacks them; scripts: paths, found in
    /fdial/guest and run in the order of their names."""
    need_commands("busybox", "ldd", *tools)
    busybox = shutil.which("busybox")
    if subprocess.run(["ldd", busybox], capture_output=True, check=False).returncode == 0:
        raise Unavailable(f"{busybox} is not static (package busybox-static)")
    image = Initramfs(path)
    for folder in ("proc", "sys", "dev", "tmp", "run", "root", "usr/sbin", "etc"):
        image.folder(folder)
    image.character_device("dev/console", 5, 1)
    image.copy("bin/busybox", busybox, 0o755)
    image.copy("init", init, 0o755)
    order = []
    for name, data in kernel.modules_in_order(modules).items():
        image.put(f"modules/{name}.ko", data)
        order.append(name)
    image.put("modules/order", "\n".join(order) + "\n")

    needed = {}
    for program in programs:
        real = libtool_program(program)
        image.copy("fdial/bin/" + os.path.basename(program), real, 0o755)
        needed |= libraries(real, os.path.join(os.path.dirname(program), ".libs"))
    for tool in tools:
        image.copy("fdial/tools/" + tool, shutil.which(tool), 0o755)
        needed |= libraries(shutil.which(tool), "")
    home = os.path.dirname(needed["libc.so.6"]) if "libc.so.6" in needed else "/lib"
    for name, source in needed.items():
        image.copy(name if name.startswith("/") else os.path.join(home, name), source, 0o755)
    for file in filter(os.path.exists, files):
        image.copy(file, file)
    for script in scripts:
        image.copy("fdial/guest/" + os.path.basename(script), script)
    image.close()


# ---- running ----

def run(directory, kernel, initramfs, limit_s):
    """Runs the machine to its end, or to its limit. Returns (finished, TAP, console)."""
    need_commands("qemu-system-x86_64")
    console, tap = (os.path.join(directory, n) for n in ("console", "tap"))
    machine = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", str(MEMORY_MIB), "-display", "none",
         "-monitor", "none", "-nodefaults", "-no-reboot", "-kernel", kernel.image,
         "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1",
         "-serial", f"file:{console}", "-serial", f"file:{tap}"],
        stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)
    try:
        is_finished = machine.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        is_finished = False
    finally:
        if machine.poll() is None:
            machine.kill()
            machine.wait()

    def read(path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read().replace("\r", "")

    return is_finished, read(tap), read(console)
