//! What is different where a connection is an event stream: its frames go out as blocks, each of which says where its
//! reader stands once it has it.

use std::time::Duration;

use proto::Position;
use smallvec::SmallVec;

use super::{
    Connection, Outlet,
    membership::Membership,
    writer::{Piece, Source, Writer},
};
use crate::{room::Mark, sse::Blocks};

impl Connection {
    /// Has frames go out as the blocks of an event stream.
    pub fn write_blocks(&self, blocks: Blocks) {
        self.with_writer(|writer| writer.write_blocks(blocks));
    }

    /// Whether it is an event stream, and no WebSocket.
    pub fn is_stream(&self) -> bool {
        matches!(self.io, Outlet::Stream(_))
    }

    /// Has an event stream say from now on when to come back.
    pub fn come_back_after(&self, wait: Duration) {
        self.with_writer(|writer| writer.come_back_after(wait));
    }
}

impl Writer {
    /// Has frames go out as the blocks of an event stream.
    pub fn write_blocks(&mut self, blocks: Blocks) {
        self.blocks = Some(Box::new(blocks));
    }

    /// Has blocks say from now on when to come back; frames of a socket say it themselves.
    pub fn come_back_after(&mut self, wait: Duration) {
        if let Some(blocks) = &mut self.blocks {
            blocks.come_back_after(wait);
        }
    }
}

/// Makes each frame a block that says where its reader stands once it has it.
pub(super) fn encode(blocks: &Blocks, memberships: &[Membership], pieces: &mut [Piece]) {
    if pieces.is_empty() {
        return;
    }
    let mut stands: SmallVec<[Position; 1]> =
        memberships.iter().map(|membership| membership.position().clone()).collect();
    for Piece { bytes, source } in pieces {
        match source {
            // It is one already.
            Source::Rest | Source::Batch(_) => continue,
            Source::Frame(number, Mark::Event(position) | Mark::Reset(position)) if !bytes.is_empty() => {
                stands[*number].clone_from(position);
            }
            Source::Outbox | Source::Frame(..) => {}
        }
        let rooms = memberships.iter().map(|membership| &membership.room().name);
        *bytes = blocks.encode(bytes, rooms.zip(&stands));
    }
}
