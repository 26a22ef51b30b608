//! One command at a time, with its duration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::root;

/// What a command of the developer's comes to; the error is for the developer to read.
pub(crate) type Outcome = Result<(), String>;

/// The cargo that runs us, in the workspace's directory.
pub(crate) fn cargo() -> Command {
    cargo_by(&PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())))
}

/// What itself runs cargo, in the workspace's directory.
pub(crate) fn cargo_by(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    // The cargo that runs us says which package we are. ring is built again, and all that stands on it, whenever that is
    // another than before, as after a build without us.
    let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end and prints how long it took.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn run(name: &str, command: &mut Command) -> Outcome {
    println!("xtask: {name} …");
    let began = Instant::now();
    let status = command.status().map_err(|error| format!("{name}: cannot run {command:?}: {error}"))?;
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{name}: failed after {seconds:.1} s ({status})"));
    }
    println!("xtask: {name}: {seconds:.1} s");
    Ok(())
}

/// Whether a command succeeds; its output is not shown.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What a command says on its standard output, without the white space around it.
///
/// # Errors
/// When it cannot be started or does not succeed, with what it says on its standard error.
pub(crate) fn tell(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} failed ({}): {}", output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A file's text.
///
/// # Errors
/// With the path, when it cannot be read or is not UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file's text, over what it had.
///
/// # Errors
/// With the path, when it cannot be written.
pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// An empty directory, whatever was there.
pub(crate) fn empty(directory: &Path) -> Outcome {
    let failed = |error| format!("{}: {error}", directory.display());
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(failed)?;
    }
    fs::create_dir_all(directory).map_err(failed)
}

/// Git, in the workspace's directory.
pub(crate) fn git(arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(root());
    git
}
