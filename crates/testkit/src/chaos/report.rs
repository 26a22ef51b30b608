//! What a run comes to: a row for each kind of fault.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::{Value, json};

use super::checker::{Kind, Violation};
use super::fault::Fault;
use super::health::Watched;
use super::history::{History, What};

/// A fault that was done, and what it did.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Which.
    pub fault: Fault,
    /// When it began, in milliseconds since the run began.
    pub from: u64,
    /// When it was over.
    pub until: u64,
    /// When live delivery was seen again, by everyone in every room.
    pub recovered: u64,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// How often.
    pub count: u64,
    /// Messages that were acknowledged from the beginning of the fault to that of the next.
    pub acked: u64,
    /// Events that reached a client.
    pub delivered: u64,
    /// What was missing without a word, acknowledged or not.
    pub lost: u64,
    /// What came or was appended twice.
    pub duplicated: u64,
    /// What came or was appended out of order.
    pub reordered: u64,
    /// Every other violation.
    pub other: u64,
    /// Events that the gateways read from the log because pub/sub had lost them.
    pub filled: u64,
    /// Resets, and joins that were not recovered.
    pub resets: u64,
    /// The longest time in which a client that reads got nothing in a room, in milliseconds.
    pub silence: u64,
    /// The longest time from the end of a fault to the recovery, in milliseconds.
    pub recovery: u64,
}

/// The rows of a run, or of several.
#[derive(Clone, Debug, Default)]
pub struct Table(pub BTreeMap<Fault, Row>);

impl Table {
    /// Counts.
    pub fn of(done: &[Done], histories: &[History], watched: &[Watched], violations: &[Violation]) -> Self {
        let mut rows: Vec<Row> = done
            .iter()
            .map(|it| Row { count: 1, recovery: it.recovered - it.until, ..Row::default() })
            .collect();
        // What is seen at some time belongs to the fault that began last; what comes before any, to the first.
        let index = |at: u64| done.partition_point(|it| it.from <= at).saturating_sub(1);
        if rows.is_empty() {
            return Self::default();
        }
        for history in histories {
            count(history, done, &mut rows, &index);
        }
        for node in watched {
            for pair in node.samples.windows(2) {
                // A counter that fell belongs to a gateway that was started anew.
                let before = if pair[1].filled < pair[0].filled { 0 } else { pair[0].filled };
                rows[index(pair[1].at)].filled += pair[1].filled - before;
            }
        }
        for violation in violations {
            let row = &mut rows[index(violation.at)];
            match violation.kind {
                Kind::Lost | Kind::Hole => row.lost += 1,
                Kind::Duplicate => row.duplicated += 1,
                Kind::Reordered => row.reordered += 1,
                _ => row.other += 1,
            }
        }
        let mut table = Self::default();
        for (it, row) in done.iter().zip(rows) {
            table.add(it.fault, row);
        }
        table
    }

    /// Takes in what another run came to.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(fault, row)| self.add(*fault, *row));
    }

    /// The rows as JSON: an array of objects, times in milliseconds, the sum of all last.
    pub fn json(&self) -> Value {
        let rows = self.0.iter().map(|(fault, row)| (fault.name(), *row));
        let json = |(name, row): (&str, Row)| {
            json!({
                "fault": name, "count": row.count, "acked": row.acked, "delivered": row.delivered,
                "lost": row.lost, "duplicated": row.duplicated, "reordered": row.reordered, "other": row.other,
                "filled": row.filled, "resets": row.resets, "silence_ms": row.silence,
                "recovery_ms": row.recovery,
            })
        };
        rows.chain([("all", self.sum())]).map(json).collect()
    }

    fn add(&mut self, fault: Fault, more: Row) {
        let row = self.0.entry(fault).or_default();
        *row = Row {
            count: row.count + more.count,
            acked: row.acked + more.acked,
            delivered: row.delivered + more.delivered,
            lost: row.lost + more.lost,
            duplicated: row.duplicated + more.duplicated,
            reordered: row.reordered + more.reordered,
            other: row.other + more.other,
            filled: row.filled + more.filled,
            resets: row.resets + more.resets,
            silence: row.silence.max(more.silence),
            recovery: row.recovery.max(more.recovery),
        };
    }

    /// The sum of all rows.
    fn sum(&self) -> Row {
        let mut sum = Self::default();
        for row in self.0.values() {
            sum.add(Fault::GatewayKilled, *row);
        }
        sum.0.into_values().next().unwrap_or_default()
    }
}

/// Counts what one client saw.
fn count(history: &History, done: &[Done], rows: &mut [Row], index: &impl Fn(u64) -> usize) {
    // When each room was last heard of; a client that reads at its leisure says nothing of silence.
    let (mut heard, mut prompt) = (HashMap::new(), true);
    for entry in &history.entries {
        let now = index(entry.at);
        let row = &mut rows[now];
        match &entry.what {
            What::Acked { .. } => row.acked += 1,
            What::Reset { .. } | What::Joined { since: Some(_), recovered: false, .. } => row.resets += 1,
            What::Event { room, .. } => {
                row.delivered += 1;
                // After the last recovery there is nothing more to be silent about.
                let over = done[now].recovered < entry.at && now + 1 == done.len();
                if let Some(before) = heard.insert(&**room, entry.at)
                    && prompt
                    && !over
                {
                    row.silence = row.silence.max(entry.at - before);
                }
            }
            What::Left { room } => {
                heard.remove(&**room);
            }
            What::Pace { prompt: is } => {
                prompt = *is;
                heard.clear();
            }
            _ => {}
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| fault | count | acked | delivered | lost | duplicated | reordered | other | holes filled | resets | longest silence, s | time to recover, s |"
        )?;
        writeln!(f, "| --- |{}", " ---: |".repeat(11))?;
        let rows = self.0.iter().map(|(fault, row)| (fault.name(), *row));
        for (name, row) in rows.chain([("all", self.sum())]) {
            writeln!(
                f,
                "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                row.count,
                row.acked,
                row.delivered,
                row.lost,
                row.duplicated,
                row.reordered,
                row.other,
                row.filled,
                row.resets,
                row.silence as f64 / 1e3,
                row.recovery as f64 / 1e3,
            )?;
        }
        Ok(())
    }
}
