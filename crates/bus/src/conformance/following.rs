//! Every event, once, in order, to whoever follows and to nobody else.

use std::sync::Arc;

use proto::Position;

use super::{Nodes, Recorder, append, append_many, bodies, follow, message, read, room, until};
use crate::{Bus, Following, ReadFrom};

pub(super) async fn check(nodes: &Nodes<'_>) {
    from_the_head_on(nodes).await;
    every_node_sees_the_same(nodes).await;
    a_later_follower_replaces_the_one_before(nodes).await;
    an_end_is_an_end(nodes).await;
    joins_amid_talk_leave_no_hole(nodes).await;
}

async fn from_the_head_on(nodes: &Nodes<'_>) {
    let room = room("head");
    let (early, _early) = follow(&*nodes.one, &room).await;
    assert_eq!(early.started().map(|head| head.seq), Some(0));
    let first = append(&*nodes.other, &room, "a").await.position;
    early.until_last("a").await;
    assert_eq!(early.started().map(|head| head.epoch), Some(first.epoch.clone()), "a follow makes the head");

    let (late, _late) = follow(&*nodes.other, &room).await;
    assert_eq!(late.started(), Some(first));
    let last = append(&*nodes.one, &room, "b").await.position;
    late.until_last("b").await;
    early.until_last("b").await;
    assert_eq!(late.bodies(), ["b"], "what was before the start does not come");
    assert_eq!(late.events(), read(&*nodes.one, &room, ReadFrom::AfterSeq(1), 10).await.events);
    assert_eq!(late.events()[0].position, last);
}

async fn every_node_sees_the_same(nodes: &Nodes<'_>) {
    let room = room("order");
    let (here, _here) = follow(&*nodes.one, &room).await;
    let (there, _there) = follow(&*nodes.other, &room).await;
    tokio::join!(append_many(&*nodes.one, &room, "a", 60), append_many(&*nodes.other, &room, "b", 60));
    append(&*nodes.one, &room, "end").await;
    here.until_last("end").await;
    there.until_last("end").await;
    assert_eq!(here.events(), there.events());
    assert_eq!(here.events().len(), 121);
    for sender in ["a", "b"] {
        let own: Vec<String> = here.bodies().into_iter().filter(|body| body.starts_with(sender)).collect();
        let sent: Vec<String> = (1..=60).map(|number| format!("{sender}{number}")).collect();
        assert_eq!(own, sent, "a sender's own order was not kept");
    }
}

async fn a_later_follower_replaces_the_one_before(nodes: &Nodes<'_>) {
    let room = room("replaced");
    let (before, before_following) = follow(&*nodes.one, &room).await;
    append(&*nodes.one, &room, "a").await;
    before.until_last("a").await;
    let (after, _after_following) = follow(&*nodes.one, &room).await;
    append(&*nodes.one, &room, "b").await;
    after.until_last("b").await;
    // The end of the one that was replaced must not end the other.
    drop(before_following);
    append(&*nodes.one, &room, "c").await;
    after.until_last("c").await;
    assert_eq!(before.bodies(), ["a"]);
    assert_eq!(after.bodies(), ["b", "c"]);
}

async fn an_end_is_an_end(nodes: &Nodes<'_>) {
    let room = room("ended");
    let (witness, _witness) = follow(&*nodes.other, &room).await;
    let (ended, following) = follow(&*nodes.one, &room).await;
    append(&*nodes.one, &room, "a").await;
    ended.until_last("a").await;
    drop(following);
    append(&*nodes.one, &room, "b").await;
    witness.until_last("b").await;

    let (again, _again) = follow(&*nodes.one, &room).await;
    append(&*nodes.one, &room, "c").await;
    again.until_last("c").await;
    assert_eq!(again.bodies(), ["c"]);
    assert_eq!(ended.bodies(), ["a"], "an ended following was told more");
    assert_eq!(Arc::strong_count(&ended), 1, "an ended follower is kept");
}

async fn joins_amid_talk_leave_no_hole(nodes: &Nodes<'_>) {
    const JOINS: usize = 60;
    let room = room("talk");
    let (witness, _witness) = follow(&*nodes.one, &super::room("talk")).await;
    drop(witness);
    let (joined, mut ends) = (tokio::sync::watch::channel(false), Vec::new());
    let (done, talk_ends) = joined;
    let talk = async {
        let mut number = 0;
        // Two at a time, from both nodes, and within the log's length of whoever joins last.
        while !*talk_ends.borrow() {
            number += 1;
            let (here, there) = tokio::join!(
                nodes.one.append(&room, message(&format!("a{number}"))),
                nodes.other.append(&room, message(&format!("b{number}"))),
            );
            here.and(there).expect("an append amid joins");
            tokio::task::yield_now().await;
        }
        append(&*nodes.other, &room, "end").await.position
    };
    let joins = async {
        for turn in 0..JOINS {
            let bus: &dyn Bus = if turn % 2 == 0 { &*nodes.one } else { &*nodes.other };
            let (recorder, following) = follow(bus, &room).await;
            let start = recorder.started().expect("a start");
            // Joined for a while, so that events come in before, during and after.
            until("events after a join", async || {
                if recorder.events().len() >= 3 { Ok(()) } else { Err("too few".to_owned()) }
            })
            .await;
            let stays = turn + 2 >= JOINS;
            ends.push((recorder, start, stays.then_some(following)));
        }
        done.send(true).expect("the talk goes on");
    };
    let (end, ()) = tokio::join!(talk, joins);
    all_saw_a_part(nodes, &room, ends, &end).await;
}

async fn all_saw_a_part(
    nodes: &Nodes<'_>,
    room: &proto::RoomName,
    ends: Vec<(Arc<Recorder>, Position, Option<Following>)>,
    end: &Position,
) {
    for (recorder, start, following) in &ends {
        if following.is_some() {
            recorder.until_last("end").await;
        }
        assert_eq!(recorder.resets(), []);
        let events = recorder.events();
        assert_eq!(events[0].position.seq, start.seq + 1, "the first event follows on the start");
        if following.is_some() {
            assert_eq!(events.last().map(|event| &event.position), Some(end));
            let page = read(&*nodes.one, room, ReadFrom::Newest, 50).await;
            let newest = &events[events.len().saturating_sub(page.events.len())..];
            assert_eq!(bodies(newest), bodies(&page.events[page.events.len() - newest.len()..]));
        }
    }
    // What two of them saw at the same time is the same.
    for pair in ends.windows(2) {
        let (one, other) = (pair[0].0.events(), pair[1].0.events());
        for event in &one {
            let seq = event.position.seq;
            if let Some(twin) = other.iter().find(|twin| twin.position.seq == seq) {
                assert_eq!(event, twin, "two followers saw different events {seq}");
            }
        }
    }
}
