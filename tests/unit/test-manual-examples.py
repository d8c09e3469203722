#!/usr/bin/env python3
"""The C examples of the library's manual pages compile, without a warning."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(os.environ.get("abs_top_srcdir") or pathlib.Path(__file__).resolve().parents[2])
COMPILER = shlex.split(os.environ.get("CC") or "cc")
PAGES = {"fdial.3": 3, "fdial-ktls.7": 3}  # how many each has

# An example without #include is a part of a function that has these.
BEFORE = """
#include <err.h>
#include <fcntl.h>
#include <fdial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void use(int fd);
void example(struct fdial *d, struct fdial_request **requests, uint64_t n,
             struct fdial_result *result, char **argv);
void example(struct fdial *d, struct fdial_request **requests, uint64_t n,
             struct fdial_result *result, char **argv)
{
    (void)d, (void)requests, (void)n, (void)result, (void)argv;
"""


def examples(page):
    text = (TOP / "client" / page).read_text()
    for block in re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", text, re.MULTILINE):
        yield block.replace("\\e", "\\").replace("\\-", "-").replace("\\&", "")


class Examples(unittest.TestCase):
    def compile(self, source):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "example.c")
            with open(path, "w", encoding="ascii") as file:
                file.write(source)
            return subprocess.run(
                [*COMPILER, "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-I", TOP / "client", "-c", path,
                 "-o", os.path.join(directory, "example.o")], text=True, capture_output=True,
                timeout=120, check=False)

    def test_they_compile(self):
        for page, n in PAGES.items():
            found = list(examples(page))
            self.assertEqual(len(found), n, page)
            for source in found:
                if "#include" not in source:
                    source = BEFORE + source + "}\n"
                run = self.compile(source)
                self.assertEqual(run.returncode, 0, f"{page}:\n{source}\n{run.stderr}")

    def test_a_bad_one_does_not(self):
        self.assertNotEqual(self.compile(BEFORE + "fdial_recv(1);\n}\n").returncode, 0)


if __name__ == "__main__":
    if not shutil.which(COMPILER[0]):
        print(f"there is no compiler {COMPILER[0]}")
        sys.exit(77)
    unittest.main()
