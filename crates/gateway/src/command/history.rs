//! A page of a room's log.

use proto::{Ref, client::History, server::write_history};

use crate::{
    auth::Identity,
    pages,
    posts::{resolve, rights},
    refusal::Refusal,
    session::Session,
    socket::frame,
};

/// Answers with a page.
pub(super) async fn run(session: &Session, identity: &Identity, reference: Option<Ref>, history: History) {
    let History { room, before, after, limit } = history;
    let name = resolve(identity, room);
    if !rights(&session.app, identity, &name).read {
        return session.refuse(reference, Refusal::MAY_NOT_READ);
    }
    match pages::read(&session.app, &name, before, after, limit).await {
        Ok(page) if reference.is_some() => {
            let markers = page.markers.as_deref();
            let text = write_history(reference.as_ref(), &name, &page.events, page.more, markers);
            session.connection.send(frame::text(&text));
        }
        Ok(_) => {}
        Err(refusal) => session.refuse(reference, refusal),
    }
}
