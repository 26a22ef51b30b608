//! What a run is: who connects, who is in which room, who sends, how much.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dialect::Name;

/// Connections from one source address: servers limit them, and each needs ports for some attempts.
const PER_SOURCE: u32 = 6000;

/// The first port that needs no privilege.
const FIRST_PORT: u32 = 1024;

/// Everything that a worker must know to play its part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What is spoken.
    pub dialect: Name,
    /// The servers; each room's members are spread over all of them.
    pub targets: Vec<SocketAddr>,
    /// Where the ports that connections come from begin; a run chooses it when it opens.
    pub first_port: u32,
    /// The PEM file of the CA whose certificates the servers have, where they speak TLS. A server's is for the address that
    /// it is reached at.
    pub ca: Option<PathBuf>,
    /// Signs the tokens (HS256), where the dialect has tokens.
    pub secret: String,
    /// All of them, over all workers.
    pub connections: u32,
    /// All of them.
    pub rooms: u32,
    /// What rooms' names begin with, in this project's own dialect: two runs at one server are in rooms of their own.
    pub prefix: String,
    /// In how many rooms each connection is; in none, it only connects.
    pub rooms_each: u32,
    /// How many members of each room send.
    pub senders: u32,
    /// Length of a message's `data` in bytes, about: the stamp in it takes some fifty.
    pub size: u32,
    /// Connections that read 1 KiB a second.
    pub slow: u32,
    /// Connections that never read.
    pub silent: u32,
    /// Handshakes under way at once in one worker.
    pub in_flight: u32,
    /// Whether connections note their positions, so that they can resume.
    pub resume: bool,
    /// Each sender sends again when its own message came back, instead of on a schedule.
    pub closed_loop: bool,
}

/// How a connection reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All that comes, at once.
    Prompt,
    /// 1 KiB a second.
    Slow,
    /// Not at all.
    Silent,
}

impl Plan {
    /// The first rooms apart, of those that one connection is in.
    fn stride(&self) -> u32 {
        (self.rooms / self.rooms_each.max(1)).max(1)
    }

    /// The rooms that a connection is in. Its own, the one that it sends to, comes first.
    pub fn rooms_of(&self, connection: u32) -> impl Iterator<Item = u32> + use<> {
        let (rooms, stride) = (self.rooms, self.stride());
        (0..self.rooms_each).map(move |nth| (connection + nth * stride) % rooms)
    }

    /// Whether a connection is in a room.
    pub fn is_in(&self, connection: u32, room: u32) -> bool {
        let apart = (room + self.rooms - connection % self.rooms) % self.rooms;
        apart.is_multiple_of(self.stride()) && apart / self.stride() < self.rooms_each
    }

    /// Whether a connection sends.
    pub fn sends(&self, connection: u32) -> bool {
        connection / self.rooms < self.senders
    }

    /// How a connection reads; the last ones are the odd ones.
    pub fn pace(&self, connection: u32) -> Pace {
        let from_the_end = self.connections - 1 - connection;
        if from_the_end < self.silent {
            Pace::Silent
        } else if from_the_end < self.silent + self.slow {
            Pace::Slow
        } else {
            Pace::Prompt
        }
    }

    /// Where a connection goes. The members of a room go to all servers in turn, whatever the number of rooms.
    pub fn target(&self, connection: u32) -> SocketAddr {
        let (nth, room) = (connection / self.rooms, connection % self.rooms);
        self.targets[(nth + room) as usize % self.targets.len()]
    }

    /// Where a connection comes from: 127.1.1.1 and on. The port changes with every attempt and begins elsewhere in
    /// every run: left to the system, it is looked for among those that the run before left behind (`TIME_WAIT`), one
    /// by one, and handshakes crawl.
    pub fn source(&self, connection: u32, attempt: u32) -> SocketAddrV4 {
        let [high, low] = (1 + (connection / PER_SOURCE) as u16).to_be_bytes();
        let port = self.first_port + connection % PER_SOURCE + attempt * PER_SOURCE;
        let port = FIRST_PORT + (port % (u32::from(u16::MAX) - FIRST_PORT));
        SocketAddrV4::new(Ipv4Addr::new(127, 1 + high, low, 1), port as u16)
    }

