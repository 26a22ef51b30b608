//! Edits, deletions and reactions: what an append does to the event that it is about.

use proto::{Epoch, MessageId, Position, RoomName, UserId, server::ResetReason};

use super::{LENGTH, Nodes, append_many, bodies, follow, read, room, unique, until};
use crate::{Append, Appended, Bus, BusError, Effect, Key, ReadFrom, Verdict};

pub(super) async fn check(nodes: &Nodes<'_>) {
    a_deleted_text_is_gone_and_its_number_stays(nodes).await;
    deleted_at_either_end(nodes).await;
    pages_end_among_deleted_events(nodes).await;
    a_target_must_be_there(nodes).await;
    reactions_are_there_or_not(nodes).await;
    what_is_trimmed_has_no_marks(nodes).await;
}

/// Appends an event of alice's with these words in its data, and with an id that looks like the field that is cut off.
async fn event(
    bus: &dyn Bus,
    room: &RoomName,
    kind: &str,
    words: Option<&str>,
    effect: Effect,
) -> Result<Appended, BusError> {
    let data = words.map_or_else(String::new, |words| format!(r#","data":"{words}""#));
    let body = format!(r#""type":"{kind}","room":"{room}","at":7,"from":"alice","id":",\"data\":"{data}}}"#);
    let key =
        Key::of_client(&user("alice"), &MessageId::parse(&format!(",\"data\":{}", unique())).expect("an id"));
    bus.append(room, Append { body: body.into(), key, effect, trace: None }).await
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a user's name")
}

async fn say(bus: &dyn Bus, room: &RoomName, words: &str) -> Position {
    event(bus, room, "message", Some(words), Effect::None).await.expect("an append").position
}

async fn edit(bus: &dyn Bus, room: &RoomName, target: &Position, words: &str) -> Result<Appended, BusError> {
    event(bus, room, "edit", Some(words), Effect::Edit(target.clone())).await
}

async fn delete(bus: &dyn Bus, room: &RoomName, target: &Position) -> Result<Appended, BusError> {
    event(bus, room, "delete", None, Effect::Delete(target.clone())).await
}

async fn react(
    bus: &dyn Bus,
    room: &RoomName,
    who: &str,
    target: &Position,
    on: bool,
) -> Result<Appended, BusError> {
    let what = Effect::reaction(&user(who), target.clone(), "+1", on);
    event(bus, room, "reaction", None, what).await
}

fn is_gone(answer: &Result<Appended, BusError>) -> bool {
    matches!(answer, Err(BusError::Gone))
}

async fn a_deleted_text_is_gone_and_its_number_stays(nodes: &Nodes<'_>) {
    let room = room("deleted");
    let (recorder, _following) = follow(&*nodes.other, &room).await;
    say(&*nodes.one, &room, "before").await;
    let target = say(&*nodes.one, &room, "secret-one").await;
    edit(&*nodes.other, &room, &target, "secret-two").await.expect("an edit");
    say(&*nodes.one, &room, "between").await;
    edit(&*nodes.one, &room, &target, "secret-three").await.expect("an edit");
    let deleted = delete(&*nodes.other, &room, &target).await.expect("a deletion");
    assert!(!deleted.duplicate);
    let last = say(&*nodes.one, &room, "after").await;
    assert_eq!(last.seq, 7, "a deletion is an event like any other");

    let start = Position { epoch: last.epoch.clone(), seq: 0 };
    for from in [ReadFrom::After(start), ReadFrom::AfterSeq(0), ReadFrom::Newest, ReadFrom::BeforeSeq(8)] {
        for bus in [&nodes.one, &nodes.other] {
            let page = read(&**bus, &room, from.clone(), 100).await;
            assert_eq!(page.verdict, Verdict::Holds);
            let seqs: Vec<_> = page.events.iter().map(|event| event.position.seq).collect();
            assert_eq!(seqs, (1..=7).collect::<Vec<_>>(), "{from:?}: no number is missing");
            let texts = bodies(&page.events);
            assert!(!texts.concat().contains("secret"), "{from:?}: {texts:?}");
            for gone in [1, 2, 4] {
                assert!(texts[gone].ends_with(",\"deleted\":true}"), "{}", texts[gone]);
                assert!(texts[gone].contains("\"from\":\"alice\""), "{}", texts[gone]);
            }
            assert!(
                texts[1].starts_with("\"type\":\"message\"") && texts[2].starts_with("\"type\":\"edit\"")
            );
            assert!(page.events.iter().all(|event| event.position.epoch == last.epoch));
        }
    }
    until("every event to come", async || {
        let count = recorder.events().len();
        if count == 7 { Ok(()) } else { Err(format!("{count} events")) }
    })
    .await;

    // Whoever does it twice is told where it was done; nobody edits what is gone.
    let again = delete(&*nodes.one, &room, &target).await.expect("an answer");
    assert_eq!((again.position.seq, again.duplicate), (deleted.position.seq, true));
    assert!(is_gone(&edit(&*nodes.one, &room, &target, "back").await));
    assert!(is_gone(&react(&*nodes.one, &room, "bob", &target, true).await));
    assert_eq!(nodes.one.head(&room).await.expect("a head").seq, 7, "what was refused changed nothing");
}

async fn deleted_at_either_end(nodes: &Nodes<'_>) {
    let room = room("ends");
    let first = say(&*nodes.one, &room, "first").await;
    let start = Position { epoch: first.epoch.clone(), seq: 0 };
    delete(&*nodes.one, &room, &first).await.expect("a deletion");
    let page = read(&*nodes.other, &room, ReadFrom::After(start.clone()), 10).await;
    assert_eq!((page.first, page.events.len()), (1, 2), "the first event is deleted, not trimmed");
    assert_eq!(page.verdict, Verdict::Holds);
    let (_recorder, following) = follow(&*nodes.one, &room).await;
    drop(following);
    let page = read(&*nodes.other, &room, ReadFrom::BeforeSeq(2), 10).await;
    assert_eq!(page.events.len(), 1);
    assert!(bodies(&page.events)[0].contains("\"deleted\":true"));
}

async fn pages_end_among_deleted_events(nodes: &Nodes<'_>) {
    let room = room("pages");
    let mut said = Vec::new();
    for number in 0..10 {
        said.push(say(&*nodes.one, &room, &format!("word-{number}")).await);
    }
    for target in &said[2..8] {
        delete(&*nodes.one, &room, target).await.expect("a deletion");
    }
    let mut after = 0;
    let mut seen = Vec::new();
    loop {
        let page = read(&*nodes.other, &room, ReadFrom::AfterSeq(after), 3).await;
        let Some(last) = page.events.last() else { break };
        assert!(page.events.len() <= 3);
        after = last.position.seq;
        seen.extend(page.events.iter().map(|event| event.position.seq));
    }
    assert_eq!(seen, (1..=16).collect::<Vec<_>>());
    let mut before = 17;
    let mut seen = Vec::new();
    loop {
        let page = read(&*nodes.other, &room, ReadFrom::BeforeSeq(before), 4).await;
        let Some(first) = page.events.first() else { break };
        assert!(page.events.len() <= 4);
        before = first.position.seq;
        seen.extend(page.events.iter().rev().map(|event| event.position.seq));
    }
    assert_eq!(seen, (1..=16).rev().collect::<Vec<_>>());
}

async fn a_target_must_be_there(nodes: &Nodes<'_>) {
    let room = room("targets");
    let target = say(&*nodes.one, &room, "here").await;
    let reaction = react(&*nodes.one, &room, "bob", &target, true).await.expect("a reaction").position;
    let strange = Epoch::parse("never.0").expect("an epoch");
    for gone in [
        Position { epoch: strange, seq: 1 },
        Position { epoch: target.epoch.clone(), seq: 0 },
        Position { epoch: target.epoch.clone(), seq: 99 },
        Position { epoch: target.epoch.clone(), seq: (1 << 53) - 1 },
        reaction,
    ] {
        assert!(is_gone(&edit(&*nodes.other, &room, &gone, "x").await), "{gone}");
        assert!(is_gone(&delete(&*nodes.other, &room, &gone).await), "{gone}");
        assert!(is_gone(&react(&*nodes.other, &room, "bob", &gone, true).await), "{gone}");
    }
    assert_eq!(nodes.one.head(&room).await.expect("a head").seq, 2);
}

async fn reactions_are_there_or_not(nodes: &Nodes<'_>) {
    let room = room("reactions");
    let target = say(&*nodes.one, &room, "nice").await;
    for (who, on, seq, duplicate) in [
        ("bob", false, 1, true),
        ("bob", true, 2, false),
        ("bob", true, 2, true),
        ("carol", true, 3, false),
        ("bob", false, 4, false),
        ("bob", false, 4, true),
        ("bob", true, 5, false),
        ("carol", true, 3, true),
    ] {
        let answer = react(&*nodes.other, &room, who, &target, on).await.expect("an answer");
        assert_eq!((answer.position.seq, answer.duplicate), (seq, duplicate), "{who} {on}");
    }
}

async fn what_is_trimmed_has_no_marks(nodes: &Nodes<'_>) {
    let room = room("unmarked");
    let target = say(&*nodes.one, &room, "long ago").await;
    let deleted = say(&*nodes.one, &room, "gone long ago").await;
    delete(&*nodes.one, &room, &deleted).await.expect("a deletion");
    append_many(&*nodes.one, &room, "m", LENGTH + 300).await;
    assert!(is_gone(&edit(&*nodes.one, &room, &target, "late").await));
    let page = read(&*nodes.one, &room, ReadFrom::After(target), 5).await;
    let Verdict::Reset { to, reason: ResetReason::Trimmed } = page.verdict else {
        panic!("{:?}", page.verdict);
    };
    assert_eq!(page.events[0].position.seq, to.seq + 1);
    let newest = say(&*nodes.one, &room, "now").await;
    edit(&*nodes.one, &room, &newest, "then").await.expect("an edit");
}
