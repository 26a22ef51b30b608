"""Tries a release as whoever downloads it would: sums, the program on its own, the chart, the client library.

    python3 release.py DIRECTORY VERSION HOST HELM

`cargo xtask dist` runs it; nothing but Python, Node, npm and binutils is needed, and what is tried comes from DIRECTORY alone.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# Seconds for what takes a fraction of one.
PATIENCE = 30

# The oldest that the chart is for: a helm that was built from source takes itself for older.
KUBERNETES = "1.30.0"

# What uses the library as it was packed, against the program as it was packed.
SCRIPT = """
import { connect } from "chorus-client";

const url = process.argv[2];
const getToken = async () => (await (await fetch(url + "/dev/token?user=ops")).json()).token;
const chat = connect(url, { getToken });
const room = chat.join("lobby");
room.on("message", ({ data }) => {
  console.log(data);
  chat.close();
});
await room.send("hello");
"""


def main(directory, version, host, helm):
    directory = Path(directory).resolve()
    with tempfile.TemporaryDirectory(prefix="chorus-release-") as work:
        work = Path(work)
        sums(directory)
        program = unpacked(directory, version, host, work)
        alone(program)
        materials(directory / f"chorus-{version}-{host}.cdx.json", version)
        chart(directory / f"chorus-chart-{version}.tgz", version, helm)
        library(directory / f"chorus-client-{version}.tgz", version, work, program)


def sums(directory):
    said = output("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=directory)
    names = {line.split(": ")[0] for line in said.splitlines()}
    expect(names, {path.name for path in directory.iterdir()} - {"SHA256SUMS"}, "the files that have a sum")


def unpacked(directory, version, host, work):
    """The program, from an archive that puts nothing beside its one directory."""
    name = f"chorus-{version}-{host}"
    with tarfile.open(directory / f"{name}.tar.gz") as archive:
        members = archive.getmembers()
        archive.extractall(work, filter="data")
    files = {member.name for member in members if member.isfile()}
    wanted = ["chorus", "LICENSE", "README.md", "CHANGELOG.md", "chorus.service", "chorus.env"]
    expect(files, {f"{name}/{file}" for file in wanted}, "the files of the archive")
    expect({(member.uid, member.gid) for member in members}, {(0, 0)}, "who owns them")
    program = work / name / "chorus"
    expect(output(program, "version", cwd="/"), f"chorus {version}\n", "its version")
    return program


def alone(program):
    """It asks the system for no loader and no library."""
    headers = output("readelf", "--wide", "--program-headers", "--dynamic", program)
    for word in ["INTERP", "(NEEDED)"]:
        if word in headers:
            raise SystemExit(f"release: {program.name} is not static: readelf shows {word}")
    anonymous(program)


def materials(file, version):
    """The bill of materials is of this program, and tells of each part what it is and under which licence."""
    anonymous(file)
    bill = json.loads(file.read_text())
    expect(bill["bomFormat"], "CycloneDX", "the form of the bill of materials")
    expect(bill["metadata"]["component"]["version"], version, "what the bill of materials is of")
    parts = {part["name"]: part for part in bill["components"]}
    for name in ["tokio", "hyper", "fred", "ring"]:
        if name not in parts:
            raise SystemExit(f"release: {file.name} does not have {name}")
    bare = [name for name, part in parts.items() if not part.get("licenses") and part.get("hashes")]
    expect(bare, [], "the parts without a licence")
    if "proptest" in parts:
        raise SystemExit(f"release: {file.name} has what only tests need")


def anonymous(file):
    """It names no directory of those who made it."""
    for place in [Path.home() / ".cargo", Path(__file__).resolve().parents[2]]:
        if bytes(place) in file.read_bytes():
            raise SystemExit(f"release: {file.name} names {place}, where it was made")


def chart(file, version, helm):
    values = Path(__file__).resolve().parents[1] / "helm/chorus/ci/least-values.yaml"
    rendered = output(helm, "template", "chorus", file, "--values", values, "--kube-version", KUBERNETES)
    if f"helm.sh/chart: chorus-{version}" not in rendered or f":{version}" not in rendered:
        raise SystemExit(f"release: {file.name} renders no chart and image of {version}")


def library(file, version, work, program):
    """The library is installed without a network, and talks to the program, which then drains and ends."""
    project = work / "project"
    project.mkdir()
    (project / "package.json").write_text('{"private": true, "type": "module"}')
    output("npm", "install", "--offline", "--no-audit", "--no-fund", "--omit=peer", file, cwd=project)
    (project / "talk.js").write_text(SCRIPT)
    address = f"127.0.0.1:{free_port()}"
    # A bare environment and no directory of ours: what it needs, it has.
    environment = {"CHORUS_LISTEN": address, "CHORUS_DRAIN_SECONDS": "1"}
    gateway = subprocess.Popen([program], env=environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        healthy(f"http://{address}/healthz", gateway)
        output(program, "health", env=environment, cwd="/")
        expect(output("node", "talk.js", f"http://{address}", cwd=project).strip(), "hello", "what was said")
        gateway.send_signal(signal.SIGTERM)
        log = gateway.communicate(timeout=PATIENCE)[1]
        expect(gateway.returncode, 0, f"how it ended; it said\n{log}")
    finally:
        if gateway.poll() is None:
            gateway.kill()
            gateway.wait()


def healthy(url, gateway):
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return expect(answer.status, 200, url)
        except urllib.error.URLError as error:
            if gateway.poll() is not None:
                raise SystemExit(f"release: the program ended:\n{gateway.stderr.read()}") from error
            if time.monotonic() > until:
                raise SystemExit(f"release: {url} did not answer within {PATIENCE} s: {error}") from error
            time.sleep(0.02)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def output(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=10 * PATIENCE, check=False, **options
    )
    if done.returncode != 0:
        raise SystemExit(f"release: {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"release: {what}: expected {wanted!r}, found {found!r}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
