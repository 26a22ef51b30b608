//! The four ways to read, and the verdict on a position.

use proto::{Epoch, Position, server::ResetReason};

use super::{LENGTH, Nodes, append, append_many, bodies, read, room};
use crate::{Page, ReadFrom, Verdict};

pub(super) async fn check(nodes: &Nodes<'_>) {
    four_ways(nodes).await;
    nothing_is_made_by_reading(nodes).await;
    positions_that_hold(nodes).await;
    positions_that_do_not(nodes).await;
    what_is_trimmed_is_told(nodes).await;
    readers_at_the_same_time_agree(nodes).await;
}

fn seqs(page: &Page) -> Vec<u64> {
    page.events.iter().map(|event| event.position.seq).collect()
}

async fn four_ways(nodes: &Nodes<'_>) {
    let room = room("read");
    let head = append_many(&*nodes.one, &room, "m", 10).await;
    let at = |seq| Position { epoch: head.epoch.clone(), seq };
    let cases = [
        (ReadFrom::After(at(0)), 100, 1..=10),
        (ReadFrom::After(at(3)), 2, 4..=5),
        (ReadFrom::AfterSeq(0), 3, 1..=3),
        (ReadFrom::AfterSeq(7), 100, 8..=10),
        (ReadFrom::BeforeSeq(5), 2, 3..=4),
        (ReadFrom::BeforeSeq(3), 100, 1..=2),
        (ReadFrom::BeforeSeq(u64::MAX), 2, 9..=10),
        (ReadFrom::Newest, 3, 8..=10),
        (ReadFrom::Newest, 100, 1..=10),
    ];
    for (from, limit, expected) in cases {
        for bus in [&nodes.one, &nodes.other] {
            let page = read(&**bus, &room, from.clone(), limit).await;
            assert_eq!(seqs(&page), expected.clone().collect::<Vec<_>>(), "{from:?}, {limit}");
            assert_eq!((page.first, &page.head), (1, &head));
            assert_eq!(page.verdict, Verdict::Holds);
            assert!(page.events.iter().all(|event| event.position.epoch == head.epoch));
        }
    }
    let nothing = [
        (ReadFrom::After(head.clone()), 100),
        (ReadFrom::AfterSeq(10), 100),
        (ReadFrom::AfterSeq(1 << 52), 100),
        (ReadFrom::AfterSeq(u64::MAX), 100),
        (ReadFrom::BeforeSeq(1), 100),
        (ReadFrom::BeforeSeq(0), 100),
        (ReadFrom::Newest, 0),
        (ReadFrom::After(at(3)), 0),
    ];
    for (from, limit) in nothing {
        let page = read(&*nodes.one, &room, from.clone(), limit).await;
        assert_eq!((seqs(&page), page.verdict), (vec![], Verdict::Holds), "{from:?}, {limit}");
    }
}

async fn nothing_is_made_by_reading(nodes: &Nodes<'_>) {
    let room = room("unused");
    let head = nodes.one.head(&room).await.expect("a head");
    assert_eq!(head.seq, 0);
    for from in
        [ReadFrom::AfterSeq(0), ReadFrom::BeforeSeq(9), ReadFrom::Newest, ReadFrom::After(head.clone())]
    {
        let page = read(&*nodes.one, &room, from, 10).await;
        assert_eq!((page.events.len(), page.first, page.head), (0, 1, head.clone()));
        assert_eq!(page.verdict, Verdict::Holds);
    }
    let first = append(&*nodes.one, &room, "first").await;
    let page = read(&*nodes.one, &room, ReadFrom::After(head), 10).await;
    assert_eq!(bodies(&page.events), ["first"], "who saw an unused room sees all of it");
    let to = Position { epoch: first.position.epoch, seq: 0 };
    assert_eq!(page.verdict, Verdict::Reset { to, reason: ResetReason::New });
}

async fn positions_that_hold(nodes: &Nodes<'_>) {
    let room = room("holds");
    let mut position = append(&*nodes.one, &room, "a").await.position;
    for id in ["b", "c", "d"] {
        let next = append(&*nodes.other, &room, id).await.position;
        let page = read(&*nodes.one, &room, ReadFrom::After(position), 10).await;
        assert_eq!((bodies(&page.events), page.verdict), (vec![id.to_owned()], Verdict::Holds));
        position = next;
    }
}

