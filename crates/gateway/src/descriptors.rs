//! Open files: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a node has open besides its clients: listeners, Redis, whatever is read at the start.
const OTHERS: u64 = 64;

/// Raises the soft limit of open files to the hard one, and says so when fewer than `connections` fit into that.
///
/// The soft limit is there for programs that can't bear high numbers; one that can is to raise it by itself. Containers
/// start with 1,024 since containerd 2.0, and Kubernetes has no way to say otherwise.
pub fn raise(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // When it fails the number below says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    // Without a number there is no limit.
    let Some(files) = getrlimit(Resource::Nofile).current else { return };
    if files < (connections as u64).saturating_add(OTHERS) {
        tracing::info!(
            files,
            connections,
            instead = "raise the hard limit (ulimit -Hn, LimitNOFILE), or lower limits.connections",
            "fewer files may be open than limits.connections: clients beyond them are not accepted"
        );
    }
}
