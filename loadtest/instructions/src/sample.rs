//! The message that all cases are about: 128 bytes of data, as in docs/PERFORMANCE.md.

use bus::{Append, Key, LogEvent, NodeId};
use proto::{Epoch, Event, Position, RoomName, UserId, client::MessageId};
use serde_json::value::RawValue;

/// The bytes of its text.
const TEXT_BYTES: usize = 126;

/// The name of its room.
pub(crate) fn room() -> Result<RoomName, String> {
    RoomName::parse("lobby").map_err(|error| error.to_string())
}

/// Its data: a JSON text.
fn data() -> String {
    format!("\"{}\"", "a message to everybody ".repeat(TEXT_BYTES).split_at(TEXT_BYTES).0)
}

/// The frame in which a client sends it, masked as RFC 6455, 5.3, has it.
pub(crate) fn client_frame() -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let data = data();
    let text = format!(r#"{{"type":"message","room":"lobby","data":{data},"id":"1f6c-000017","ref":17}}"#);
    let [high, low] = (text.len() as u16).to_be_bytes();
    // A last frame of text; masked, and its length in the next two bytes.
    let header = [0x81, 0xfe, high, low].into_iter().chain(MASK);
    header.chain(text.bytes().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask)).collect()
}

/// What its sender's gateway makes of it.
pub(crate) struct Said {
    data: Box<RawValue>,
    room: RoomName,
    from: UserId,
    id: MessageId,
}

impl Said {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            data: RawValue::from_string(data()).map_err(|error| error.to_string())?,
            room: room()?,
            from: UserId::parse("alice").map_err(|error| error.to_string())?,
            id: MessageId::parse("1f6c-000017").ok_or("no message id")?,
        })
    }

    /// The event, as `command/message.rs` makes it.
    pub(crate) fn event(&self) -> Event<'_> {
        const AT: u64 = 1_767_225_600_000;
        let mut event = Event::message(self.room.clone(), self.from.clone(), AT, &self.data);
        event.name = Some("Alice".into());
        event.id = Some(self.id.clone());
        event
    }
}

/// The appends of one node, each with a key of its own.
pub(crate) struct Appends {
    node: NodeId,
    body: bytes::Bytes,
    made: u64,
}

impl Appends {
    pub(crate) fn new() -> Result<Self, String> {
        let body = Said::new()?.event().encode_body().into();
        Ok(Self { node: NodeId::new("counted"), body, made: 0 })
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Append {
        self.made += 1;
        Append::message(self.body.clone(), Key::of_node(&self.node, self.made))
    }
}

/// What a log has of it.
pub(crate) fn log_event() -> Result<LogEvent, String> {
    let epoch = Epoch::parse("k3x7q2mzv4abc.0").map_err(|error| error.to_string())?;
    let Append { body, key, .. } = Appends::new()?.next();
    Ok(LogEvent { position: Position { epoch, seq: 123_456 }, key, body, trace: None })
}
