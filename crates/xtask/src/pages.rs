//! The pages that the gateway serves: built by Vite from `clients/pages`, and committed as they are built, so that a fresh clone
//! needs nothing but cargo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{Outcome, run};
use crate::{clients, root, target};

/// Builds what is committed.
///
/// # Errors
/// When the packages cannot be installed, or the build fails.
pub(crate) fn build() -> Outcome {
    clients::workspace()?;
    build_into(&committed())
}

/// Builds elsewhere, and compares.
///
/// # Errors
/// When the build fails, or when it comes to something else than what is committed.
pub(crate) fn compare() -> Outcome {
    let fresh = target().join("pages");
    build_into(&fresh)?;
    let (fresh, committed) = (files(&fresh)?, files(&committed())?);
    let names = fresh.keys().chain(committed.keys()).collect::<std::collections::BTreeSet<_>>();
    let other: Vec<_> = names
        .into_iter()
        .filter(|name| fresh.get(*name) != committed.get(*name))
        .map(String::as_str)
        .collect();
    if other.is_empty() {
        return Ok(());
    }
    Err(format!(
        "crates/gateway/pages is not what clients/pages builds: run \"cargo xtask pages\" and commit what it makes \
         (other than in a fresh build: {})",
        other.join(", ")
    ))
}

fn committed() -> PathBuf {
    root().join("crates/gateway/pages")
}

fn build_into(directory: &Path) -> Outcome {
    let mut npm = clients::npm();
    npm.args(["run", "build", "--workspace", "pages"]).env("CHORUS_PAGES_OUT", directory);
    run("build the pages", &mut npm)
}

/// What is in a directory and those below it, by the path from there.
fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        let failed = |error| format!("{}: {error}", next.display());
        for entry in fs::read_dir(&next).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            found.insert(name, fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
        }
    }
    Ok(found)
}
