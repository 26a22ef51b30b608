//! What lies in `deploy/` for Kubernetes and systemd, tried with the real helm, Kubernetes' own schemas, and systemd.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::step::{Outcome, cargo, run};
use crate::{clients, root, target};

/// Built from source, which the module proxy has; that takes minutes, so it is done once.
const HELM: &str = "v3.22.0";

/// Installs helm, and the schema of the Prometheus operator's resources, unless they are there.
///
/// # Errors
/// When the module proxy cannot be reached, or Go fails.
pub(crate) fn install() -> Outcome {
    let bin = clients::tools().join("bin");
    let stamp = bin.join("helm.txt");
    let file = root().join("deploy/checks/prometheus-operator.txt");
    let operator = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let wanted = format!("helm {HELM}\nprometheus-operator {operator}");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && helm().is_file() {
        return Ok(());
    }
    // Not for its code: its resources' schemas are nowhere else.
    let module = format!("github.com/prometheus-operator/prometheus-operator@{}", operator.trim());
    run("go: the schema of ServiceMonitors", go().args(["mod", "download", &module]))?;
    // The compiler's work is shared out anyway; without symbols the linker's is less.
    let source = format!("helm.sh/helm/v3/cmd/helm@{HELM}");
    run("go: helm", go().args(["install", "-ldflags=-s -w", &source]).env("GOBIN", &bin))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Where it goes.
pub(crate) fn helm() -> PathBuf {
    clients::tools().join("bin/helm")
}

/// The checks alone, with what they need.
///
/// # Errors
/// When something can't be installed or built, or a check fails.
pub(crate) fn judge() -> Outcome {
    crate::install()?;
    // As the tests build it: apart from them its dependencies would have other features, and all be compiled again.
    run("build the gateway", cargo().args(["test", "--workspace", "--no-run", "--test", "cluster"]))?;
    test()
}

/// The checks; the gateway has been built.
///
/// # Errors
/// When one of them fails.
pub(crate) fn test() -> Outcome {
    let mut python = Command::new(clients::tools().join("py/bin/python"));
    python.current_dir(root().join("deploy/checks")).args(["-B", "-m", "unittest"]);
    python.env(clients::TOOLS_VARIABLE, clients::tools()).env("CHORUS_TARGET", target().join("debug"));
    run("deploy: chart and unit", &mut python)
}

fn go() -> Command {
    let mut go = Command::new("go");
    // Outside of any module, so that nothing here is taken for one.
    go.current_dir(std::env::temp_dir());
    go
}
