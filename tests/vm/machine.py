"""A virtual machine for what the build machine's kernel may lack: Debian's kernel with kernel TLS.

No root, no disk image: an initramfs is put together from a static busybox, the modules, the programs
under test with their libraries, and the guest scripts. The machine runs emulated (TCG), so it is slow
and needs nothing; its processor has all that can be emulated, AES instructions too.

The guest's /init runs the scripts one after the other and writes their TAP to the second serial port;
the first one is the console. See init.sh.
"""
import os
import shutil
import stat
import subprocess

from guests import Unavailable, end_with_parent, libraries, need_commands

MEMORY_MIB = 512


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
    /fdial/tools; files: {name in the guest: path here}; scripts: paths, found in /fdial/guest and run in
    the order of their names."""
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
    library_path = ":".join({os.path.join(os.path.dirname(p), ".libs") for p in programs})
    for program in programs:
        real = libtool_program(program)
        image.copy("fdial/bin/" + os.path.basename(program), real, 0o755)
        needed |= libraries(real, library_path)
    for tool in tools:
        image.copy("fdial/tools/" + tool, shutil.which(tool), 0o755)
        needed |= libraries(shutil.which(tool), "")
    home = os.path.dirname(needed["libc.so.6"]) if "libc.so.6" in needed else "/lib"
    for name, source in needed.items():
        image.copy(name if name.startswith("/") else os.path.join(home, name), source, 0o755)
    for name, source in files.items():
        image.copy(name, source)
    for script in scripts:
        image.copy("fdial/guest/" + os.path.basename(script), script)
    image.close()


# ---- running ----

class Machine:
    """Runs from its making on. Its console and the TAP of its scripts are files below `directory`.
    options: more of QEMU's, which take precedence."""

    def __init__(self, directory, kernel, initramfs, options=()):
        need_commands("qemu-system-x86_64")
        self.console_path, self.tap_path = (os.path.join(directory, n) for n in ("console", "tap"))
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB),
             "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot",
             "-kernel", kernel.image, "-initrd", initramfs,
             "-append", "console=ttyS0 quiet panic=-1",
             "-serial", f"file:{self.console_path}", "-serial", f"file:{self.tap_path}",
             *options],
            stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def wait(self, limit_s):
        """Waits for its end, or ends it. Returns whether it came to its end by itself."""
        try:
            return self.process.wait(limit_s) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tap(self):
        return read_serial(self.tap_path)

    def console(self):
        return read_serial(self.console_path)


def read_serial(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read().replace("\r", "")
