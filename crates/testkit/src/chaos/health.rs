//! Whether the nodes' health says what is so: not ready while deliveries do not come through, and ready while they
//! do. Pure: samples and histories in, violations out.

pub mod since;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::checker::{Kind, LATE_OK_MS, Violation};
use super::history::{History, Loss, Place, What};
use since::Since;

/// The probe's time, two seconds, one probe's interval, and as much again for a busy machine, in milliseconds.
pub const LIMIT_MS: u64 = 4000;

/// A shorter pause in the deliveries, or in the `ok`s, is none.
const PAUSE_MS: u64 = 350;

/// Stays are found by the spans of so many milliseconds that they reach into: in an hour there are ten thousands of them.
const SPAN_MS: u64 = 10_000;

/// A shorter alarm is none.
const ALARM_MS: u64 = 1000;

/// What a node said of itself at one time. A node is not asked while it is stopped, drains or starts.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since the run began.
    pub at: u64,
    /// Whether `/readyz` answered 200.
    pub ready: bool,
    /// Whether `chorus_bus_up` was 1.
    pub up: bool,
    /// Since when it was not.
    pub since: Since,
    /// `chorus_bus_holes_filled_total`.
    pub filled: u64,
    /// `process_resident_memory_bytes`.
    pub resident: u64,
}

/// A node, and what it said.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Its name.
    pub node: Arc<str>,
    /// In the order of time.
    pub samples: Vec<Sample>,
}

/// What health must say during a fault.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Nodes that must say that they are not ready, if it lasts long enough.
    pub down: Vec<Arc<str>>,
    /// Nodes that must never say so.
    pub up: Vec<Arc<str>>,
}

/// Something that a node says of itself, and whether that is good.
type Sign = (&'static str, fn(&Sample) -> bool);

/// Both ways in which a node says how it is.
const SIGNS: [Sign; 2] = [("/readyz", |it| it.ready), ("chorus_bus_up", |it| it.up)];

/// What is wrong with what was said while a fault lasted, from `from` to `until`.
pub fn during(expected: &Expectation, from: u64, until: u64, watched: &[Watched]) -> Vec<Violation> {
    let mut found = Vec::new();
    since::during(from, until, watched, &mut found);
    for node in watched {
        for (sign, good) in SIGNS {
            let bad = |from, until| node.samples.iter().any(|it| (from..until).contains(&it.at) && !good(it));
            let mut complain = |kind, what| {
                found.push(Violation {
                    kind,
                    at: from,
                    who: Arc::clone(&node.node),
                    what: format!("{sign} {what}"),
                });
            };
            if expected.down.contains(&node.node) && until - from > LIMIT_MS && !bad(from, from + LIMIT_MS) {
                complain(Kind::Deaf, format!("was good for {LIMIT_MS} ms of a fault of {} ms", until - from));
            }
            if expected.up.contains(&node.node) && bad(from, until) {
                complain(Kind::FalseAlarm, "was bad, though deliveries must go on".to_owned());
            }
        }
    }
    found
}

/// What is wrong in the light of what came through, whatever the fault was. Each of the `primaries` may go and come at
/// its own time.
pub fn always(
    histories: &[History],
    watched: &[Watched],
    losses: &[Loss],
    primaries: usize,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let stays: Vec<Stay<'_>> = histories.iter().flat_map(stays).collect();
    deaf(histories, &stays, watched, losses, &mut found);
    since::always(watched, primaries, &mut found);
    for node in watched {
        let own: Vec<&Stay<'_>> = stays.iter().filter(|stay| *stay.node == *node.node).collect();
        for (sign, good) in SIGNS {
            false_alarms(node, sign, good, &own, &mut found);
        }
    }
    found
}

/// A client in a room over one connection, reading at once.
struct Stay<'a> {
    user: &'a str,
    node: &'a str,
    room: &'a str,
    /// Just before its first event.
    start: &'a Place,
    from: u64,
    until: u64,
    /// When events came.
    events: Vec<u64>,
    /// When something that it said was acknowledged.
    acks: Vec<u64>,
}

fn stays(history: &History) -> Vec<Stay<'_>> {
    let (mut node, mut prompt) = ("", true);
    let (mut open, mut done): (HashMap<&str, Stay<'_>>, Vec<Stay<'_>>) = (HashMap::new(), Vec::new());
    for entry in &history.entries {
        let begun = |room, node, start| Stay {
            user: &history.user,
            node,
            room,
            start,
            from: entry.at,
            until: entry.at,
            events: Vec::new(),
            acks: Vec::new(),
        };
        let mut ended: Vec<&str> = Vec::new();
        match &entry.what {
            What::Connected { node: name } => node = name,
            What::Disconnected { .. } => ended = open.keys().copied().collect(),
            What::Pace { prompt: now } => {
                prompt = *now;
                ended = open.keys().copied().collect();
            }
            What::Left { room } => ended.push(room),
            What::Joined { room, place, .. } if prompt => {
                open.insert(room, begun(room, node, place));
            }
            What::Reset { room, place, .. } => {
                // What was acknowledged before may be gone, so what counts begins here.
                if let Some(stay) = open.get_mut(&**room) {
                    let before = std::mem::replace(stay, begun(room, node, place));
                    done.push(Stay { until: entry.at, ..before });
                }
            }
            What::Acked { room, .. } => {
                if let Some(stay) = open.get_mut(&**room) {
                    stay.acks.push(entry.at);
                }
            }
            What::Event { room, .. } => {
                if let Some(stay) = open.get_mut(&**room) {
                    stay.events.push(entry.at);
                }
            }
            _ => {}
        }
        for room in ended {
            done.extend(open.remove(room).map(|stay| Stay { until: entry.at, ..stay }));
        }
    }
    let end = history.entries.last().map_or(0, |entry| entry.at);
    done.extend(open.into_values().map(|stay| Stay { until: end, ..stay }));
    done
}

