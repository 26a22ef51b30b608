"""The unit: systemd understands it, finds it hard to abuse, and does not kill a gateway in the middle of its drain."""

import configparser
import tempfile
import unittest
from pathlib import Path

from tools import CHORUS, PROJECT, configuration, run

UNIT = PROJECT / "deploy/systemd/chorus.service"
ENVIRONMENT = PROJECT / "deploy/systemd/chorus.env"

# Of 100, fewer is better. What is left is what a server needs: the network, and whom it may talk to.
EXPOSURE = 12


class Unit(unittest.TestCase):
    def settings(self):
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str
        unit.read(UNIT)
        return unit["Service"]

    def environment(self):
        """The unit's own variables, and over them those of the file that comes with it."""
        lines = [line.removeprefix("Environment=") for line in UNIT.read_text().splitlines()
                 if line.startswith("Environment=")]
        lines += [line for line in ENVIRONMENT.read_text().splitlines() if line and not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines)

    def configuration(self):
        """What the gateway makes of them, with a key of one's own."""
        return configuration(self.environment() | {"CHORUS_JWT_SECRET": "x" * 32})

    def test_no_gateway_starts_with_the_key_that_the_file_comes_with(self):
        with self.assertRaisesRegex(AssertionError, "expected at least 32 random bytes"):
            configuration(self.environment())

    def test_systemd_understands_it(self):
        with tempfile.TemporaryDirectory() as directory:
            # It looks for the program, too.
            copy = Path(directory, UNIT.name)
            copy.write_text(UNIT.read_text().replace("/usr/local/bin/chorus", str(CHORUS)))
            done = run("systemd-analyze", "verify", "--man=no", copy)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_it_is_hard_to_abuse(self):
        done = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", UNIT)
        self.assertEqual(done.returncode, 0, done.stdout[-200:] + done.stderr)

    def test_the_bound_can_refuse(self):
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=1", "--no-pager", UNIT)
        self.assertNotEqual(done.returncode, 0)

    def test_it_is_killed_only_after_its_drain(self):
        stop = int(self.settings()["TimeoutStopSec"])
        drain = int(self.environment()["CHORUS_DRAIN_SECONDS"])
        self.assertGreaterEqual(stop, drain + 5)

    def test_there_is_a_descriptor_for_every_connection(self):
        limits = self.configuration()["limits"]
        self.assertGreater(int(self.settings()["LimitNOFILE"]), limits["connections"] * 1.1)

    def test_the_gateway_takes_the_environment(self):
        read = self.configuration()
        self.assertEqual(read["drain_seconds"], 30)
        self.assertEqual(read["redis_url"], "redis://redis.internal:6379")


if __name__ == "__main__":
    unittest.main()
