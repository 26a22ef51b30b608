//! From the bus into a room: each event is encoded once for everyone on this node.

use std::{
    sync::{Arc, Weak},
    time::SystemTime,
};

use bus::{Follower, LogEvent};
use bytes::Bytes;
use proto::{
    Position, ServerFrame,
    event::{self, peek_at},
    server::{self, ResetReason},
};

use crate::{
    presence,
    room::{Frame, Heard, Mark, Room, target_of_deletion},
    rooms::Rooms,
    socket::frame,
};

/// Hands what the bus delivers to a room, for as long as the room is there.
pub struct Relay {
    room: Weak<Room>,
    /// The bus holds the relay, and they the bus.
    rooms: Weak<Rooms>,
}

impl Relay {
    /// A relay into this room.
    pub fn new(room: &Arc<Room>, rooms: &Arc<Rooms>) -> Self {
        Self { room: Arc::downgrade(room), rooms: Arc::downgrade(rooms) }
    }

    fn with_room(&self, act: impl FnOnce(&Arc<Room>)) {
        let Some(room) = self.room.upgrade() else { return };
        act(&room);
        // If everybody else let go of the room meanwhile, it ends here, and with it the subscription; but that may
        // not end inside a call of its own.
        if let Some(last) = Arc::into_inner(room) {
            tokio::spawn(async move { drop(last) });
        }
    }
}

impl Follower for Relay {
    fn start(&self, head: Position) {
        self.with_room(|room| room.start(head));
    }

    fn event(&self, event: LogEvent) {
        let began = event.trace.as_ref().map(|_| SystemTime::now());
        self.with_room(|room| {
            room.echoes.arrives(room, &event);
            if let Some(target) = target_of_deletion(&event.body) {
                room.redact(&target);
            }
            let mut frame = frame_of(&event);
            if let (Some(began), Some(trace)) = (began, &event.trace) {
                frame.trace = room.trace_relay(trace, &event.position, began);
            }
            room.push(frame);
        });
    }

    fn ephemeral(&self, text: Bytes) {
        let frame = str::from_utf8(&text).ok().and_then(|text| ServerFrame::decode(text).ok());
        self.with_room(|room| match frame {
            Some(ServerFrame::Typing(typing)) => room.hear_typing(&typing),
            Some(ServerFrame::Read(moved)) => {
                room.roster.hear_markers(moved, |moved| room.push(ephemeral_frame(&server::encode(moved))));
            }
            // Gateways publish nothing else; but whoever reaches Redis can.
            _ => {}
        });
    }

    fn presence(&self, version: u64, text: Bytes) {
        self.with_room(|room| {
            let Some(rooms) = self.rooms.upgrade() else { return };
            match room.roster.hear(version, &text, || room.push(ephemeral_frame(&text))) {
                Heard::Next => presence::tell_if_contradicted(&rooms, room),
                Heard::Astray => drop(tokio::spawn(presence::find_way(rooms, Arc::clone(room)))),
                Heard::Known => {}
            }
        });
    }

    fn reset(&self, to: Position, reason: ResetReason) {
        self.with_room(|room| {
            room.push(frame_of_reset(room, to, reason));
            room.echoes.reset();
        });
    }

    fn is_busy(&self) -> bool {
        let mut busy = false;
        self.with_room(|room| busy = room.is_flushing());
        busy
    }
}

/// A frame that is not logged.
pub fn ephemeral_frame(text: &[u8]) -> Frame {
    Frame { bytes: frame::text(text), mark: Mark::Ephemeral, sent_at: None, trace: None }
}

/// The frame of an event: its position in front of the bytes that its sender's gateway made.
pub fn frame_of(event: &LogEvent) -> Frame {
    let mut text = Vec::new();
    event::write_frame(&mut text, &event.position, &event.body);
    Frame {
        bytes: frame::text(&text),
        mark: Mark::Event(event.position.clone()),
        sent_at: peek_at(&event.body),
        trace: None,
    }
}

/// The frame that tells a room's readers where they stand now.
pub fn frame_of_reset(room: &Room, to: Position, reason: ResetReason) -> Frame {
    let reset = server::Reset { room: room.name.clone(), epoch: to.epoch.clone(), seq: to.seq, reason };
    Frame { bytes: frame::text(&server::encode(&reset)), mark: Mark::Reset(to), sent_at: None, trace: None }
}
