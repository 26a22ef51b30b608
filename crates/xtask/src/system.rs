//! Programs that come as Debian packages.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, run, succeeds};

/// A package, and whether what it brings is there.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const PACKAGES: [Package; 13] = [
    Package { name: "redis-server", present: || find("redis-server").is_some() },
    // Debian keeps the name by which a Redis becomes a sentinel in a package of its own.
    Package { name: "redis-sentinel", present: || find("redis-sentinel").is_some() },
    Package { name: "redis-tools", present: || find("redis-cli").is_some() },
    Package { name: "nginx", present: || find("nginx").is_some() },
    Package { name: "chromium", present: || chromium().is_some() },
    // Debian splits the part that makes a virtual environment usable from Python itself.
    Package { name: "python3-venv", present: || succeeds("python3", &["-c", "import venv, ensurepip"]) },
    Package { name: "nodejs", present: || find("node").is_some() },
    Package { name: "npm", present: || find("npm").is_some() },
    Package { name: "golang-go", present: || find("go").is_some() },
    Package { name: "curl", present: || find("curl").is_some() },
    // For its judgement of the unit; nothing of it is started.
    Package { name: "systemd", present: || find("systemd-analyze").is_some() },
    // With promtool, which judges the rules.
    Package { name: "prometheus", present: || find("prometheus").is_some() && find("promtool").is_some() },
    Package { name: "valgrind", present: || find("valgrind").is_some() },
];

/// The oldest Node, major and minor, that what builds and tests the clients runs on (`clients/package.json`).
const NODE: (u32, u32) = (20, 19);

/// Installs the packages whose programs are missing.
///
/// # Errors
/// When something is missing and this is not root, with the command to run; and when Node is too old.
pub(crate) fn install() -> Outcome {
    packages()?;
    let node =
        Command::new("node").arg("--version").output().map_err(|error| format!("node --version: {error}"))?;
    recent(String::from_utf8_lossy(&node.stdout).trim())
}

/// Whether a Node that calls itself `version` is new enough.
fn recent(version: &str) -> Outcome {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(format!("node --version says {version:?}, which is no version"));
    };
    if (major, minor) >= NODE {
        return Ok(());
    }
    let (wanted, least) = NODE;
    Err(format!(
        "node is {version}, and the clients need {wanted}.{least} or newer, which Debian has only since 13. Install one from \
         https://nodejs.org/en/download or as https://github.com/nodesource/distributions says, so that it comes first in PATH"
    ))
}

fn packages() -> Outcome {
    let missing: Vec<&str> = PACKAGES.iter().filter(|p| !(p.present)()).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let by_hand = format!("apt-get install -y --no-install-recommends {packages}");
    if find("apt-get").is_none() {
        return Err(format!("missing, and there is no apt-get to install it with: {packages}"));
    }
    if !is_root() {
        return Err(format!("missing: {packages}. Run:\n  sudo {by_hand}"));
    }
    let _quiet = NoServices::begin();
    run("apt-get update", apt().args(["update", "-q"]))?;
    run(&by_hand, apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(&missing))?;
    match PACKAGES.iter().find(|package| !(package.present)()) {
        None => Ok(()),
        Some(package) => Err(format!("{} was installed, but its program is still not found", package.name)),
    }
}

/// Where a program is, also in the directories of daemons, which are not in everybody's `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// A Chromium under one of its names.
pub(crate) fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find)
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    // The directory of a process belongs to the user it runs as.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// While this lives, packages that are being installed do not start their services: the tests run their own Redis and
/// nginx, and a developer's machine should not find itself serving port 80.
struct NoServices {
    /// Unset where there is a policy already: it is the owner's.
    policy: Option<&'static Path>,
}

impl NoServices {
    fn begin() -> Self {
        let path = Path::new("/usr/sbin/policy-rc.d");
        let written = !path.exists()
            && fs::write(path, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(path, fs::Permissions::from_mode(0o755)).is_ok();
        Self { policy: written.then_some(path) }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = self.policy {
            // A failure leaves a policy that refuses services; it is said, since it would puzzle later.
            if let Err(error) = fs::remove_file(path) {
                eprintln!("xtask: {} could not be removed: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_refused_with_a_word_on_what_to_do() {
        for version in ["v20.19.0", "v20.20.2", "v22.0.0", "v100.1.1"] {
            assert_eq!(recent(version), Ok(()), "{version}");
        }
        for version in ["v18.19.0", "v20.18.9", "v9.99.0"] {
            let error = recent(version).unwrap_err();
            assert!(error.contains(version) && error.contains("nodejs.org"), "{error}");
        }
        for version in ["", "v", "node", "v20", "v20.x.1"] {
            assert!(recent(version).unwrap_err().contains("no version"), "{version}");
        }
    }
}
