"""The kernel's settings: each has its reason, and the kernel knows it."""

import unittest
from pathlib import Path

from tools import PROJECT

TUNE = PROJECT / "deploy/tune"


def settings():
    """Every setting of every file: (kind of machine, name, value, whether it may be missing)."""
    for file in sorted(TUNE.glob("90-chorus-*.conf")):
        machine = file.stem.removeprefix("90-chorus-")
        for line in file.read_text().splitlines():
            if line and not line.startswith("#"):
                name, value = (part.strip() for part in line.split("="))
                yield machine, name.removeprefix("-"), value, name.startswith("-")


class Tune(unittest.TestCase):
    def test_each_has_its_reason_and_number(self):
        rows = {}
        for line in (TUNE / "README.md").read_text().split("## What is not")[0].splitlines():
            if line.startswith("| `"):
                name, value, _, where, why = (cell.strip() for cell in line.strip("|").split("|"))
                rows[name.strip("`")] = (value, where.lower(), why)
        found = list(settings())
        self.assertEqual({name for _, name, _, _ in found}, set(rows))
        for machine, name, value, _ in found:
            with self.subTest(machine=machine, setting=name):
                documented, where, why = rows[name]
                self.assertIn(f"`{value}`", documented)
                self.assertIn(machine, where)
                self.assertTrue(why)

    def test_the_kernel_has_them(self):
        looked = 0
        for machine, name, _, may_be_missing in settings():
            path = Path("/proc/sys", name.replace(".", "/"))
            with self.subTest(machine=machine, setting=name):
                self.assertTrue(path.exists() or may_be_missing)
            looked += path.exists()
        self.assertGreater(looked, 5)


if __name__ == "__main__":
    unittest.main()