    /// What cannot be, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.targets.is_empty() || self.connections == 0 || self.rooms == 0 {
            return Err("a run needs a server, a connection and a room".to_owned());
        }
        if self.rooms_each == 0 && self.senders > 0 {
            return Err("who is in no room cannot send".to_owned());
        }
        if self.rooms_each > self.rooms {
            return Err(format!("a connection cannot be in {} of {} rooms", self.rooms_each, self.rooms));
        }
        if self.slow + self.silent >= self.connections {
            return Err("somebody has to read".to_owned());
        }
        let odd = self.connections - self.slow - self.silent;
        if u64::from(self.senders) * u64::from(self.rooms) > u64::from(odd) {
            return Err(format!(
                "{} senders in each of {} rooms are more than the {odd} that read",
                self.senders, self.rooms
            ));
        }
        Ok(())
    }
}

/// One part of a run: so many messages a second, for so long.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// It stands in each message, so that what comes late is not taken for the next phase's.
    pub number: u32,
    /// When it begins, on the system's monotonic clock, in nanoseconds.
    pub start: u64,
    /// Messages a second, of all senders of all workers.
    pub rate: f64,
    /// How long messages are sent, in seconds.
    pub seconds: f64,
    /// How long it is waited for what did not come, in seconds.
    pub drain: f64,
    /// Whether all that do not send are cut at its start, and come back.
    pub storm: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: u32, rooms: u32, rooms_each: u32) -> Plan {
        Plan {
            dialect: Name::Chorus,
            targets: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
            first_port: 0,
            ca: None,
            secret: String::new(),
            connections,
            rooms,
            prefix: "r".to_owned(),
            rooms_each,
            senders: 1,
            size: 128,
            slow: 1,
            silent: 2,
            in_flight: 1,
            resume: false,
            closed_loop: false,
        }
    }

    #[test]
    fn rooms_are_shared_evenly_and_membership_is_known_without_a_list() {
        for (connections, rooms, each) in [(1000, 1, 1), (2000, 100, 20), (10_000, 1000, 1), (30, 10, 3)] {
            let plan = plan(connections, rooms, each);
            let mut members = vec![0; rooms as usize];
            for connection in 0..connections {
                let its: Vec<u32> = plan.rooms_of(connection).collect();
                for room in 0..rooms {
                    assert_eq!(plan.is_in(connection, room), its.contains(&room), "{connection} in {room}");
                }
                its.iter().for_each(|room| members[*room as usize] += 1);
            }
            assert!(members.iter().all(|count| *count == connections * each / rooms), "{members:?}");
        }
    }

    /// Connection `n` went to server `n mod 2` and to room `n mod 100`: each room lived on one server, and nothing was
    /// measured of what lies between two.
    #[test]
    fn a_room_has_members_on_every_server() {
        let targets = vec![SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2))];
        let plan = Plan { targets: targets.clone(), ..plan(1000, 100, 1) };
        for room in 0..100 {
            let members = (0..1000).filter(|it| plan.is_in(*it, room));
            let here = members.filter(|it| plan.target(*it) == targets[0]).count();
            assert_eq!(here, 5, "of room {room}");
        }
    }

    #[test]
    fn the_odd_ones_come_last_and_do_not_send() {
        let plan = plan(10, 1, 1);
        let paces: Vec<Pace> = (6..10).map(|connection| plan.pace(connection)).collect();
        assert_eq!(paces, [Pace::Prompt, Pace::Slow, Pace::Silent, Pace::Silent]);
        assert!(plan.sends(0) && !plan.sends(1));
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert!(plan(10, 1, 1).check().is_ok());
        assert!(plan(3, 1, 1).check().is_err());
        assert!(plan(10, 2, 3).check().is_err());
        assert!(plan(10, 9, 1).check().is_err());
    }
}
