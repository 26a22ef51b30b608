//! When everything is over: what each node tells anew of who is in a room, of how far they have read, and of what was said
//! there; and whether all of them, and Redis, tell the same.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::amended::{self, Found};
use super::arena::{API_KEY, Arena};
use super::checker::{Kind, Violation};
use super::crowd::{Clock, Crowd, ROOMS, room};
use super::history::{History, Log};
use super::run::{LOOK, RECOVERY};
use crate::{Client, Ledger, Request};

/// Behind the newest, from where a client that was away asks to go on.
const MISSED: usize = 300;
/// The most events that a page has.
const PAGE: u64 = 200;

/// What was found.
#[derive(Debug, Default)]
pub struct Audit {
    /// What the nodes do not agree on, or what is not so.
    violations: Vec<Violation>,
    texts: Found,
    logs: Vec<Log>,
    at: u64,
}

impl Audit {
    /// Asks everybody. The crowd is silent by now, and everyone is in its rooms.
    pub async fn make(arena: &Arena, crowd: &Crowd, logs: Vec<Log>, clock: Clock) -> Self {
        let mut audit = Self::default();
        let mut auditors = Vec::new();
        for seat in &arena.seats {
            auditors.push(Client::connect(seat.addr, &format!("auditor-{}", seat.name)).await);
        }
        audit.resume(&mut auditors, &logs).await;
        let names: BTreeSet<Arc<str>> = auditors.iter().map(|auditor| auditor.name().into()).collect();
        // Who is there: to everybody who followed it, and to whoever asks.
        let (began, mut wrong) = (Instant::now(), Some(String::new()));
        while wrong.is_some() && began.elapsed() < RECOVERY {
            // They answer their heartbeats meanwhile.
            for auditor in &mut auditors {
                auditor.drain(LOOK).await;
            }
            wrong = crowd.misinformed(&names);
            if wrong.is_none() {
                wrong = lists(arena, crowd, &names, &mut auditors).await;
            }
        }
        if let Some(wrong) = wrong {
            let what = format!("presence did not settle within {RECOVERY:?}");
            audit.violations.push(Violation {
                kind: Kind::NotRecovered,
                at: clock.now(),
                who: wrong.into(),
                what,
            });
        }
        for number in 0..ROOMS {
            audit.markers(arena, &mut auditors, &room(number), clock).await;
        }
        audit.histories(&mut auditors, &logs, clock).await;
        audit.texts.insert("redis".into(), arena.texts());
        (audit.logs, audit.at) = (logs, clock.now());
        audit
    }

    /// What is wrong, with what the members say that they deleted.
    pub fn judge(self, histories: &[History]) -> Vec<Violation> {
        let mut violations = amended::check(self.at, histories, &self.logs, &self.texts);
        violations.extend(self.violations);
        violations
    }

    /// Joins as one who was away for a while; what that brings is read.
    async fn resume(&mut self, auditors: &mut [Client], logs: &[Log]) {
        for auditor in auditors {
            let mut texts = HashSet::new();
            for log in logs {
                let since = log.events.iter().rev().nth(MISSED).or(log.events.first());
                let (epoch, seq) = since
                    .map_or((String::new(), 0), |since| (since.place.epoch.to_string(), since.place.seq));
                let mut ledger = Ledger::default();
                (ledger.epoch, ledger.seq) = (epoch, seq);
                auditor.resume(BTreeMap::from([(log.room.to_string(), ledger)])).await;
                auditor.until_seq(&log.room, log.head.seq).await;
                let ledger = auditor.ledger(&log.room);
                texts.extend(ledger.data().iter().flat_map(|data| amended::texts(&data.to_string())));
            }
            self.texts.insert(format!("a resume by {}", auditor.node()).into(), texts);
        }
    }

