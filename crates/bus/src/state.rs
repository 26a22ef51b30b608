//! What is known of a room beside its log: who is there, how far each has read, who may not speak for a while.
//!
//! None of it is an event: ten thousand people who come and go, or read, must not push the messages out of the log.

use std::time::Duration;

use bytes::Bytes;
use proto::{Position, UserId};

/// What a node says of those who are in a room by way of it. Somebody is there as long as any node that lives says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceUpdate {
    /// Who came, each as a member's JSON; whoever this node named already is not told of again.
    pub joined: Vec<(UserId, Bytes)>,
    /// Who went.
    pub left: Vec<UserId>,
    /// Whether this node has nobody there but `joined`.
    pub whole: bool,
    /// Nodes that are gone, and nobody is there by way of them any more. Their ids.
    pub gone: Vec<String>,
    /// Above so many members only their number is told.
    pub most: u64,
    /// And that at most once in so long, whichever nodes have something to say: a crowd would hear from all of them.
    /// Above ten thousand it is told more rarely, by the square root of how many times that they are: a million of them
    /// every tenth pause, or they would hear of nothing else.
    pub pause: Duration,
}

impl PresenceUpdate {
    /// Members up to which the pause is as it was given; `here.lua` has it, too.
    const CROWD: f64 = 10_000.0;

    /// How often a crowd of so many is told its number, at most.
    pub(crate) fn pause_of(&self, count: u64) -> Duration {
        self.pause.mul_f64((count as f64 / Self::CROWD).max(1.0).sqrt())
    }
}

/// What came of a [`PresenceUpdate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The followers hear of all there is to be heard.
    All,
    /// It is taken in. But a crowd was told its number a moment ago, and is not told again yet: whoever told this comes
    /// back after the pause, with an update that may be empty.
    Withheld {
        /// The version that it led to.
        version: u64,
        /// How many are there.
        count: u64,
    },
}

/// How many markers are told, those that are furthest: a join's answer has to fit in a frame. `state.lua` has it, too.
pub const MARKERS: usize = 300;

/// The state of a room beside its log, as it was at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomState {
    /// Grows with every change of who is there.
    pub version: u64,
    /// How many users are there.
    pub count: u64,
    /// Who, each with a member's JSON; none when they are more than was asked for.
    pub members: Option<Vec<(UserId, Bytes)>>,
    /// How far each has read, the [`MARKERS`] who are furthest; empty when there are more members than was asked for.
    pub markers: Vec<(UserId, Position)>,
    /// Who may not speak.
    pub mutes: Vec<(UserId, Mute)>,
    /// Nodes that are gone and that are still on record. Whoever is there only by way of them is counted nowhere above; but a
    /// [`PresenceUpdate`] has yet to say that they are gone.
    pub gone: Vec<String>,
}

/// That somebody may not speak in a room for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
    /// Why, for the muted one's eyes.
    pub reason: String,
}

/// What came of moving a read marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It has moved.
    Moved,
    /// It was there already, or further on: markers never go back.
    Behind,
    /// The place is not in this log.
    Gone,
}

/// A node as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id: name and incarnation.
    pub id: String,
    /// What it says of itself: see [`crate::Bus::describe`].
    pub status: Bytes,
    /// How long ago it was heard of.
    pub silent_for: Duration,
}

/// What the cluster went through that concerns the state beside the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What this node told may be lost, and what others told may not have come: it is to be told, and asked for, again.
    Anew,
    /// These nodes are gone; their ids.
    Gone(Vec<String>),
}

/// One page of all rooms that have a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomsPage {
    /// The rooms, in no order.
    pub rooms: Vec<RoomInfo>,
    /// Where the next page begins; none when this is the last one.
    pub next: Option<String>,
}

/// A room in [`RoomsPage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its name.
    pub name: proto::RoomName,
    /// The newest position.
    pub head: Position,
    /// How many users are there.
    pub count: u64,
}

/// What a user is kept from. Each value is what was put; it holds until it expires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sanctions {
    /// The user's ban.
    pub ban: Option<Bytes>,
    /// Which of the user's tokens are good no more.
    pub revocation: Option<Bytes>,
}

/// One of the [`Sanctions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanction {
    /// The user's ban.
    Ban,
    /// Which of the user's tokens are good no more.
    Revocation,
}
