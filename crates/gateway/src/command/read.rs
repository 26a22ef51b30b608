//! Read receipts.

use std::sync::Arc;

use bus::Marked;
use proto::{
    ErrorCode, Ref,
    client::Read,
    server::{self, Success},
};

use super::{MAY_NOT_READ, NOT_FOUND, NOT_JOINED, Refusal, resolve, rights};
use crate::{auth::Identity, receipts, session::Session, socket::frame};

const UNAVAILABLE: Refusal = (ErrorCode::Unavailable, "not known to be noted: send it again");

/// Moves the user's marker. The answer comes when the bus' does.
pub(super) fn run(session: &Session, identity: &Identity, reference: Option<Ref>, read: Read) {
    let name = resolve(identity, read.room);
    let Some(share) = session.connection.share(&name) else {
        return session.error(reference, NOT_JOINED.0, NOT_JOINED.1);
    };
    if !rights(session, identity, &name).read {
        return session.error(reference, MAY_NOT_READ.0, MAY_NOT_READ.1);
    }
    let room = Arc::clone(share.room());
    let marking = receipts::mark(&room.receipts, &identity.user, read.target, || share);
    let (connection, metrics) = (Arc::clone(&session.connection), Arc::clone(&session.app.metrics));
    connection.begin_request();
    session.app.tasks.spawn(async move {
        let refusal = match marking.await {
            Ok(Ok(Marked::Moved | Marked::Behind)) => None,
            Ok(Ok(Marked::Gone)) => Some(NOT_FOUND),
            Ok(Err(_)) | Err(_) => Some(UNAVAILABLE),
        };
        if let Some((code, message)) = refusal {
            metrics.failed(code);
            let retry_after_ms = (code == ErrorCode::Unavailable).then_some(1000);
            let failure =
                server::Failure { reference, code, message: message.into(), retry_after_ms, room: None };
            connection.send(frame::text(&server::encode(&failure)));
        } else if reference.is_some() {
            let ok = Success { reference, room: Some(name), ..Success::default() };
            connection.send(frame::text(&server::encode(&ok)));
        }
        connection.end_request();
    });
}