/// When each client first saw an event, by the client, the room, the sender and the id.
fn first_seen(histories: &[History]) -> HashMap<(&str, &str, &str, &str), u64> {
    let mut seen = HashMap::new();
    for history in histories {
        for entry in &history.entries {
            if let What::Event { room, from, id, .. } = &entry.what {
                seen.entry((&*history.user, &**room, &**from, &**id)).or_insert(entry.at);
            }
        }
    }
    seen
}

/// Something was acknowledged, and for the probe's time and longer did not reach a client that was there, whose node
/// said that all was well.
fn deaf(
    histories: &[History],
    stays: &[Stay<'_>],
    watched: &[Watched],
    losses: &[Loss],
    found: &mut Vec<Violation>,
) {
    let seen = first_seen(histories);
    let mut by_span: HashMap<(&str, u64), Vec<&Stay<'_>>> = HashMap::new();
    for stay in stays {
        for span in stay.from / SPAN_MS..=stay.until / SPAN_MS {
            by_span.entry((stay.room, span)).or_default().push(stay);
        }
    }
    for history in histories {
        for entry in &history.entries {
            let What::Acked { room, id, place } = &entry.what else { continue };
            let (at, end) = (entry.at, entry.at + LIMIT_MS);
            // What was lost with a server after its `ok` comes to nobody any more.
            let lost = |loss: &Loss| loss.acknowledged && (loss.from..=loss.until + LATE_OK_MS).contains(&at);
            if losses.iter().any(lost) {
                continue;
            }
            // An `ok` that had to wait for replicas may be of an event from before the stay.
            let before = |stay: &Stay<'_>| stay.start.base() == place.base() && place.seq <= stay.start.seq;
            let there = |stay: &&Stay<'_>| stay.from < at && stay.until > end;
            let around = by_span.get(&(&**room, at / SPAN_MS)).into_iter().flatten().copied();
            for stay in around.filter(|stay| there(stay) && !before(stay)) {
                let event = (stay.user, &**room, &*history.user, &**id);
                if seen.get(&event).is_some_and(|came| *came <= end) {
                    continue;
                }
                let Some(node) = watched.iter().find(|it| *it.node == *stay.node) else { continue };
                let told = |good: fn(&Sample) -> bool| {
                    node.samples
                        .iter()
                        .any(|it| (at.saturating_sub(LIMIT_MS)..=end).contains(&it.at) && !good(it))
                };
                let asked = node.samples.iter().any(|it| (at..=end).contains(&it.at));
                for (sign, good) in SIGNS {
                    if asked && !told(good) {
                        let what = format!(
                            "{room}: {id}, ok at {at} ms, had not reached {} when {sign} was good",
                            stay.user
                        );
                        found.push(Violation { kind: Kind::Deaf, at, who: Arc::clone(&node.node), what });
                    }
                }
            }
        }
    }
}

/// A node said for a while that it was not ready, and all that time appends went on, and deliveries in every room,
/// without a pause. With several primaries one of them alone may be out of reach, and only its rooms pause.
fn false_alarms(
    node: &Watched,
    sign: &str,
    good: fn(&Sample) -> bool,
    stays: &[&Stay<'_>],
    found: &mut Vec<Violation>,
) {
    for alarm in node.samples.chunk_by(|one, next| good(one) == good(next) && next.at - one.at < ALARM_MS) {
        let (from, until) = (alarm[0].at, alarm[alarm.len() - 1].at);
        if good(&alarm[0]) || until - from < ALARM_MS {
            continue;
        }
        let mut rooms: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for stay in stays.iter().filter(|stay| stay.from < until && stay.until > from) {
            rooms.entry(stay.room).or_default().extend(&stay.events);
        }
        let acks: Vec<u64> = stays.iter().flat_map(|stay| &stay.acks).copied().collect();
        let pauses = |times: &Vec<u64>| {
            let mut times: Vec<u64> =
                times.iter().copied().filter(|at| (from..until).contains(at)).chain([from, until]).collect();
            times.sort_unstable();
            times.windows(2).any(|pair| pair[1] - pair[0] > PAUSE_MS)
        };
        if !rooms.is_empty() && !rooms.values().chain([&acks]).any(pauses) {
            let what = format!("{sign} was bad until {until} ms, while appends and deliveries went on");
            found.push(Violation { kind: Kind::FalseAlarm, at: from, who: Arc::clone(&node.node), what });
        }
    }
}
