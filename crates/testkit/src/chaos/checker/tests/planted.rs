//! One violation, planted anywhere in a random good history, is named.

use std::collections::HashMap;

use proptest::prelude::*;

use super::good::play;
use super::*;
use crate::chaos::random::Random;

/// What is planted.
#[derive(Clone, Copy, Debug)]
enum Plant {
    Loss,
    Duplicate,
    Swap,
    GhostOfAnotherRoom,
    GhostOfARoomThatWasLeft,
    GhostOfNobody,
    FalseOk,
    OkGoneFromTheLog,
    SenderSwapped,
    AppendedTwice,
    Disagreement,
    NeedlessReset,
    ForkNotTold,
}

impl Plant {
    /// All but the last, which needs a fork.
    const ANY: [Self; 12] = [
        Self::Loss,
        Self::Duplicate,
        Self::Swap,
        Self::GhostOfAnotherRoom,
        Self::GhostOfARoomThatWasLeft,
        Self::GhostOfNobody,
        Self::FalseOk,
        Self::OkGoneFromTheLog,
        Self::SenderSwapped,
        Self::AppendedTwice,
        Self::Disagreement,
        Self::NeedlessReset,
    ];

    /// Plants it and says what it must be called; nothing if there is no place for it.
    fn plant(self, run: &mut Run, random: &mut Random) -> Option<Kind> {
        let victim = random.below(run.histories.len());
        match self {
            Self::FalseOk | Self::OkGoneFromTheLog | Self::SenderSwapped | Self::AppendedTwice => {
                self.plant_at_sender(run, victim, random)
            }
            _ => self.plant_at_reader(run, victim, random),
        }
    }

    fn plant_at_reader(self, run: &mut Run, victim: usize, random: &mut Random) -> Option<Kind> {
        let entries = &mut run.histories[victim].entries;
        match self {
            Self::Loss => {
                let (lost, _) = one(&neighbours(entries), random)?;
                let What::Event { room, place, .. } = entries.remove(lost).what else { return None };
                let acked = run.histories.iter().flat_map(|it| &it.entries).any(
                    |it| matches!(&it.what, What::Acked { room: r, place: p, .. } if *r == room && *p == place),
                );
                Some(if acked { Kind::Lost } else { Kind::Hole })
            }
            Self::Duplicate => {
                let index = one(&which(entries, is_event), random)?;
                entries.insert(index + 1, entries[index].clone());
                Some(Kind::Duplicate)
            }
            Self::Swap => {
                let (first, second) = one(&neighbours(entries), random)?;
                let what = entries[first].what.clone();
                entries[first].what = std::mem::replace(&mut entries[second].what, what);
                Some(Kind::Reordered)
            }
            Self::GhostOfAnotherRoom => {
                let index = one(&which(entries, is_event), random)?;
                let mut ghost = entries[index].clone();
                if let What::Event { room, .. } = &mut ghost.what {
                    *room = "never joined".into();
                }
                entries.insert(index, ghost);
                Some(Kind::Ghost)
            }
            Self::GhostOfARoomThatWasLeft => {
                let index = one(&which(entries, |it| matches!(it, What::Left { .. })), random)?;
                let What::Left { room: left } = &entries[index].what else { return None };
                let of_it = |it: &&Entry| matches!(&it.what, What::Event { room, .. } if room == left);
                let ghost = Entry { at: entries[index].at, what: entries.iter().find(of_it)?.what.clone() };
                entries.insert(index + 1, ghost);
                Some(Kind::Ghost)
            }
            Self::GhostOfNobody => {
                let index = one(&which(entries, is_event), random)?;
                if let What::Event { id, .. } = &mut entries[index].what {
                    *id = "never sent".into();
                }
                Some(Kind::Ghost)
            }
            Self::Disagreement => {
                let index = one(&which(entries, is_event), random)?;
                let What::Event { room: here, id: known, from, .. } = &mut entries[index].what else {
                    return None;
                };
                let log = run.logs.iter().find(|log| log.room == *here)?;
                let other = log.events.iter().find(|logged| logged.id != *known)?;
                (*from, *known) = (other.from.clone(), other.id.clone());
                Some(Kind::Disagreement)
            }
            Self::NeedlessReset => {
                let (_, index) = one(&neighbours(entries), random)?;
                let What::Event { room, place, .. } = entries[index].what.clone() else { return None };
                let reset = What::Reset { room, place, reason: "trimmed".into() };
                entries.insert(index + 1, Entry { at: entries[index].at, what: reset });
                Some(Kind::NeedlessReset)
            }
            _ => {
                let index = one(&which(entries, |it| matches!(it, What::Reset { .. })), random)?;
                let What::Reset { room: forked, .. } = entries.remove(index).what else { return None };
                // One who comes back would ask for what it then holds, and be told after all.
                let back = |it: &Entry| matches!(&it.what, What::Joined { room, .. } if *room == forked);
                (!entries[index..].iter().any(back)).then_some(Kind::Untold)
            }
        }
    }

