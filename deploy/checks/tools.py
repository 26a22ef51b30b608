"""Where the programs of the checks are, and running them."""

import os
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
TARGET = PROJECT / "target"
TOOLS = Path(os.environ.get("CHORUS_TOOLS", TARGET / "tools"))
CHORUS = Path(os.environ.get("CHORUS_TARGET", TARGET / "debug")) / "chorus"
HELM = TOOLS / "bin" / "helm"


def run(*command, environment=None, timeout=60):
    """Runs a command to its end; with `environment` in nothing but that."""
    return subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def configuration(environment):
    """What `chorus config` makes of an environment: a dictionary, or an error with what it says."""
    import tomllib

    done = run(CHORUS, "config", environment=environment)
    if done.returncode != 0:
        raise AssertionError(f"chorus config: {done.stderr}")
    return tomllib.loads(done.stdout)
