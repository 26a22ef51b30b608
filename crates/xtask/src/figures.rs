//! The figures that a release is judged by.

use std::fs;
use std::path::Path;

use crate::step::{Outcome, cargo, run};
use crate::{root, target};

/// Builds the release and prints its size, start time, memory with idle connections, what 10,000 resumes at once cost Redis,
/// and the lines of each crate.
pub(crate) fn print() -> Outcome {
    run("build the release", cargo().args(["build", "--release", "-p", "gateway", "--bin", "chorus"]))?;
    let binary = target().join("release/chorus");
    let size = fs::metadata(&binary).map_err(|error| format!("{}: {error}", binary.display()))?.len();
    println!("release binary: {:.2} MB", size as f64 / 1e6);
    run("measure", cargo().args(["run", "--quiet", "-p", "testkit", "--bin", "figures", "--"]).arg(&binary))?;
    lines()
}

fn lines() -> Outcome {
    let crates = root().join("crates");
    let mut names: Vec<String> = entries(&crates)?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    println!("{:<10} {:>8} {:>8}", "lines", "src", "tests");
    for name in names {
        let home = crates.join(&name);
        println!("{name:<10} {:>8} {:>8}", rust_lines(&home.join("src"))?, rust_lines(&home.join("tests"))?);
    }
    Ok(())
}

fn rust_lines(directory: &Path) -> Result<usize, String> {
    if !directory.exists() {
        return Ok(0);
    }
    let mut sum = 0;
    for (name, is_directory) in entries(directory)? {
        let path = directory.join(&name);
        if is_directory && name != "node_modules" {
            sum += rust_lines(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sum += fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?
                .lines()
                .count();
        }
    }
    Ok(sum)
}

fn entries(directory: &Path) -> Result<Vec<(String, bool)>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()));
    }
    Ok(found)
}
