//! This version beside an earlier one: both are built, and a cluster of the one becomes one of the other under load.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::step::{Outcome, cargo, empty, git, run, tell};
use crate::{clients, target};

/// Builds the gateway of `revision`, or of the newest release before this commit, and has it replaced node by node.
///
/// # Errors
/// When there is no such revision, when it can't be built, or when something was lost.
pub(crate) fn judge(revision: Option<&String>) -> Outcome {
    let revision = revision.map_or_else(newest_release, |revision| Ok(revision.clone()))?;
    let place = target().join("previous");
    let source = place.join("source");
    // Beside it, what is built of it stays from one run to the next.
    empty(&source)?;
    unpack(&revision, &source)?;
    let mut build = cargo();
    build.current_dir(&source).args([
        "build",
        "--locked",
        "-p",
        "gateway",
        "--bin",
        "chorus",
        "--target-dir",
    ]);
    run(&format!("build the gateway of {revision}"), build.arg(&place))?;
    let mut test = cargo();
    test.args(["test", "--workspace", "--test", "cluster", "--", "upgrade::"]);
    test.env("CHORUS_PREVIOUS", place.join("debug/chorus")).env(clients::TOOLS_VARIABLE, clients::tools());
    run(&format!("{revision} becomes this version, and back"), &mut test)
}

fn newest_release() -> Result<String, String> {
    tell(&mut git(&["describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"])).map_err(|_| {
        "there is no tag v… before this commit (is the clone a shallow one?): name a commit, as in cargo xtask compat HEAD~20"
            .to_owned()
    })
}

/// Puts the files of a commit into a directory.
fn unpack(revision: &str, place: &Path) -> Outcome {
    let failed = |what: &str| format!("{revision} can't be unpacked: {what}");
    let mut archive = git(&["archive", "--format=tar", revision])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    let files = archive.stdout.take().ok_or_else(|| failed("git gives nothing"))?;
    let unpacked = Command::new("tar")
        .arg("-x")
        .current_dir(place)
        .stdin(files)
        .status()
        .map_err(|error| failed(&error.to_string()))?;
    let archived = archive.wait().map_err(|error| failed(&error.to_string()))?;
    if archived.success() && unpacked.success() {
        Ok(())
    } else {
        Err(failed("is it a commit of this repository?"))
    }
}
