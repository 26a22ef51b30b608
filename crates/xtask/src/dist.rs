//! A release: everything that is given to whoever runs Chorus, built, summed up and tried.
//!
//! Archives and bill of materials say nothing of when, where and by whom they were made: what is in them is sorted, belongs to
//! nobody, and bears the commit's date, so that the same content gives the same bytes. An image bears the time of its building.

mod changelog;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, cargo, cargo_by, empty, git, read, run, succeeds, tell, write};
use crate::{clients, deploy, root, target};

/// The version of the whole workspace, and so of this crate.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes into the program which crates it is made of; the image's program is built by it, too (`deploy/Dockerfile`).
const AUDITABLE: &str = "cargo-auditable@0.7.7";

/// Writes the bill of materials.
const CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";

/// A static program needs nothing of the machine that it comes to; the image's is one, too.
const STATIC: &str = "-C target-feature=+crt-static";

/// What stands in the place of this project's path.
const ELSEWHERE: &str = "/chorus";

/// What a machine with systemd needs, by its place in the project; each lies in the archive by its name alone.
const BESIDE_THE_PROGRAM: [&str; 5] =
    ["LICENSE", "README.md", "CHANGELOG.md", "deploy/systemd/chorus.service", "deploy/systemd/chorus.env"];

/// What `cargo xtask dist` was asked for.
struct Asked {
    image: bool,
    tag: Option<String>,
}

/// Where things go, and what they bear.
struct Release {
    /// What is given away.
    out: PathBuf,
    /// What it is put together in.
    work: PathBuf,
    /// The compiler's name of the machine that this runs on, and that it is built for.
    host: String,
    /// The time of everything in it, in seconds since 1970.
    epoch: String,
}

/// Makes a release in `target/dist` and tries it.
///
/// # Errors
/// When versions do not agree, when something cannot be built, and when what was built does not do what it should.
pub(crate) fn make(arguments: &[String]) -> Outcome {
    let asked = parse(arguments)?;
    versions::agree(VERSION)?;
    let changes = changelog::section(&read(&root().join("CHANGELOG.md"))?, VERSION)?;
    if let Some(tag) = &asked.tag {
        versions::fits(tag, VERSION, &changes)?;
    }
    let release = Release::begin()?;
    release.program()?;
    release.chart()?;
    release.client()?;
    release.bill_of_materials()?;
    let left_out = if asked.image { release.image()? } else { Some("--no-image was given".to_owned()) };
    write(&release.out.join("CHANGES.md"), &changes.text)?;
    release.sums()?;
    release.verify()?;
    println!("xtask: {} has", release.out.display());
    for (name, bytes) in entries(&release.out)? {
        println!("{:>9.2} MB  {name}", bytes as f64 / 1e6);
    }
    if let Some(why) = left_out {
        println!("xtask: THE IMAGE WAS LEFT OUT: {why}");
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { image: true, tag: None };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--no-image" => asked.image = false,
            "--tag" => asked.tag = Some(rest.next().ok_or("--tag needs a value, such as v1.2.3")?.clone()),
            _ => return Err(format!("no such option of dist: {argument}")),
        }
    }
    Ok(asked)
}

