//! A session's place among the connections of its node, given back however the session ends.

use std::{sync::Arc, thread};

use proto::Close;

use super::goodbye;
use crate::{app::App, connection::Connection};

/// A connection that its node knows of for as long as this lives.
pub(super) struct Registration {
    pub(super) app: Arc<App>,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Registration {
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