    fn plant_at_sender(self, run: &mut Run, victim: usize, random: &mut Random) -> Option<Kind> {
        let end = run.logs[0].at - 1;
        let history = &mut run.histories[victim];
        let entries = &mut history.entries;
        match self {
            Self::FalseOk => {
                let log = &run.logs[0];
                let place = Place { seq: random.within(1..=log.head.seq + 2), ..log.head.clone() };
                let (room, id): (Arc<str>, Arc<str>) = (log.room.clone(), "lied about".into());
                entries.push(Entry { at: end, what: What::Sent { room: room.clone(), id: id.clone() } });
                entries.push(Entry { at: end, what: What::Acked { room, id, place } });
                Some(Kind::FalseOk)
            }
            Self::OkGoneFromTheLog => {
                // The first of a log may be trimmed.
                let later = |it: &What| matches!(it, What::Acked { place, .. } if place.seq > 1);
                let index = one(&which(entries, later), random)?;
                let What::Acked { room, place, .. } = &entries[index].what else { return None };
                let log = run.logs.iter_mut().find(|log| log.room == *room)?;
                log.events.retain(|logged| logged.place != *place);
                Some(Kind::FalseOk)
            }
            Self::SenderSwapped => {
                let sends = which(entries, |it| matches!(it, What::Sent { .. }));
                let once = |index: &usize| {
                    sends.iter().filter(|it| entries[**it].what == entries[*index].what).count() == 1
                };
                let single: Vec<usize> = sends.iter().copied().filter(once).collect();
                let room = |index: usize| match &entries[index].what {
                    What::Sent { room, .. } => Some(room),
                    _ => None,
                };
                let together = |pair: &&[usize]| {
                    let connection = &entries[pair[0]..pair[1]];
                    room(pair[0]) == room(pair[1])
                        && !connection.iter().any(|it| matches!(it.what, What::Connected { .. }))
                };
                let pairs: Vec<&[usize]> = single.windows(2).filter(together).collect();
                let [first, second] = *one(&pairs, random)? else { return None };
                let what = entries[first].what.clone();
                entries[first].what = std::mem::replace(&mut entries[second].what, what);
                Some(Kind::Reordered)
            }
            _ => {
                let index = one(&which(entries, |it| matches!(it, What::Sent { .. })), random)?;
                let What::Sent { room, id } = entries[index].what.clone() else { return None };
                let from = Arc::clone(&history.user);
                let log = run.logs.iter_mut().find(|log| log.room == room)?;
                let place = Place { seq: log.head.seq + 1, ..log.head.clone() };
                log.events.push(Logged { place: place.clone(), from: from.clone(), id: id.clone() });
                log.head = place.clone();
                let again = Entry { at: end, what: What::Event { room, place, from, id } };
                run.histories.iter_mut().for_each(|reader| reader.entries.push(again.clone()));
                Some(Kind::Duplicate)
            }
        }
    }
}

/// One of several, if there are any.
fn one<T: Copy>(from: &[T], random: &mut Random) -> Option<T> {
    (!from.is_empty()).then(|| from[random.below(from.len())])
}

fn is_event(what: &What) -> bool {
    matches!(what, What::Event { .. })
}

/// The indices of the entries that are so.
fn which(entries: &[Entry], is: impl Fn(&What) -> bool) -> Vec<usize> {
    (0..entries.len()).filter(|index| is(&entries[*index].what)).collect()
}

/// Events that follow each other in one room without anything between that could excuse one.
fn neighbours(entries: &[Entry]) -> Vec<(usize, usize)> {
    let (mut pairs, mut last) = (Vec::new(), HashMap::new());
    for (index, entry) in entries.iter().enumerate() {
        match &entry.what {
            What::Event { room, .. } => pairs.extend(last.insert(&**room, index).map(|one| (one, index))),
            What::Joined { room, .. } | What::Reset { room, .. } | What::Left { room } => {
                last.remove(&**room);
            }
            What::Disconnected { .. } => last.clear(),
            _ => {}
        }
    }
    pairs
}

/// Plants it in the run that the seed gives; it must be named.
fn named(plant: Plant, mut run: Run, seed: u64) -> Result<(), TestCaseError> {
    let Some(name) = plant.plant(&mut run, &mut Random::new(!seed)) else {
        return Err(TestCaseError::reject("no place for it"));
    };
    let found = run.found();
    prop_assert!(found.contains(&name), "{plant:?} is called {found:?}, and not {name:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_random_good_history_passes(seed: u64, steps in 10..120_usize, forks: bool) {
        prop_assert_eq!(play(seed, steps, forks).found(), []);
    }

    #[test]
    fn a_violation_in_a_random_history_is_named(
        seed: u64,
        steps in 20..120_usize,
        plant in proptest::sample::select(&Plant::ANY[..]),
    ) {
        named(plant, play(seed, steps, false), seed)?;
    }

    #[test]
    fn a_fork_that_one_was_not_told_of_is_named_in_a_random_history(seed: u64, steps in 40..120_usize) {
        named(Plant::ForkNotTold, play(seed, steps, true), seed)?;
    }
}
