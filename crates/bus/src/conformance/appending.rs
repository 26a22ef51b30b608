//! Numbers, keys, order.

use bytes::Bytes;

use super::{Nodes, append, append_many, bodies, message, read, room};
use crate::{Append, Key, ReadFrom};

pub(super) async fn check(nodes: &Nodes<'_>) {
    numbers_go_up_by_one(nodes).await;
    a_key_is_appended_once(nodes).await;
    a_key_is_appended_once_at_the_same_time(nodes).await;
    calls_keep_their_order(nodes).await;
    bytes_are_kept(nodes).await;
}

async fn numbers_go_up_by_one(nodes: &Nodes<'_>) {
    let room = room("numbers");
    let first = append(&*nodes.one, &room, "a").await;
    assert_eq!((first.position.seq, first.duplicate), (1, false));
    for (seq, bus) in [(2, &nodes.other), (3, &nodes.one), (4, &nodes.other)] {
        let next = append(&**bus, &room, &format!("b{seq}")).await;
        assert_eq!((next.position.seq, next.duplicate), (seq, false));
        assert_eq!(next.position.epoch, first.position.epoch, "the epoch changed without a cause");
        for bus in [&nodes.one, &nodes.other] {
            assert_eq!(bus.head(&room).await.expect("a head"), next.position);
        }
    }
    assert_eq!(append(&*nodes.one, &super::room("numbers"), "a").await.position.seq, 1, "rooms count alone");
}

async fn a_key_is_appended_once(nodes: &Nodes<'_>) {
    let (room, elsewhere) = (room("keys"), room("keys"));
    let first = append(&*nodes.one, &room, "same").await;
    append(&*nodes.one, &room, "between").await;
    for bus in [&nodes.one, &nodes.other] {
        let again = append(&**bus, &room, "same").await;
        assert!(again.duplicate, "a known key was appended again");
        assert_eq!(again.position, first.position, "a duplicate is told the first position");
    }
    assert_eq!(nodes.one.head(&room).await.expect("a head").seq, 2, "a duplicate moved the head");
    assert!(!append(&*nodes.one, &elsewhere, "same").await.duplicate, "a key counts in its room alone");
}

async fn a_key_is_appended_once_at_the_same_time(nodes: &Nodes<'_>) {
    let room = room("races");
    // The first is under way while the others gather in one batch.
    let appending: Vec<_> = (0..20)
        .map(|turn| if turn % 2 == 0 { &nodes.one } else { &nodes.other })
        .map(|bus| bus.append(&room, message("same")))
        .collect();
    let mut fresh = 0;
    for appending in appending {
        let appended = appending.await.expect("an append");
        assert_eq!(appended.position.seq, 1);
        fresh += usize::from(!appended.duplicate);
    }
    assert_eq!(fresh, 1, "one of them is the first, and only one");
    assert_eq!(bodies(&read(&*nodes.one, &room, ReadFrom::Newest, 10).await.events), ["same"]);
}

async fn calls_keep_their_order(nodes: &Nodes<'_>) {
    let room = room("order");
    let last = append_many(&*nodes.one, &room, "", 150).await;
    assert_eq!(last.seq, 150);
    let page = read(&*nodes.other, &room, ReadFrom::AfterSeq(0), 1000).await;
    let expected: Vec<String> = (1..=150).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&page.events), expected);
}

async fn bytes_are_kept(nodes: &Nodes<'_>) {
    let room = room("bytes");
    let long = Key::from_bytes(Bytes::from(vec![0xff; Key::MAX_BYTES]));
    let odd = [
        (Key::of_node(nodes.one.node(), 1), Bytes::new()),
        (Key::of_node(nodes.one.node(), 2), Bytes::from_static("grüße\n\r\n\0 ".as_bytes())),
        (long, Bytes::from_static(&[0, 255, 1, 254])),
        (Key::of_node(nodes.other.node(), 1), Bytes::from(vec![b'x'; 64 * 1024])),
    ];
    for (key, body) in odd.clone() {
        nodes.one.append(&room, Append::message(body, key)).await.expect("an append");
    }
    let events = read(&*nodes.other, &room, ReadFrom::Newest, 10).await.events;
    let kept: Vec<_> = events.into_iter().map(|event| (event.key, event.body)).collect();
    assert_eq!(kept, odd);
}
