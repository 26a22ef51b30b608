//! What the scripts answer, made into types.

use std::sync::Arc;

use fred::types::Value;
use proto::{Epoch, Position};

use super::wire;
use crate::{
    Appended, BusError, LogEvent,
    epoch::{self, Head, Lineage},
    follow::Slice,
};

/// What a batch of appends came to.
pub(super) struct Batch {
    /// For each event, in order: where it stands, or [`BusError::Gone`].
    pub(super) appended: Vec<Result<Appended, BusError>>,
}

/// Reads the answer of `append.lua` for `count` events.
pub(super) fn batch(answer: Value, count: usize) -> Result<Batch, BusError> {
    let mut values = array(answer)?;
    if values.len() != count + 3 {
        return Err(odd());
    }
    let tail = values.split_off(count);
    let [base, generation, lineage] = &tail[..] else { return Err(odd()) };
    let base: Arc<str> = text(base)?.into();
    let newest = epoch::epoch(&base, text(generation)?);
    // Only a duplicate can stand in an older generation.
    let lineage = text(lineage)?;
    let one = |value: &Value| {
        let seq = value.as_i64().ok_or_else(odd)?;
        if seq == 0 {
            return Ok(Err(BusError::Gone));
        }
        if seq > 0 {
            let position = Position { epoch: newest.clone(), seq: seq.unsigned_abs() };
            return Ok(Ok(Appended { position, duplicate: false }));
        }
        let lineage = Lineage::parse(lineage).ok_or_else(odd)?;
        let head = Head { base: Arc::clone(&base), seq: seq.unsigned_abs(), lineage };
        Ok(Ok(Appended { position: head.at(head.seq), duplicate: true }))
    };
    Ok(Batch { appended: values.iter().map(one).collect::<Result<_, BusError>>()? })
}

/// Reads the answer of `open.lua`.
pub(super) fn opened(answer: Value) -> Result<Head, BusError> {
    head(&array(answer)?)
}

/// Whether `read.lua` has to be asked again, with the key of the room's marks.
pub(super) fn needs_marks(answer: &Value) -> bool {
    matches!(answer, Value::Array(values) if matches!(&values[..], [Value::Integer(-2)]))
}

/// Reads the answer of `read.lua` to a reading behind `after`, or, `after` being none, backwards.
/// None when the room has no head. What is no entry of ours is left out and counted.
pub(super) fn slice(answer: Value, after: Option<u64>) -> Result<Option<Slice>, BusError> {
    let values = array(answer)?;
    if let [none] = &values[..]
        && none.as_i64() == Some(-1)
    {
        return Ok(None);
    }
    let head = head(&values)?;
    let first = values.get(3).and_then(Value::as_u64).ok_or_else(odd)?;
    let mut epochs = Epochs { base: &head.base, last: None };
    let mut events: Vec<LogEvent> = Vec::with_capacity(values.len() / 3);
    for triple in values[4..].chunks_exact(3) {
        match event(triple, &mut epochs) {
            Some(event) => events.push(event),
            None => super::metric::malformed(1),
        }
    }
    if after.is_none() {
        events.reverse();
    }
    let after = after.unwrap_or_else(|| events.first().map_or(head.seq, |event| event.position.seq - 1));
    Ok(Some(Slice { head, first, after, events }))
}

/// Reads a pipelined `HMGET s b g` of many heads.
pub(super) fn position(answer: Value) -> Result<Option<Position>, BusError> {
    match &array(answer)?[..] {
        [Value::Null, ..] => Ok(None),
        [seq, base, generation] => Ok(Some(Position {
            epoch: epoch::epoch(text(base)?, text(generation)?),
            seq: wire::number(text(seq)?).ok_or_else(odd)?,
        })),
        _ => Err(odd()),
    }
}

fn head(values: &[Value]) -> Result<Head, BusError> {
    let [seq, base, lineage, ..] = values else { return Err(odd()) };
    Ok(Head {
        seq: seq.as_u64().ok_or_else(odd)?,
        base: text(base)?.into(),
        lineage: Lineage::parse(text(lineage)?).ok_or_else(odd)?,
    })
}

/// Makes epochs of generations, a new one only when it changes.
struct Epochs<'a> {
    base: &'a str,
    last: Option<(String, Epoch)>,
}

impl Epochs<'_> {
    fn get(&mut self, generation: &str) -> Epoch {
        match &self.last {
            Some((name, epoch)) if name == generation => epoch.clone(),
            _ => {
                let epoch = epoch::epoch(self.base, generation);
                self.last = Some((generation.to_owned(), epoch.clone()));
                epoch
            }
        }
    }
}

fn event(triple: &[Value], epochs: &mut Epochs<'_>) -> Option<LogEvent> {
    let [id, generation, entry] = triple else { return None };
    let seq = wire::number(text(id).ok()?.strip_suffix("-0")?)?;
    let (key, body) = wire::read_entry(entry.as_bytes()?)?;
    let position = Position { epoch: epochs.get(text(generation).ok()?), seq };
    Some(LogEvent { position, key, body, trace: None })
}

pub(super) fn array(value: Value) -> Result<Vec<Value>, BusError> {
    if let Value::Array(values) = value { Ok(values) } else { Err(odd()) }
}

pub(super) fn text(value: &Value) -> Result<&str, BusError> {
    value.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(odd)
}

/// Somebody else's data under our names.
pub(super) fn odd() -> BusError {
    BusError::unavailable("redis holds something under this room's name that is not a chorus log")
}
