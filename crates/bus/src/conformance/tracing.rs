//! What goes with an event for those who trace it.

use super::{Nodes, bodies, follow, message, read, room};
use crate::{Append, Effect, ReadFrom, TraceContext};

pub(super) async fn check(nodes: &Nodes<'_>) {
    a_trace_goes_with_its_event_and_stays_out_of_the_log(nodes).await;
}

async fn a_trace_goes_with_its_event_and_stays_out_of_the_log(nodes: &Nodes<'_>) {
    let room = room("traced");
    let (own, _following) = follow(&*nodes.one, &room).await;
    let (others, _others_following) = follow(&*nodes.other, &room).await;
    let trace = |number: u128| TraceContext::new(0xab00 + number, 7).map(Box::new);
    // The first is under way while the others gather in one batch.
    let appending: Vec<_> = (0..9)
        .map(|number| {
            let trace = if number % 3 == 1 { trace(number) } else { None };
            nodes.one.append(&room, Append { trace, ..message(&number.to_string()) })
        })
        .collect();
    let mut first = None;
    for appending in appending {
        let appended = appending.await.expect("an append");
        first.get_or_insert(appended.position);
    }
    // It goes by another script.
    let effect = Effect::Edit(first.expect("a position"));
    let body = "\"type\":\"message\"".into();
    let target = nodes.one.append(&room, Append { body, ..message("target") }).await.expect("an append");
    assert!(!target.duplicate);
    let gone = Append { effect, trace: trace(99), ..message("edit of what is no message") };
    assert!(nodes.one.append(&room, gone).await.is_err());
    let edit = Append { effect: Effect::Edit(target.position), trace: trace(10), ..message("10") };
    nodes.one.append(&room, edit).await.expect("an edit");

    let kept = read(&*nodes.other, &room, ReadFrom::AfterSeq(0), 100).await.events;
    assert!(kept.iter().all(|event| event.trace.is_none()), "the log holds no traces: {kept:?}");
    for follower in [own, others] {
        follower.until_last("10").await;
        let events = follower.events();
        assert_eq!(bodies(&events), bodies(&kept));
        for (event, kept) in events.iter().zip(&kept) {
            assert_eq!(event.key, kept.key, "the key is the event's own");
            let number = String::from_utf8_lossy(&event.body).parse().unwrap_or(0);
            let expected = if number % 3 == 1 { trace(number) } else { None };
            assert_eq!(event.trace, expected, "{event:?}");
        }
    }
}
