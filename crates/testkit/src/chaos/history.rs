//! What a client did and saw, in its own order: the only thing that the checker believes.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

/// A position in a room's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// `<base>.<generation>`.
    pub epoch: Arc<str>,
    /// The number.
    pub seq: u64,
}

impl Place {
    /// The part of the epoch that names the log; the rest names the server that went on with it.
    pub fn base(&self) -> &str {
        self.epoch.rsplit_once('.').map_or(&*self.epoch, |(base, _)| base)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.seq)
    }
}

/// One thing that happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since the run began.
    pub at: u64,
    /// What it was.
    pub what: What,
}

/// What can happen to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was welcomed by a node.
    Connected {
        /// The node's name.
        node: Arc<str>,
    },
    /// Its connection ended, in whatever way.
    Disconnected {
        /// The close code; 1006 for an end without one.
        code: u16,
        /// The reason string, or what was seen.
        reason: String,
    },
    /// It sent a message, for the first time or again.
    Sent {
        /// To this room.
        room: Arc<str>,
        /// Under this id, unique for the user and the room.
        id: Arc<str>,
    },
    /// A message of its was acknowledged.
    Acked {
        /// In this room.
        room: Arc<str>,
        /// Under this id.
        id: Arc<str>,
        /// Where it stands in the log.
        place: Place,
    },
    /// A message of its was refused; `unavailable` leaves open whether it was appended.
    Refused {
        /// In this room.
        room: Arc<str>,
        /// Under this id.
        id: Arc<str>,
        /// The error's code.
        code: String,
    },
    /// It joined a room.
    Joined {
        /// The room.
        room: Arc<str>,
        /// Just before the next event.
        place: Place,
        /// Where it asked to go on from.
        since: Option<Place>,
        /// Whether it was told that nothing is missing behind that.
        recovered: bool,
    },
    /// It left a room.
    Left {
        /// The room.
        room: Arc<str>,
    },
    /// An event came.
    Event {
        /// In this room.
        room: Arc<str>,
        /// Its position.
        place: Place,
        /// Who sent it.
        from: Arc<str>,
        /// Under which id.
        id: Arc<str>,
    },
    /// A `reset` came.
    Reset {
        /// In this room.
        room: Arc<str>,
        /// Where it stands now.
        place: Place,
        /// `forked`, `trimmed` or `new`.
        reason: String,
    },
    /// It was told who is in a room.
    Listed {
        /// The room.
        room: Arc<str>,
        /// Everybody, as often as they were named.
        users: Vec<Arc<str>>,
    },
    /// It was told who came and who went.
    Moved {
        /// The room.
        room: Arc<str>,
        /// Who came.
        joined: Vec<Arc<str>>,
        /// Who went.
        left: Vec<Arc<str>>,
    },
    /// It was told how far somebody has read.
    Marked {
        /// The room.
        room: Arc<str>,
        /// Who.
        user: Arc<str>,
        /// How far.
        place: Place,
    },
    /// A message of its was deleted, it was told.
    Deleted {
        /// In this room.
        room: Arc<str>,
        /// The id of the message.
        id: Arc<str>,
        /// Where the deletion stands.
        place: Place,
    },
    /// From here on it reads at its own leisure, or at once again: nobody may be blamed for its silence meanwhile.
    Pace {
        /// Whether it reads at once.
        prompt: bool,
    },
}

/// Everything that happened to one client.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Its user id; no other client has it.
    pub user: Arc<str>,
    /// What happened, in its order.
    pub entries: Vec<Entry>,
}

impl History {
    /// The history as JSON lines.
    pub fn lines(&self) -> String {
        let lines: Vec<String> = self.entries.iter().map(|it| it.json(&self.user).to_string()).collect();
        lines.join("\n")
    }
}

impl Entry {
    fn json(&self, user: &str) -> Value {
        let mut line = match &self.what {
            What::Connected { node } => json!({ "what": "connected", "node": **node }),
            What::Disconnected { code, reason } => {
                json!({ "what": "disconnected", "code": code, "reason": reason })
            }
            What::Sent { room, id } => json!({ "what": "sent", "room": **room, "id": **id }),
            What::Acked { room, id, place } => {
                json!({ "what": "acked", "room": **room, "id": **id, "place": place.to_string() })
            }
            What::Refused { room, id, code } => {
                json!({ "what": "refused", "room": **room, "id": **id, "code": code })
            }
            What::Joined { room, place, since, recovered } => json!({
                "what": "joined", "room": **room, "place": place.to_string(), "recovered": recovered,
                "since": since.as_ref().map(ToString::to_string),
            }),
            What::Left { room } => json!({ "what": "left", "room": **room }),
            What::Event { room, place, from, id } => json!({
                "what": "event", "room": **room, "place": place.to_string(), "from": **from, "id": **id,
            }),
            What::Reset { room, place, reason } => {
                json!({ "what": "reset", "room": **room, "place": place.to_string(), "reason": reason })
            }
            What::Listed { room, users } => {
                json!({ "what": "listed", "room": **room, "users": texts(users) })
            }
            What::Moved { room, joined, left } => json!({
                "what": "moved", "room": **room, "joined": texts(joined), "left": texts(left),
            }),
            What::Marked { room, user, place } => json!({
                "what": "marked", "room": **room, "whose": **user, "place": place.to_string(),
            }),
            What::Deleted { room, id, place } => {
                json!({ "what": "deleted", "room": **room, "id": **id, "place": place.to_string() })
            }
            What::Pace { prompt } => json!({ "what": "pace", "prompt": prompt }),
        };
        line["at"] = json!(self.at);
        line["user"] = json!(user);
        line
    }
}

fn texts(texts: &[Arc<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}

/// A room's log as Redis held it at one instant.
#[derive(Clone, Debug)]
pub struct Log {
    /// When it was read, in milliseconds since the run began.
    pub at: u64,
    /// The room.
    pub room: Arc<str>,
    /// Its newest position.
    pub head: Place,
    /// What is left of it, in order.
    pub events: Vec<Logged>,
}

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where it stands.
    pub place: Place,
    /// Who sent it.
    pub from: Arc<str>,
    /// Under which id.
    pub id: Arc<str>,
}

/// A time in which Redis was made to lose what a server of it alone had.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Milliseconds since the run began: what was acknowledged, or seen, before this is safe.
    pub from: u64,
    /// When Redis was there again, without it.
    pub until: u64,
    /// Whether what was acknowledged meanwhile may be gone, too, and not only what was seen without an `ok`.
    pub acknowledged: bool,
}