async fn positions_that_do_not(nodes: &Nodes<'_>) {
    let (room, elsewhere) = (room("verdicts"), room("verdicts"));
    let head = append_many(&*nodes.one, &room, "m", 5).await;
    let foreign = append(&*nodes.one, &elsewhere, "x").await.position;
    let start = Position { epoch: head.epoch.clone(), seq: 0 };

    let (base, _) = head.epoch.as_str().split_once('.').expect("an epoch has two parts");
    let unlisted = Epoch::parse(&format!("{base}.7-00000000")).expect("an epoch");
    let strangers = [
        foreign,
        Position { epoch: Epoch::parse("never").expect("an epoch"), seq: 2 },
        Position { epoch: Epoch::parse("a.b.c").expect("an epoch"), seq: 1 << 52 },
        Position { epoch: unlisted, seq: 3 },
    ];
    for position in strangers {
        let page = read(&*nodes.other, &room, ReadFrom::After(position.clone()), 3).await;
        let verdict = Verdict::Reset { to: start.clone(), reason: ResetReason::New };
        assert_eq!(page.verdict, verdict, "{position}");
        assert_eq!(bodies(&page.events), ["m1", "m2", "m3"], "{position}: everything follows");
    }

    let beyond = Position { epoch: head.epoch.clone(), seq: 9 };
    let page = read(&*nodes.other, &room, ReadFrom::After(beyond), 10).await;
    assert_eq!(page.verdict, Verdict::Reset { to: head, reason: ResetReason::Forked });
    assert_eq!(seqs(&page), [0_u64; 0]);
}

async fn what_is_trimmed_is_told(nodes: &Nodes<'_>) {
    let room = room("trimmed");
    let old = append(&*nodes.one, &room, "old").await.position;
    let count = LENGTH + 200;
    let head = append_many(&*nodes.one, &room, "m", count).await;
    let page = read(&*nodes.other, &room, ReadFrom::After(old), 5).await;
    let first = page.first;
    assert!(first > 2, "nothing was trimmed of {count} events with a length of {LENGTH}");
    assert!(first <= head.seq + 1 - LENGTH, "more than the length was trimmed");
    let to = Position { epoch: head.epoch.clone(), seq: first - 1 };
    assert_eq!(page.verdict, Verdict::Reset { to: to.clone(), reason: ResetReason::Trimmed });
    assert_eq!(seqs(&page), (first..first + 5).collect::<Vec<_>>(), "the oldest that is left follows");

    let page = read(&*nodes.other, &room, ReadFrom::After(to), 5).await;
    assert_eq!((page.verdict.clone(), seqs(&page)), (Verdict::Holds, (first..first + 5).collect()));
    let page = read(&*nodes.other, &room, ReadFrom::AfterSeq(1), 5).await;
    assert_eq!((page.verdict.clone(), seqs(&page)), (Verdict::Holds, (first..first + 5).collect()));
    let page = read(&*nodes.other, &room, ReadFrom::BeforeSeq(first), 5).await;
    assert_eq!((page.verdict.clone(), seqs(&page)), (Verdict::Holds, vec![]));
}

async fn readers_at_the_same_time_agree(nodes: &Nodes<'_>) {
    let room = room("readers");
    let mut position = append(&*nodes.one, &room, "m0").await.position;
    for turn in 1..20 {
        // Whoever reads after an append was answered sees it, also when others are reading already.
        let early = read(&*nodes.one, &room, ReadFrom::After(position.clone()), 10);
        let late = async {
            let next = append(&*nodes.one, &room, &format!("m{turn}")).await.position;
            (read(&*nodes.one, &room, ReadFrom::After(position.clone()), 10).await, next)
        };
        let (_, (page, next)) = tokio::join!(early, late);
        assert_eq!(page.head, next, "a read was older than what its caller knew");
        assert_eq!(bodies(&page.events), [format!("m{turn}")]);
        position = next;
    }
}
