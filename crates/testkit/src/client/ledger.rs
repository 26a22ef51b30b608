//! What a client holds of one room, and the rule that every frame must obey.

use serde_json::Value;

/// One logged event as this client got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The epoch it was numbered in.
    pub epoch: String,
    /// Its number.
    pub seq: u64,
    /// Its data.
    pub data: Value,
    /// Who sent it; empty for one's own with `echo: false`.
    pub from: String,
}

/// A room's events without a hole, and the position behind the last one.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The epoch of the position.
    pub epoch: String,
    /// The position: the number of the last event.
    pub seq: u64,
    /// What this client believes the room's history to be since it joined. `reset` takes back what is gone.
    pub events: Vec<Event>,
    /// Every `reset` that was said.
    pub resets: Vec<Value>,
    /// How often a join was answered `recovered: false` while this client held a position.
    pub unrecovered: usize,
    joined: bool,
}

impl Ledger {
    /// The data of all events, in order.
    pub fn data(&self) -> Vec<&Value> {
        self.events.iter().map(|event| &event.data).collect()
    }

    /// Takes the `ok` of a join.
    pub(crate) fn joined(&mut self, ok: &Value) -> Result<(), String> {
        let (epoch, seq) = position(ok)?;
        let head = ok["head"].as_u64().ok_or("a join's ok has a head")?;
        if seq > head {
            return Err(format!("the position of a join is beyond the head: {ok}"));
        }
        if ok["recovered"] == true {
            if seq != self.seq {
                return Err(format!("recovered, but not from {}: {ok}", self.seq));
            }
        } else if self.joined {
            self.unrecovered += 1;
            self.events.clear();
        }
        self.joined = true;
        self.stand(epoch, seq);
        Ok(())
    }

    /// Takes a logged event: its number is the next one, in this epoch or in one that continues it.
    pub(crate) fn event(&mut self, frame: &Value, data: Value) -> Result<(), String> {
        let (epoch, seq) = position(frame)?;
        if seq != self.seq + 1 {
            return Err(format!("a hole or a repeat: at {} came {frame}", self.seq));
        }
        if base(epoch) != base(&self.epoch) {
            return Err(format!("another epoch without a reset: in {} came {frame}", self.epoch));
        }
        let from = frame["from"].as_str().unwrap_or_default().to_owned();
        self.events.push(Event { epoch: epoch.to_owned(), seq, data, from });
        self.stand(epoch, seq);
        Ok(())
    }

    /// Takes a `reset`.
    pub(crate) fn reset(&mut self, frame: &Value) -> Result<(), String> {
        let (epoch, seq) = position(frame)?;
        match frame["reason"].as_str() {
            // What came after is of a branch that is gone.
            Some("forked") => self.events.retain(|event| event.seq <= seq),
            Some("trimmed") => {}
            Some("new") => self.events.clear(),
            _ => return Err(format!("a reset without a known reason: {frame}")),
        }
        self.resets.push(frame.clone());
        self.stand(epoch, seq);
        Ok(())
    }

    fn stand(&mut self, epoch: &str, seq: u64) {
        epoch.clone_into(&mut self.epoch);
        self.seq = seq;
    }
}

fn position(frame: &Value) -> Result<(&str, u64), String> {
    match (frame["epoch"].as_str(), frame["seq"].as_u64()) {
        (Some(epoch), Some(seq)) if !epoch.is_empty() && epoch.len() <= 64 => Ok((epoch, seq)),
        _ => Err(format!("a position is missing or bad: {frame}")),
    }
}

/// An epoch is `<base>.<generation>`; a generation continues the one before.
fn base(epoch: &str) -> &str {
    epoch.rsplit_once('.').map_or(epoch, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seq: u64) -> Value {
        json!({ "epoch": "a.0", "seq": seq, "from": "alice" })
    }

    fn joined_at(seq: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.joined(&json!({ "epoch": "a.0", "seq": seq, "head": seq, "recovered": false })).unwrap();
        ledger
    }

    #[test]
    fn holes_and_repeats_are_seen() {
        let mut ledger = joined_at(4);
        ledger.event(&at(5), json!(1)).unwrap();
        assert!(ledger.event(&at(5), json!(1)).is_err());
        assert!(ledger.event(&at(7), json!(1)).is_err());
        ledger.event(&at(6), json!(2)).unwrap();
        assert_eq!(ledger.data(), [&json!(1), &json!(2)]);
    }

    #[test]
    fn a_fork_takes_back_what_is_gone() {
        let mut ledger = joined_at(0);
        for seq in 1..=3 {
            ledger.event(&at(seq), json!(seq)).unwrap();
        }
        ledger.reset(&json!({ "epoch": "a.1", "seq": 1, "reason": "forked" })).unwrap();
        ledger.event(&json!({ "epoch": "a.1", "seq": 2 }), json!("new")).unwrap();
        assert_eq!(ledger.data(), [&json!(1), &json!("new")]);
    }

    #[test]
    fn another_base_needs_a_reset() {
        let mut ledger = joined_at(0);
        assert!(ledger.event(&json!({ "epoch": "b.0", "seq": 1 }), json!(1)).is_err());
        ledger.reset(&json!({ "epoch": "b.0", "seq": 0, "reason": "new" })).unwrap();
        ledger.event(&json!({ "epoch": "b.0", "seq": 1 }), json!(1)).unwrap();
    }
}
