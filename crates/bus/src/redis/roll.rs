//! Which nodes live, as this one knows it.
//!
//! After an outage of Redis everybody has been silent. So a node is called gone only when it was not heard of for as long
//! as that takes *while this one was heard itself*: nobody is taken for dead because nobody could speak.

use std::collections::{HashMap, VecDeque};

use tokio::time::{Duration, Instant};

/// How many nodes that are gone are remembered.
const GONE: usize = 1_000;

pub(super) struct Roll {
    /// When each was heard of last.
    heard: HashMap<String, Instant>,
    /// Those that were called gone, the last ones at the end.
    gone: VecDeque<String>,
    /// Since when this one has been answered without a break; none while it is not.
    steady: Option<Instant>,
    patience: Duration,
}

impl Roll {
    pub(super) fn new(patience: Duration) -> Self {
        Self { heard: HashMap::new(), gone: VecDeque::new(), steady: None, patience }
    }

    /// The nodes that are not known to be gone.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.heard.keys().map(String::as_str)
    }

    /// The nodes that are known to be gone: whoever is somewhere by way of them only is not there.
    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        self.gone.iter().map(String::as_str)
    }

    /// This one was not answered.
    pub(super) fn missed(&mut self) {
        self.steady = None;
    }

    /// This one was answered that these live. Gives those that are gone.
    pub(super) fn answered<'a>(&mut self, live: impl Iterator<Item = &'a str>, now: Instant) -> Vec<String> {
        for node in live {
            self.heard.insert(node.to_owned(), now);
            self.gone.retain(|gone| gone != node);
        }
        let steady = *self.steady.get_or_insert(now);
        let gone = |heard: Instant| now.saturating_duration_since(heard.max(steady)) > self.patience;
        let gone: Vec<String> =
            self.heard.iter().filter(|(_, heard)| gone(**heard)).map(|(node, _)| node.clone()).collect();
        for node in &gone {
            self.heard.remove(node);
            self.gone.push_back(node.clone());
        }
        self.gone.drain(..self.gone.len().saturating_sub(GONE));
        gone
    }

    /// Somebody is said to be somewhere by way of a node that nobody spoke of. It may have just come.
    pub(super) fn suspect(&mut self, node: &str, now: Instant) {
        // Anybody who reaches Redis can write any name there.
        const MOST: usize = 100_000;
        let new = !self.heard.contains_key(node) && !self.gone().any(|gone| gone == node);
        if new && self.heard.len() < MOST {
            self.heard.insert(node.to_owned(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_is_silent_is_gone_once() {
        let start = Instant::now();
        let mut roll = Roll::new(seconds(7));
        assert!(roll.answered(["a", "b"].into_iter(), start).is_empty());
        assert!(roll.answered(["a"].into_iter(), start + seconds(7)).is_empty());
        assert_eq!(roll.answered(["a"].into_iter(), start + seconds(8)), ["b"]);
        assert!(roll.answered(["a"].into_iter(), start + seconds(30)).is_empty());
        assert_eq!(
            (roll.known().collect::<Vec<_>>(), roll.gone().collect::<Vec<_>>()),
            (vec!["a"], vec!["b"])
        );
        roll.suspect("b", start + seconds(31));
        assert_eq!(roll.known().collect::<Vec<_>>(), ["a"], "what is gone is no stranger");
        roll.answered(["a", "b"].into_iter(), start + seconds(32));
        assert_eq!(roll.gone().count(), 0, "it was cut off, and is back");
    }

    #[test]
    fn an_outage_kills_nobody() {
        let start = Instant::now();
        let mut roll = Roll::new(seconds(7));
        roll.answered(["a", "b"].into_iter(), start);
        roll.missed();
        assert!(roll.answered(["a"].into_iter(), start + seconds(60)).is_empty());
        assert!(roll.answered(["a", "b"].into_iter(), start + seconds(62)).is_empty());
        assert_eq!(roll.answered(["a"].into_iter(), start + seconds(70)), ["b"]);
    }

    #[test]
    fn a_stranger_has_its_time() {
        let start = Instant::now();
        let mut roll = Roll::new(seconds(7));
        roll.answered(["a"].into_iter(), start);
        roll.suspect("x", start + seconds(10));
        roll.suspect("x", start + seconds(16));
        assert!(roll.answered(["a"].into_iter(), start + seconds(17)).is_empty());
        assert_eq!(roll.answered(["a"].into_iter(), start + seconds(18)), ["x"]);
    }
}
