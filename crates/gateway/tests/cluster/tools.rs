//! Where programs that we did not write are: what `cargo xtask install` has put in place.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use testkit::{find_program, within};
use tokio::process::Command;

const MISSING: &str = "is not installed: run \"cargo xtask install\"";

/// The directory of the client scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The root of the project.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Node, with the packages of the scripts.
pub(crate) fn node() -> Command {
    let Some(node) = find_program("node") else { panic!("node {MISSING}") };
    assert!(
        scripts().join("node_modules/playwright-core").is_dir(),
        "the npm package {} {MISSING}",
        scripts().display()
    );
    command(&node)
}

/// A file of an npm package.
pub(crate) fn npm_file(path: &str) -> PathBuf {
    let file = scripts().join("node_modules").join(path);
    assert!(file.is_file(), "the npm package of {path} {MISSING}");
    file
}

/// A program of the Python environment.
pub(crate) fn python_tool(name: &str) -> Command {
    let program = directory().join("py/bin").join(name);
    assert!(program.is_file(), "{name} {MISSING} ({})", program.display());
    command(&program)
}

/// A script for the shell, such as an example of a page.
pub(crate) fn shell(script: &str) -> Command {
    let mut shell = command(Path::new("sh"));
    shell.args(["-c", script]);
    shell
}

/// A place for what is kept of a test: screenshots.
pub(crate) fn artifacts(name: &str) -> PathBuf {
    let directory = directory().with_file_name("artifacts").join(name);
    std::fs::create_dir_all(&directory).expect("a directory for artifacts");
    directory
}

/// Runs it to its end.
pub(crate) async fn output(deadline: Duration, what: &str, command: &mut Command) -> Output {
    within(deadline, what, command.output()).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

fn directory() -> PathBuf {
    std::env::var_os("CHORUS_TOOLS").map_or_else(|| project().join("target/tools"), PathBuf::from)
}
