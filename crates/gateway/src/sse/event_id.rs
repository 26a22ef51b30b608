//! Where a stream stands in all of its rooms, as the text of one `id:`.
//!
//! `lobby~3vq.1~17,@alice~9zk.1~4`: a room, its epoch and its `seq`, for each room. No name of a room has a `~` or a
//! comma, and no epoch of ours does. What comes back is checked like anything else.

use std::fmt::Write;

use proto::{Epoch, Position, RoomName, position::SEQ_LIMIT};

use super::MOST_ROOMS;

/// Why a text is no id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this Last-Event-ID is none that a stream of ours gave")]
pub(super) struct BadEventId;

/// Appends the id of whoever stands at these places.
pub(super) fn write<'a>(text: &mut String, places: impl IntoIterator<Item = (&'a RoomName, &'a Position)>) {
    let mut separator = "";
    for (room, Position { epoch, seq }) in places {
        // Writing to a `String` can't fail.
        let _ = write!(text, "{separator}{room}~{epoch}~{seq}");
        separator = ",";
    }
}

/// Reads an id; an empty one has no places.
pub(super) fn parse(text: &str) -> Result<Vec<(RoomName, Position)>, BadEventId> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut places: Vec<(RoomName, Position)> = Vec::new();
    for part in text.split(',') {
        let (room, position) = place(part).ok_or(BadEventId)?;
        if places.len() == MOST_ROOMS || places.iter().any(|(other, _)| *other == room) {
            return Err(BadEventId);
        }
        places.push((room, position));
    }
    Ok(places)
}

fn place(text: &str) -> Option<(RoomName, Position)> {
    let (room, position) = text.split_once('~')?;
    let (epoch, seq) = position.split_once('~')?;
    // `parse` would take a sign.
    let seq = seq.bytes().all(|byte| byte.is_ascii_digit()).then(|| seq.parse().ok())??;
    let position = Position { epoch: Epoch::parse(epoch).ok()?, seq };
    (position.seq < SEQ_LIMIT).then_some((RoomName::parse(room).ok()?, position))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(room: &str, epoch: &str, seq: u64) -> (RoomName, Position) {
        (RoomName::parse(room).unwrap(), Position { epoch: Epoch::parse(epoch).unwrap(), seq })
    }

    #[test]
    fn what_is_written_is_read() {
        let places =
            vec![at("lobby", "3vq.1", 17), at("@a|b+c=d/e", "9zk.12", 0), at("x:#y", "e", SEQ_LIMIT - 1)];
        let mut text = String::new();
        write(&mut text, places.iter().map(|(room, position)| (room, position)));
        assert_eq!(text, "lobby~3vq.1~17,@a|b+c=d/e~9zk.12~0,x:#y~e~9007199254740991");
        assert_eq!(parse(&text), Ok(places));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let long = "e".repeat(65);
        let nine: Vec<_> = (0..9).map(|number| format!("r{number}~e~1")).collect();
        for bad in [
            "17",
            "lobby",
            "lobby~e",
            "lobby~e~",
            "lobby~e~-1",
            "lobby~e~+1",
            "lobby~e~1~2",
            "lobby~e~9007199254740992",
            "lobby~e~99999999999999999999",
            "lobby~~1",
            "lobby~e~1,",
            ",lobby~e~1",
            "lobby~e~1,lobby~e~2",
            "{lobby}~e~1",
            "~lobby~e~1",
            &format!("lobby~{long}~1"),
            &nine.join(","),
        ] {
            assert_eq!(parse(bad), Err(BadEventId), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_judged(
            text in prop_oneof!["[a-c~,0-9\\PC]{0,40}", "([a-c]{1,2}~[ab.]{1,3}~[0-9]{1,17},?){0,9}"]
        ) {
            if let Ok(places) = parse(&text) {
                let mut again = String::new();
                write(&mut again, places.iter().map(|(room, position)| (room, position)));
                prop_assert_eq!(parse(&again), Ok(places));
            }
        }
    }
}
