//! Random histories in which nothing is wrong: a small cluster that keeps every promise, played by chance.

use std::collections::HashMap;

use super::*;
use crate::chaos::random::Random;

/// A client that is played.
struct Player {
    user: Arc<str>,
    entries: Vec<Entry>,
    connected: bool,
    /// Where it stands in the rooms that it knows, and whether it is in them.
    rooms: HashMap<usize, (Place, bool)>,
}

/// The cluster that is played.
struct Play {
    random: Random,
    at: u64,
    said: u64,
    players: Vec<Player>,
    logs: Vec<Log>,
    /// Where each room's server went on; a position like any other.
    fork: [Place; 2],
    losses: Vec<Loss>,
}

fn name(room: usize) -> Arc<str> {
    format!("room-{room}").into()
}

/// A run of so many steps that a seed decides; with a fork, if there is to be one.
pub(super) fn play(seed: u64, steps: usize, forks: bool) -> Run {
    let player = |number| Player {
        user: format!("user-{number}").into(),
        entries: Vec::new(),
        connected: false,
        rooms: HashMap::new(),
    };
    let log = |room| Log { at: 0, room: name(room), head: place("a.0", 0), events: Vec::new() };
    let mut play = Play {
        random: Random::new(seed),
        at: 0,
        said: 0,
        players: (0..4).map(player).collect(),
        logs: (0..2).map(log).collect(),
        fork: [place("a.0", 0), place("a.0", 0)],
        losses: Vec::new(),
    };
    (0..4).for_each(|player| play.come(player));
    for step in 0..steps {
        play.at += 10;
        let (player, room) = (play.random.below(4), play.random.below(2));
        match play.random.below(12) {
            0 => play.go(player),
            1 => play.leave(player, room),
            2 => play.come(player),
            // Late enough for something to be lost, and early enough for something to come after it.
            3 if forks && step > steps / 3 && step < steps * 2 / 3 => play.fork(room),
            _ => play.say(player, room),
        }
    }
    (0..4).for_each(|player| play.come(player));
    let at = play.at + 50;
    let history = |player: Player| History { user: player.user, entries: player.entries };
    Run {
        histories: play.players.into_iter().map(history).collect(),
        logs: play.logs.into_iter().map(|log| Log { at, ..log }).collect(),
        losses: play.losses,
    }
}

impl Play {
    fn note(&mut self, player: usize, what: What) {
        self.at += 1;
        self.players[player].entries.push(Entry { at: self.at, what });
    }

    fn deliver(&mut self, player: usize, room: usize, index: usize) {
        let Logged { place, from, id } = self.logs[room].events[index].clone();
        self.players[player].rooms.insert(room, (place.clone(), true));
        self.note(player, What::Event { room: name(room), place, from, id });
    }

    /// Comes back, if it was away, and into all rooms that it is not in.
    fn come(&mut self, player: usize) {
        if !self.players[player].connected {
            self.players[player].connected = true;
            self.note(player, What::Connected { node: "node-0".into() });
        }
        for room in 0..self.logs.len() {
            let stand = self.players[player].rooms.get(&room).cloned();
            if stand.as_ref().is_some_and(|(_, joined)| *joined) {
                continue;
            }
            let log = &self.logs[room];
            let since = stand.map(|(place, _)| place);
            let holds = |since: &Place| {
                since.seq == 0 || *since == self.fork[room] || log.events.iter().any(|it| it.place == *since)
            };
            let (place, recovered) = match &since {
                Some(since) if holds(since) => (since.clone(), true),
                _ => (log.head.clone(), false),
            };
            let next = place.seq as usize;
            self.players[player].rooms.insert(room, (place.clone(), true));
            self.note(player, What::Joined { room: name(room), place, since, recovered });
            for index in next..self.logs[room].events.len() {
                self.deliver(player, room, index);
            }
        }
    }

    fn go(&mut self, player: usize) {
        if self.players[player].connected {
            self.players[player].connected = false;
            self.players[player].rooms.values_mut().for_each(|(_, joined)| *joined = false);
            self.note(player, What::Disconnected { code: 1006, reason: "cut".into() });
        }
    }

    fn leave(&mut self, player: usize, room: usize) {
        if let Some((_, joined)) = self.players[player].rooms.get_mut(&room)
            && *joined
        {
            *joined = false;
            self.note(player, What::Left { room: name(room) });
        }
    }

    fn say(&mut self, player: usize, room: usize) {
        if !self.players[player].rooms[&room].1 {
            return;
        }
        self.said += 1;
        let (said, from) = (id(self.said), Arc::clone(&self.players[player].user));
        for _ in 0..=usize::from(self.random.below(5) == 0) {
            self.note(player, What::Sent { room: name(room), id: said.clone() });
        }
        let log = &mut self.logs[room];
        let here = Place { epoch: Arc::clone(&log.head.epoch), seq: log.head.seq + 1 };
        log.events.push(Logged { place: here.clone(), from, id: said.clone() });
        log.head = here.clone();
        let index = log.events.len() - 1;
        // An `ok` comes before its event, after it, or never.
        let acked = self.random.below(8);
        let ok = What::Acked { room: name(room), id: said, place: here };
        if (1..4).contains(&acked) {
            self.note(player, ok.clone());
        }
        for reader in 0..self.players.len() {
            if self.players[reader].rooms.get(&room).is_some_and(|(_, joined)| *joined) {
                self.deliver(reader, room, index);
            }
        }
        if acked >= 4 {
            self.note(player, ok);
        }
    }

    /// A room's server comes back without the two latest events; everyone who is there is told.
    fn fork(&mut self, room: usize) {
        let length = self.logs[room].events.len();
        if length < 3 || !self.losses.is_empty() {
            return;
        }
        self.losses.push(Loss { from: 0, until: self.at, acknowledged: true });
        let log = &mut self.logs[room];
        log.events.truncate(length - 2);
        let truth = log.events[length - 3].place.clone();
        log.head = place("a.1", truth.seq);
        self.fork[room] = log.head.clone();
        for player in 0..self.players.len() {
            let Some((stand, true)) = self.players[player].rooms.get(&room).cloned() else { continue };
            if stand.seq > truth.seq {
                self.players[player].rooms.insert(room, (truth.clone(), true));
                let reset = What::Reset { room: name(room), place: truth.clone(), reason: "forked".into() };
                self.note(player, reset);
            }
        }
    }
}
