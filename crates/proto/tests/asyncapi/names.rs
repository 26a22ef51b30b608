//! The names of what there is: by an exhaustive match here, and in the document.

use std::collections::BTreeSet;

use proto::{
    Close, Epoch, ErrorCode, EventKind, MessageId, Reconnect, Ref, Request, RoomName, ServerFrame, UserId,
    client::ClientFrame, server::ResetReason,
};
use serde_json::{Value, json};

use crate::{LIMITS, document};

/// What stands for each variant of an enum. One that is not listed does not compile.
macro_rules! listed {
    ($type:ty { $($variant:pat => $names:expr,)+ }) => {{
        fn of(it: &$type) -> &'static [&'static str] {
            match it {
                $($variant => &$names,)+
            }
        }
        let all = [$(&$names[..]),+].concat();
        (of as fn(&$type) -> &'static [&'static str], all)
    }};
}

/// What stands for a variant, and all of it.
pub(crate) type Names<T> = (fn(&T) -> &'static [&'static str], Vec<&'static str>);

/// The messages of each client frame.
pub(crate) fn client_messages<'a>() -> Names<ClientFrame<'a>> {
    listed!(ClientFrame<'_> {
        ClientFrame::Auth(_) => ["authRequest"],
        ClientFrame::Join(_) => ["joinRequest"],
        ClientFrame::Leave(_) => ["leaveRequest"],
        ClientFrame::Message(_) => ["messageRequest"],
        ClientFrame::Edit(_) => ["editRequest"],
        ClientFrame::Delete(_) => ["deleteRequest"],
        ClientFrame::React(_) => ["reactRequest"],
        ClientFrame::Read(_) => ["readRequest"],
        ClientFrame::Typing(_) => ["typingRequest"],
        ClientFrame::Presence(_) => ["presenceRequest"],
        ClientFrame::History(_) => ["historyRequest"],
        ClientFrame::Ping {} => ["pingRequest"],
    })
}

/// The messages of each frame of a server's.
pub(crate) fn server_messages<'a>() -> Names<ServerFrame<'a>> {
    listed!(ServerFrame<'_> {
        ServerFrame::Welcome(_) => ["welcome"],
        ServerFrame::Ok(_) => ["okDone", "okJoined", "okAppended", "okPresent", "okPage"],
        ServerFrame::Error(_) => ["error"],
        ServerFrame::Event(..) => ["messageEvent", "editEvent", "deleteEvent", "reactionEvent"],
        ServerFrame::Read(_) => ["readMarkers"],
        ServerFrame::Typing(_) => ["typing"],
        ServerFrame::Presence(_) => ["presence"],
        ServerFrame::Reset(_) => ["reset"],
        ServerFrame::Expiring(_) => ["expiring"],
        ServerFrame::Closing(_) => ["closing"],
        ServerFrame::Pong(_) => ["pong"],
        ServerFrame::Unknown(_) => [],
    })
}

/// The messages of each logged event.
pub(crate) fn event_messages() -> Names<EventKind> {
    listed!(EventKind {
        EventKind::Message => ["messageEvent"],
        EventKind::Edit => ["editEvent"],
        EventKind::Delete => ["deleteEvent"],
        EventKind::Reaction => ["reactionEvent"],
    })
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_frame_type_is_a_message_and_nothing_else_is() {
    let document = document::read();
    let (client, server) = (set(client_messages().1), set(server_messages().1));
    assert_eq!(document::received(&document), client);
    assert_eq!(document::sent(&document), server);
    let all: BTreeSet<_> = client.union(&server).cloned().collect();
    for messages in [&document["channels"]["socket"]["messages"], &document["components"]["messages"]] {
        assert_eq!(set(messages.as_object().unwrap().keys().map(String::as_str)), all);
    }
    assert!(set(event_messages().1).is_subset(&server));
}

#[test]
fn the_names_of_what_goes_wrong_are_the_types_names() {
    let document = document::read();
    let schemas = &document["components"]["schemas"];
    let constants = |schema: &Value| -> Vec<_> {
        schema["oneOf"].as_array().unwrap().iter().map(|one| one["const"].clone()).collect()
    };
    let (_, codes) = listed!(ErrorCode {
        ErrorCode::BadRequest => ["bad_request"],
        ErrorCode::UnknownType => ["unknown_type"],
        ErrorCode::BadRoom => ["bad_room"],
        ErrorCode::Forbidden => ["forbidden"],
        ErrorCode::NotJoined => ["not_joined"],
        ErrorCode::NotFound => ["not_found"],
        ErrorCode::TooLarge => ["too_large"],
        ErrorCode::RateLimited => ["rate_limited"],
        ErrorCode::Unavailable => ["unavailable"],
        ErrorCode::Internal => ["internal"],
    });
    assert_eq!(constants(&schemas["errorCode"]), codes);
    assert_eq!(codes, ErrorCode::ALL.map(ErrorCode::as_str));
    let (_, reasons) = listed!(ResetReason {
        ResetReason::Trimmed => ["trimmed"],
        ResetReason::Forked => ["forked"],
        ResetReason::New => ["new"],
    });
    assert_eq!(constants(&schemas["resetReason"]), reasons);
}

#[test]
fn the_close_codes_are_those_that_close() {
    let document = document::read();
    let (reconnects, _) = listed!(Reconnect {
        Reconnect::No => ["no"],
        Reconnect::Yes => ["yes"],
        Reconnect::AfterHint => ["after_hint"],
        Reconnect::WithNewToken => ["with_new_token"],
    });
    let rows = document["channels"]["socket"]["x-close-codes"].as_array().unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (&row["code"], &row["reason"], &row["reconnect"])).collect();
    let closes = Close::ALL
        .map(|close| (json!(close.code()), json!(close.reason()), json!(reconnects(&close.reconnect())[0])));
    let closes: Vec<_> = closes.iter().map(|(code, reason, reconnect)| (code, reason, reconnect)).collect();
    assert_eq!(rows, closes);

    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["closeReason"]["enum"], json!(Close::ALL.map(Close::reason)));
    let codes: BTreeSet<_> = Close::ALL.map(Close::code).into();
    assert_eq!(schemas["closeCode"]["enum"], json!(codes));
}

#[test]
fn the_bounds_are_those_of_the_types() {
    let document = document::read();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["epoch"]["maxLength"], Epoch::MAX_BYTES);
    assert_eq!(schemas["id"]["maxLength"], MessageId::MAX_BYTES);
    assert_eq!(schemas["ref"]["oneOf"][0]["maxLength"], Ref::MAX_BYTES);
    assert_eq!(schemas["seq"]["maximum"], proto::position::SEQ_LIMIT - 1);
    let pattern = |name: &str| schemas[name]["pattern"].as_str().unwrap();
    assert!(pattern("user").contains(&format!("{{1,{}}}", UserId::MAX_BYTES)));
    assert!(pattern("room").contains(&format!("{{1,{}}}", RoomName::MAX_BYTES)));
    let limit = &document["components"]["messages"]["historyRequest"]["payload"]["properties"]["limit"];
    assert_eq!(limit["maximum"], proto::MAX_HISTORY_EVENTS);
    let Ok(Request { frame: ClientFrame::History(asked), .. }) =
        Request::decode(r#"{"type":"history","room":"a"}"#, LIMITS)
    else {
        panic!("a page was asked for")
    };
    assert_eq!(limit["default"], asked.limit);
}
