//! Read receipts.

use std::sync::Arc;

use proto::{
    Ref,
    client::Read,
    server::{self, Success},
};

use crate::{
    auth::Identity,
    posts::{resolve, rights},
    receipts,
    refusal::Refusal,
    session::Session,
    socket::frame,
};

/// Moves the user's marker. The answer comes when the bus' does.
pub(super) fn run(session: &Session, identity: &Identity, reference: Option<Ref>, read: Read) {
    let name = resolve(identity, read.room);
    let Some(share) = session.connection.share(&name) else {
        return session.refuse(reference, Refusal::NOT_JOINED);
    };
    if !rights(&session.app, identity, &name).read {
        return session.refuse(reference, Refusal::MAY_NOT_READ);
    }
    let room = Arc::clone(share.room());
    let marking = receipts::mark(&room.receipts, &identity.user, read.target, || share);
    let (connection, metrics) = (Arc::clone(&session.connection), Arc::clone(&session.app.metrics));
    connection.begin_request();
    session.app.tasks.spawn(async move {
        if let Err(refusal) = receipts::judge(&marking.await) {
            metrics.failed(refusal.code);
            connection.send(frame::text(&server::encode(&refusal.frame(reference))));
        } else if reference.is_some() {
            let ok = Success { reference, room: Some(name), ..Success::default() };
            connection.send(frame::text(&server::encode(&ok)));
        }
        connection.end_request();
    });
}
