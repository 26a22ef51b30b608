//! A child process that does not outlive its handle.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::until;

/// How much of its log a process shows when a test fails.
const SHOWN_LINES: usize = 60;

/// A running program whose output goes to files; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` and keeps its output in `dir`, in files called after `name`. A second start appends.
    pub fn spawn(name: &str, command: &mut Command, dir: &Path) -> Self {
        let stdout = dir.join(format!("{name}.out"));
        let stderr = dir.join(format!("{name}.log"));
        let append = |path: &Path| -> File {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .expect("the log file of a child can be opened")
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(append(&stdout))
            .stderr(append(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}: {command:?}"));
        Self { name: name.to_owned(), child, stdout, stderr }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; to a process that has already ended this does nothing.
    pub fn signal(&self, signal: Signal) {
        // An error means that it has gone already, which `exited` will tell.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Whether it has ended, and how.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("one's own child can be waited for")
    }

    /// Waits until it has ended.
    pub async fn exited(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} to exit", self.name);
        until(deadline, &what, async || self.status().ok_or_else(|| "still running".to_owned())).await
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.id())).expect("procfs tells of a child");
        let line =
            status.lines().find(|line| line.starts_with("VmRSS:")).expect("a living process has a VmRSS");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("VmRSS is in KiB");
        kib * 1024
    }

    /// The processor's time that it has used.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("procfs tells of a child");
        // Its name stands in parentheses and may hold anything; user's and system's time are numbers 14 and 15.
        let (_, after_name) = stat.rsplit_once(')').expect("a process has a name");
        let fields = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().expect("a number of ticks")).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Everything it has written to stdout.
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// Everything it has written to stderr.
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// The last lines of both outputs, for a message.
    pub fn last_lines(&self) -> String {
        let (out, err) = (self.stdout(), self.stderr());
        let lines: Vec<&str> = out.lines().chain(err.lines()).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the last lines of {}:\n{}\n---", self.name, self.last_lines());
        }
    }
}

/// Looks a program up in `PATH` and in the directories of system daemons, which are not in everybody's `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