    /// All nodes tell the same markers, and those that Redis has.
    async fn markers(&mut self, arena: &Arena, auditors: &mut [Client], room: &str, clock: Clock) {
        let began = Instant::now();
        let mut told: Vec<(Arc<str>, BTreeMap<String, String>)> = Vec::new();
        while told.is_empty() || (told.iter().any(|it| it.1 != told[0].1) && began.elapsed() < RECOVERY) {
            sleep(LOOK).await;
            told = vec![("redis".into(), arena.markers(room))];
            for auditor in &mut *auditors {
                let page = auditor.ok(json!({ "type": "history", "room": room, "limit": 1 })).await;
                let markers = page["markers"].as_array().into_iter().flatten();
                let marker = |it: &Value| {
                    let (user, epoch) = (it["user"].as_str()?, it["epoch"].as_str()?);
                    Some((user.to_owned(), format!("{epoch} {}", it["seq"])))
                };
                told.push((auditor.node().into(), markers.filter_map(marker).collect()));
            }
        }
        let (_, redis) = told[0].clone();
        for (node, markers) in told.into_iter().filter(|(_, markers)| *markers != redis) {
            let what = format!("{room}: markers are {markers:?}, and in Redis {redis:?}");
            self.violations.push(Violation { kind: Kind::Divided, at: clock.now(), who: node, what });
        }
    }

    /// All nodes give the same history of each room, and it is that of Redis.
    async fn histories(&mut self, auditors: &mut [Client], logs: &[Log], clock: Clock) {
        for log in logs {
            let mut first: Option<(Arc<str>, Vec<Value>)> = None;
            for auditor in &mut *auditors {
                let events = pages(auditor, &log.room).await;
                let node: Arc<str> = auditor.node().into();
                let texts = self.texts.entry(format!("the history by {node}").into()).or_default();
                texts.extend(events.iter().flat_map(|event| amended::texts(&event.to_string())));
                let mut complain = |what: String| {
                    let (at, who) = (clock.now(), Arc::clone(&node));
                    self.violations.push(Violation { kind: Kind::Divided, at, who, what });
                };
                let place =
                    |event: &Value| format!("{}/{}", event["epoch"].as_str().unwrap_or(""), event["seq"]);
                let (mut given, mut held) = (
                    events.iter().map(|event| (place(event), event["id"].as_str().unwrap_or("").to_owned())),
                    log.events.iter().map(|it| (it.place.to_string(), it.id.to_string())),
                );
                if !given.by_ref().eq(held.by_ref()) {
                    complain(format!("{}: the history is not what Redis holds", log.room));
                }
                match &first {
                    None => first = Some((node, events)),
                    Some((other, before)) if *before != events => {
                        let differs = before.iter().zip(&events).find(|(one, other)| one != other);
                        complain(format!(
                            "{}: the history differs from that by {other}: {differs:?}",
                            log.room
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// A whole history, in its order.
async fn pages(auditor: &mut Client, room: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let request = json!({ "type": "history", "room": room, "after": after, "limit": PAGE });
        let mut page = auditor.ok(request).await;
        if let Some(some) = page["events"].as_array_mut() {
            events.append(some);
        }
        let newest = events.last().and_then(|event| event["seq"].as_u64()).unwrap_or(after);
        if page["more"] != true || newest == after {
            return events;
        }
        after = newest;
    }
}

/// What is wrong with a list that a node gives to whoever asks, by the socket or by a call.
async fn lists(
    arena: &Arena,
    crowd: &Crowd,
    auditors: &BTreeSet<Arc<str>>,
    clients: &mut [Client],
) -> Option<String> {
    for (seat, client) in arena.seats.iter().zip(clients) {
        for number in 0..ROOMS {
            let (name, truth) = (room(number), &crowd.in_room(number) | auditors);
            let request = json!({ "type": "presence", "room": *name });
            let asked = client.ok(request).await;
            let path = format!("/v1/rooms/{name}/members");
            let called = Request::get(path).bearer(API_KEY).send(seat.addr).await.json();
            for (how, list) in [("request", asked), ("call", called)] {
                let members = list["members"].as_array().into_iter().flatten();
                let named: Vec<&str> = members.filter_map(|member| member["user"].as_str()).collect();
                let told: BTreeSet<Arc<str>> = named.iter().map(|user| Arc::from(*user)).collect();
                if told != truth || named.len() != truth.len() || list["count"] != json!(truth.len()) {
                    let (ghosts, missing) = (&told - &truth, &truth - &told);
                    let count = &list["count"];
                    return Some(format!(
                        "{} by a {how} in {name}: count {count}, {ghosts:?} who are not there, not {missing:?} who are",
                        seat.name
                    ));
                }
            }
        }
    }
    None
}
