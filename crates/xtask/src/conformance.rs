//! How the gateway keeps to RFC 6455: Autobahn's fuzzing client against `/echo`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::clients::tools;
use crate::step::{Outcome, cargo, run, succeeds};
use crate::{root, target};

/// The newest release; its client still is Python 2.
const SUITE: &str = "autobahntestsuite==0.8.2";

const NO_PYTHON: &str = "Autobahn's client needs Python 2.7, which Debian no longer has: \
     `pyenv install 2.7.18`, or name one in PYTHON2";

/// Runs every case but compression, which is not offered; an error says that a case failed.
pub(crate) fn judge() -> Outcome {
    let python = python2().ok_or(NO_PYTHON)?;
    let suite = tools().join("autobahn");
    install(&python, &suite)?;
    run("build the gateway", cargo().args(["build", "-p", "gateway", "--bin", "chorus"]))?;
    let mut conformance = cargo();
    conformance.args(["run", "--quiet", "-p", "testkit", "--bin", "conformance", "--"]);
    conformance.arg(target().join("debug/chorus")).arg(python).arg(suite);
    run("conformance", conformance.arg(root().join("artifacts/conformance")))
}

fn install(python: &PathBuf, suite: &PathBuf) -> Outcome {
    let stamp = suite.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == SUITE) {
        return Ok(());
    }
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
    run("pip install", pip.arg(suite).arg(SUITE))?;
    // A package of several distributions, which Python 2 finds only where it has this file.
    let marks = [(suite.join("zope/__init__.py"), ""), (stamp, SUITE)];
    marks.iter().try_for_each(|(path, text)| {
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    })
}

/// A Python 2.7 that runs: pyenv puts programs in `PATH` that only say that there are none.
fn python2() -> Option<PathBuf> {
    let named = std::env::var_os("PYTHON2").map(PathBuf::from);
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let installed = pyenv.and_then(|root| fs::read_dir(root.join("versions")).ok()).into_iter().flatten();
    let installed = installed.flatten().map(|version| version.path().join("bin/python2.7"));
    let candidates = named.into_iter().chain([PathBuf::from("python2.7")]).chain(installed);
    candidates.into_iter().find(|python| succeeds(&python.to_string_lossy(), &["-c", "import pip"]))
}
