//! What is not logged: ephemeral frames, signals, tickets.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::{Nodes, append, follow, room, until};

pub(super) async fn check(nodes: &Nodes<'_>) {
    ephemeral_frames_reach_followers(nodes).await;
    signals_reach_every_node(nodes).await;
    a_ticket_is_taken_once(nodes).await;
    a_ticket_that_is_read_stays(nodes).await;
    assert!(nodes.one.health().up && nodes.other.health().up, "healthy nodes say so");
    assert_ne!(nodes.one.node(), nodes.other.node(), "two nodes are two");
}

async fn ephemeral_frames_reach_followers(nodes: &Nodes<'_>) {
    let room = room("typing");
    let (here, _here) = follow(&*nodes.one, &room).await;
    let (there, _there) = follow(&*nodes.other, &room).await;
    let frame = Bytes::from_static(br#"{"type":"typing"}"#);
    nodes.one.publish(&room, frame.clone()).await.expect("a frame");
    nodes.one.publish(&super::room("typing"), Bytes::from_static(b"elsewhere")).await.expect("a frame");
    for recorder in [&here, &there] {
        // It may be lost, but not here, where nothing is wrong.
        until("an ephemeral frame", async || {
            let seen = recorder.ephemeral();
            if seen == [frame.clone()] { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }
    let appended = append(&*nodes.one, &room, "a").await;
    assert_eq!(appended.position.seq, 1, "an ephemeral frame has no number");
    here.until_last("a").await;
}

async fn signals_reach_every_node(nodes: &Nodes<'_>) {
    let mut receivers = [nodes.one.signals(), nodes.other.signals()];
    let signal = Bytes::from_static(b"disconnect alice");
    nodes.other.signal(signal.clone()).await.expect("a signal");
    for receiver in &mut receivers {
        until("a signal", async || match receiver.try_recv() {
            Ok(received) if received == signal => Ok(()),
            Ok(other) => panic!("another signal: {other:?}"),
            Err(broadcast::error::TryRecvError::Empty) => Err("nothing".to_owned()),
            Err(error) => panic!("{error}"),
        })
        .await;
    }
}

async fn a_ticket_is_taken_once(nodes: &Nodes<'_>) {
    let ticket = format!("ticket-{}", nodes.one.node());
    let value = Bytes::from_static(b"alice \0\xff");
    nodes.one.put_ticket(&ticket, value.clone(), 60_000).await.expect("a ticket");
    let refused = nodes.other.put_ticket(&ticket, Bytes::from_static(b"mallory"), 60_000).await;
    assert!(refused.is_err(), "a ticket was replaced");
    let (one, other) = tokio::join!(nodes.one.take_ticket(&ticket), nodes.other.take_ticket(&ticket));
    let taken: Vec<Bytes> = [one, other].into_iter().filter_map(|taken| taken.expect("an answer")).collect();
    assert_eq!(taken, [value], "one of two takers gets it");
    assert_eq!(nodes.one.take_ticket(&ticket).await.expect("an answer"), None);
    assert_eq!(nodes.one.take_ticket("never put").await.expect("an answer"), None);

    nodes.one.put_ticket(&ticket, Bytes::new(), 20).await.expect("a ticket");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(nodes.other.take_ticket(&ticket).await.expect("an answer"), None, "it had expired");
}

async fn a_ticket_that_is_read_stays(nodes: &Nodes<'_>) {
    let ticket = format!("read-{}", nodes.one.node());
    let value = Bytes::from_static(b"alice \0\xff");
    nodes.one.put_ticket(&ticket, value.clone(), 60_000).await.expect("a ticket");
    for bus in [&nodes.one, &nodes.other, &nodes.one] {
        assert_eq!(bus.read_ticket(&ticket, 60_000).await.expect("an answer"), Some(value.clone()));
    }
    assert_eq!(nodes.one.read_ticket("never put", 60_000).await.expect("an answer"), None);
    // The time that counts is the one of the last reading.
    nodes.other.read_ticket(&ticket, 20).await.expect("an answer");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(nodes.one.read_ticket(&ticket, 60_000).await.expect("an answer"), None, "it had expired");
    assert_eq!(nodes.one.take_ticket(&ticket).await.expect("an answer"), None);
}
