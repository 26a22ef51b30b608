//! Whether a node says truly since when deliveries are not proven to come through.

use std::sync::Arc;

use super::{ALARM_MS, Kind, Sample, Violation, Watched};

/// The metric: Unix time in seconds, 0 while deliveries come through.
pub const METRIC: &str = "chorus_bus_down_since_timestamp_seconds";

/// A proof is no older than this when a fault begins: the probe's time, in milliseconds.
const PROBE_MS: i64 = 2000;

/// The node's clock and ours are the same, and are read one after the other; times this far apart, in milliseconds,
/// are one.
const SLACK_MS: i64 = 250;

/// Times that one alarm may name for each primary: a node that was up for less than the time between two looks names a new one. More, and it
/// is not the time of anything.
const TIMES: usize = 3;

/// Since when a node says that it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It does not say: the metric is not there.
    Unsaid,
    /// It says that it is up.
    Up,
    /// Since then, in milliseconds since the run began; below 0, before it.
    Down(i64),
}

/// What is wrong with what was said, whatever the fault was: of the future, a moving time, or the contrary of
/// `chorus_bus_up`.
pub(super) fn always(watched: &[Watched], primaries: usize, found: &mut Vec<Violation>) {
    for node in watched {
        if let Some(sample) = node.samples.iter().find(|it| it.since == Since::Unsaid) {
            found.push(wrong(node, sample.at, format!("{METRIC} is not in /metrics")));
            continue;
        }
        // Two gauges are set one after the other: a single look may come between.
        for pair in node.samples.windows(2).filter(|pair| pair.iter().all(contradicts)) {
            let (up, since) = (pair[1].up, pair[1].since);
            found.push(wrong(
                node,
                pair[0].at,
                format!("chorus_bus_up is {up}, and {METRIC} says {since:?}"),
            ));
        }
        for alarm in node.samples.chunk_by(|one, next| one.up == next.up && next.at - one.at < ALARM_MS) {
            let mut times: Vec<(u64, i64)> = Vec::new();
            for sample in alarm {
                let Since::Down(since) = sample.since else { continue };
                if times.last().is_none_or(|(_, known)| known.abs_diff(since) > SLACK_MS as u64) {
                    times.push((sample.at, since));
                }
            }
            if let Some((at, since)) = times.iter().find(|(at, since)| *since > at.cast_signed() + SLACK_MS) {
                found.push(wrong(node, *at, format!("down since {since} ms, which is later")));
            }
            if times.len() > TIMES * primaries {
                found.push(wrong(
                    node,
                    alarm[0].at,
                    format!("down since {} times in one alarm", times.len()),
                ));
            }
        }
    }
}

/// What is wrong with what was said while a fault lasted, that began when all was well: nobody can be down for longer.
pub(super) fn during(from: u64, until: u64, watched: &[Watched], found: &mut Vec<Violation>) {
    for node in watched {
        let began = node.samples.partition_point(|it| it.at < from);
        // One that had not come up yet, or had gone down by itself, is right to name an earlier time.
        if began.checked_sub(1).is_some_and(|before| node.samples[before].since != Since::Up) {
            continue;
        }
        let early =
            |it: &&Sample| matches!(it.since, Since::Down(since) if since < from.cast_signed() - PROBE_MS);
        if let Some(sample) = node.samples[began..].iter().take_while(|it| it.at < until).find(early) {
            let what = format!("{:?} of a fault that began at {from} ms", sample.since);
            found.push(wrong(node, sample.at, what));
        }
    }
}

fn contradicts(sample: &Sample) -> bool {
    sample.up != (sample.since == Since::Up)
}

fn wrong(node: &Watched, at: u64, what: String) -> Violation {
    Violation { kind: Kind::WrongSince, at, who: Arc::clone(&node.node), what }
}
