//! What comes over the sockets: handshakes, frames, deliveries.

use std::cmp::Reverse;

use super::{BUFFER, Worker, text};
use crate::clock::now;
use crate::connection::Stage;
use crate::dialect::{Hello, upgrade};
use crate::plan::Pace;
use crate::tally::Next;
use crate::wire::{self, Opcode};

impl Worker {
    /// Does what an event asks for.
    pub(super) fn serve(&mut self, index: usize, readable: bool, writable: bool) {
        let connection = &mut self.connections[index];
        if connection.stage == Stage::Connecting && writable {
            match connection.connected() {
                Ok(true) => {
                    connection.stage = Stage::Upgrading;
                    let host = self.plan.target(connection.number).to_string();
                    let request = upgrade(&*self.dialect, connection.number, &host);
                    if let Err(error) = connection.send(&request) {
                        return self.lost(index, &error.to_string());
                    }
                }
                Ok(false) => return,
                Err(error) => return self.lost(index, &error.to_string()),
            }
        }
        if writable && let Err(error) = self.connections[index].flush() {
            return self.lost(index, &error.to_string());
        }
        let connection = &self.connections[index];
        if readable && (connection.pace == Pace::Prompt || connection.stage != Stage::Live) {
            self.read(index, BUFFER);
        }
    }

    /// Reads until nothing more is there, or the given number of bytes at most.
    pub(super) fn read(&mut self, index: usize, most: usize) {
        loop {
            let connection = &mut self.connections[index];
            if connection.stage == Stage::Closed {
                return;
            }
            // The beginning of a frame, and behind it what comes now.
            let partial = connection.partial.len();
            let space = (self.buffer.len() - partial).min(most);
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer[..partial].copy_from_slice(&connection.partial);
            connection.partial.clear();
            let read = connection.read(&mut buffer[partial..partial + space]);
            let done = match read {
                Ok(count) => {
                    self.play.counts.reads += u64::from(count > 0);
                    self.play.counts.bytes += count as u64;
                    let taken = self.take(index, &buffer[..partial + count]);
                    match taken {
                        Ok(()) => count < space || most < BUFFER,
                        Err(reason) => {
                            self.lost(index, &reason);
                            true
                        }
                    }
                }
                Err(error) => {
                    self.lost(index, &error.to_string());
                    true
                }
            };
            self.buffer = buffer;
            if done {
                return;
            }
        }
    }

    /// Takes the whole frames in some bytes, and keeps the rest.
    fn take(&mut self, index: usize, mut bytes: &[u8]) -> Result<(), String> {
        if self.connections[index].stage == Stage::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                self.connections[index].partial.extend(bytes);
                return Ok(());
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                return Err(String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned());
            }
            bytes = &bytes[end + 4..];
            let connection = &mut self.connections[index];
            connection.stage = Stage::Greeting;
            if let Some(greeting) = self.dialect.greeting(connection.number) {
                connection.say(&greeting).map_err(text)?;
            }
        }
        let time = now();
        while let Some(frame) = wire::parse(bytes)? {
            bytes = &bytes[frame.length..];
            match frame.opcode {
                Opcode::Ping => {
                    self.frame.clear();
                    wire::put(&mut self.frame, Opcode::Pong, frame.payload);
                    self.connections[index].send(&self.frame).map_err(text)?;
                }
                Opcode::Close => {
                    let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default());
                    return Err(format!("closed by the server with {code} {reason}"));
                }
                Opcode::Pong => {}
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    self.take_text(index, frame.payload, time)?;
                }
            }
        }
        self.connections[index].partial.extend(bytes);
        Ok(())
    }

    fn take_text(&mut self, index: usize, payload: &[u8], time: u64) -> Result<(), String> {
        // Centrifugo's protocol puts several answers into one frame, a line each.
        for line in payload.split(|byte| *byte == b'\n') {
            if self.connections[index].stage == Stage::Live {
                break;
            }
            self.come_in(index, line)?;
        }
        if let Some(answer) = self.dialect.beat(payload) {
            return self.connections[index].say(answer).map_err(text);
        }
        let connection = &mut self.connections[index];
        let play = &mut self.play;
        for stamp in self.finder.stamps(payload) {
            if !self.plan.is_in(connection.number, stamp.room) {
                play.counts.astray += 1;
                continue;
            }
            match connection.order.next(&stamp) {
                Next::After(skipped) => play.counts.missing += skipped,
                Next::Disordered => {
                    play.counts.missing = play.counts.missing.saturating_sub(1);
                    play.counts.disordered += 1;
                }
                Next::Repeated => {
                    play.counts.repeated += 1;
                    continue;
                }
            }
            if self.plan.resume
                && let Some(position) = self.dialect.position(payload)
            {
                connection.positions.insert(stamp.room, position);
            }
            if stamp.phase != play.schedule.phase() {
                play.counts.late += 1;
            } else if connection.pace == Pace::Prompt {
                play.counts.delivered += 1;
                play.last = time;
                play.latencies.saturating_record(time.saturating_sub(stamp.due) / 1000);
                if stamp.sender == connection.number {
                    play.schedule.returned(&stamp, time);
                }
            } else {
                play.counts.to_slow += 1;
            }
        }
        Ok(())
    }

    /// The next step of a connection on its way in.
    fn come_in(&mut self, index: usize, payload: &[u8]) -> Result<(), String> {
        let connection = &mut self.connections[index];
        let mut is_in = false;
        match (self.dialect.hello(payload), connection.stage) {
            (Hello::Refused(reason), _) => return Err(reason),
            (Hello::Later(room, ms), Stage::Joining(_)) => {
                self.put_off.push(Reverse((now() + ms * 1_000_000, index, room)));
                self.put_off_with.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
                self.play.counts.put_off += 1;
            }
            (Hello::Say(answer), _) => connection.say(answer).map_err(text)?,
            (Hello::Greeted, Stage::Greeting) => {
                is_in = self.plan.rooms_each == 0;
                connection.stage = Stage::Joining(self.plan.rooms_each);
                for room in self.plan.rooms_of(connection.number) {
                    let join = self.dialect.join(room, connection.positions.get(&room), payload);
                    connection.say(&join).map_err(text)?;
                }
            }
            (Hello::Joined, Stage::Joining(1)) => {
                if self.plan.resume
                    && self.plan.rooms_each == 1
                    && let Some(position) = self.dialect.position(payload)
                {
                    connection.positions.entry(connection.number % self.plan.rooms).or_insert(position);
                }
                is_in = true;
            }
            (Hello::Joined, Stage::Joining(left)) => connection.stage = Stage::Joining(left - 1),
            _ => {}
        }
        if is_in {
            connection.stage = Stage::Live;
            self.opening -= 1;
            self.moved_at = now();
        }
        Ok(())
    }
}