impl Release {
    fn begin() -> Result<Self, String> {
        let about = tell(Command::new("rustc").arg("-vV").current_dir(root()))?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        if !host.ends_with("-linux-gnu") {
            return Err(format!("a release is built on Linux with the GNU C library, and this is {host:?}"));
        }
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => tell(&mut git(&["log", "-1", "--format=%ct"]))?,
        };
        let release = Self { out: target().join("dist"), work: target().join("dist-work"), host, epoch };
        for directory in [&release.out, &release.work] {
            empty(directory)?;
        }
        Ok(release)
    }

    /// The static program, with what a machine with systemd needs.
    fn program(&self) -> Outcome {
        let mut build = cargo_tool(AUDITABLE)?;
        build.args([
            "build",
            "--release",
            "--locked",
            "--target",
            &self.host,
            "-p",
            "gateway",
            "--bin",
            "chorus",
        ]);
        run("build the static program", build.env("CARGO_ENCODED_RUSTFLAGS", flags()))?;
        let name = format!("chorus-{VERSION}-{}", self.host);
        let directory = self.work.join("program").join(&name);
        empty(&directory)?;
        copy(&target().join(&self.host).join("release/chorus"), &directory)?;
        for file in BESIDE_THE_PROGRAM {
            copy(&root().join(file), &directory)?;
        }
        self.pack(&directory, &format!("{name}.tar.gz"))
    }

    /// The Helm chart. helm notes the time in what it packs, so it is packed again.
    fn chart(&self) -> Outcome {
        deploy::install()?;
        let work = self.work.join("chart");
        empty(&work)?;
        let mut helm = Command::new(deploy::helm());
        helm.args(["package", "--destination"]).arg(&work).arg(root().join("deploy/helm/chorus"));
        run("pack the chart", &mut helm)?;
        let packed = work.join(format!("chorus-{VERSION}.tgz"));
        run("unpack the chart", Command::new("tar").arg("-xzf").arg(&packed).arg("-C").arg(&work))?;
        self.pack(&work.join("chorus"), &format!("chorus-chart-{VERSION}.tgz"))
    }

    /// The client library, as the npm registry takes it; npm gives all files the same old date.
    fn client(&self) -> Outcome {
        clients::workspace()?;
        let mut npm = clients::npm();
        npm.args(["pack", "--workspace", "js", "--pack-destination"]).arg(&self.out);
        run("pack the client library", &mut npm)
    }

    /// What the program is made of, in `CycloneDX`: every crate that is linked into it, with version, licence and checksum.
    fn bill_of_materials(&self) -> Outcome {
        let mut cyclonedx = cargo_tool(CYCLONEDX)?;
        cyclonedx.env("SOURCE_DATE_EPOCH", &self.epoch);
        cyclonedx.args(["--manifest-path", "crates/gateway/Cargo.toml", "--format", "json"]);
        cyclonedx.args(["--spec-version", "1.5", "--no-build-deps", "--target", &self.host]);
        let ran = run(
            "list what the program is made of",
            cyclonedx.args(["--override-filename", "bill-of-materials"]),
        );
        // It writes one beside every manifest of the workspace.
        let file = format!("chorus-{VERSION}-{}.cdx.json", self.host);
        let ours = root().join("crates/gateway/bill-of-materials.json");
        // It names our own crates by where they lie.
        let here = root().display().to_string();
        let kept = ran.and_then(|()| write(&self.out.join(file), &read(&ours)?.replace(&here, ELSEWHERE)));
        let members = tell(&mut git(&["ls-files", "*Cargo.toml"]))?;
        for member in members.lines() {
            // Most have none: the root, and what is no member.
            let _ = fs::remove_file(root().join(member).with_file_name("bill-of-materials.json"));
        }
        kept
    }

    /// The image, as `docker load` takes it; or why there is none.
    fn image(&self) -> Result<Option<String>, String> {
        let Some(engine) = ["docker", "podman"].into_iter().find(|engine| succeeds(engine, &["info"])) else {
            return Ok(Some("neither docker nor podman reaches an engine here".to_owned()));
        };
        let tag = format!("chorus:{VERSION}");
        let file = self.out.join(format!("chorus-{VERSION}-image.tar"));
        let mut build = Command::new(engine);
        let revision = tell(&mut git(&["rev-parse", "HEAD"]))?;
        build.current_dir(root()).args(["build", "-f", "deploy/Dockerfile", "-t", &tag]);
        build.args([
            "--build-arg",
            &format!("VERSION={VERSION}"),
            "--build-arg",
            &format!("REVISION={revision}"),
        ]);
        build.arg(".");
        run("build the image", &mut build)?;
        run(
            "the image's version",
            Command::new(engine).args(["run", "--rm", "--network=none", &tag, "version"]),
        )?;
        run("save the image", Command::new(engine).args(["save", "--output"]).arg(&file).arg(&tag))?;
        run("compress the image", Command::new("gzip").arg("-n9").arg(&file))?;
        Ok(None)
    }

    fn sums(&self) -> Outcome {
        let names = entries(&self.out)?.into_iter().map(|(name, _)| name);
        let sums = tell(Command::new("sha256sum").current_dir(&self.out).arg("--").args(names))?;
        write(&self.out.join("SHA256SUMS"), &format!("{sums}\n"))
    }

    /// Unpacks what was made, and uses it.
    fn verify(&self) -> Outcome {
        let mut python = Command::new("python3");
        python.arg("-B").arg(root().join("deploy/checks/release.py"));
        python.arg(&self.out).args([VERSION, &self.host]).arg(deploy::helm());
        run("try what was made", &mut python)
    }

    /// Packs a directory, always into the same bytes.
    fn pack(&self, directory: &Path, name: &str) -> Outcome {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.args(["--mode=u+rwX,go+rX,go-w", "--use-compress-program=gzip -n9"]);
        tar.arg(format!("--mtime=@{}", self.epoch)).arg("--file").arg(self.out.join(name));
        tar.arg("--directory").arg(directory.parent().unwrap_or(directory));
        run(&format!("pack {name}"), tar.arg(directory.file_name().unwrap_or_default()))
    }
}

/// A subcommand of cargo's, in the workspace's directory; installed, unless it is there in this version.
fn cargo_tool(package: &str) -> Result<Command, String> {
    let tools = clients::tools();
    run(package, cargo().args(["install", "--quiet", "--locked", package, "--root"]).arg(&tools))?;
    let name = package.split('@').next().unwrap_or(package);
    let mut command = cargo_by(&tools.join("bin").join(name));
    command.arg(name.trim_start_matches("cargo-"));
    Ok(command)
}

/// What the compiler is told, as cargo takes it from its environment: link the C library, too, and put no path of this
/// machine into the program.
fn flags() -> String {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let mut flags: Vec<String> = STATIC.split(' ').map(str::to_owned).collect();
    for (from, to) in [(home, "/cargo"), (root(), ELSEWHERE)] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    flags.join("\u{1f}")
}

fn copy(file: &Path, directory: &Path) -> Outcome {
    let to = directory.join(file.file_name().unwrap_or_default());
    fs::copy(file, &to)
        .map(|_| ())
        .map_err(|error| format!("{} to {}: {error}", file.display(), to.display()))
}

/// The files of a directory by name, each with its size in bytes.
fn entries(directory: &Path) -> Result<Vec<(String, u64)>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.metadata().map_err(failed)?.len(),
        ));
    }
    found.sort();
    Ok(found)
}
