//! What a session leaves behind, however it ends.

use std::thread;

use proto::Close;

use super::{Session, goodbye};

impl Drop for Session {
    fn drop(&mut self) {
        if thread::panicking() {
            // A fault of ours ends one session and no other. Its client is told to come back, and not left with a
            // socket that nobody reads.
            goodbye::part(&self.connection, Close::Internal, None);
            self.app.metrics.closed(Close::Internal);
            let session = self.app.session_name(self.connection.id);
            let (code, reason) = (Close::Internal.code(), Close::Internal.reason());
            tracing::error!(session, code, reason, "connection ended by a fault");
        }
        self.app.connections.closed(&self.connection);
    }
}
