//! Which nodes live, as this one knows it.
//!
//! After an outage of Redis everybody has been silent. So a node is called gone only when it was not heard of for as long
//! as that takes *while this one was heard itself*: nobody is taken for dead because nobody could speak.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};

pub(super) struct Roll {
    /// When each was heard of last.
    heard: HashMap<String, Instant>,
    /// Since when this one has been answered without a break; none while it is not.
    steady: Option<Instant>,
    patience: Duration,
}

impl Roll {
    pub(super) fn new(patience: Duration) -> Self {
        Self { heard: HashMap::new(), steady: None, patience }
    }

    /// The nodes that are not known to be gone.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.heard.keys().map(String::as_str)
    }

    /// This one was not answered.
    pub(super) fn missed(&mut self) {
        self.steady = None;
    }

    /// This one was answered that these live. Gives those that are gone.
    pub(super) fn answered<'a>(&mut self, live: impl Iterator<Item = &'a str>, now: Instant) -> Vec<String> {
        for node in live {
            self.heard.insert(node.to_owned(), now);
        }
        let steady = *self.steady.get_or_insert(now);
        let gone = |heard: Instant| now.saturating_duration_since(heard.max(steady)) > self.patience;
        let gone: Vec<String> =
            self.heard.iter().filter(|(_, heard)| gone(**heard)).map(|(node, _)| node.clone()).collect();
        for node in &gone {
            self.heard.remove(node);
        }
        gone
    }

    /// Somebody is said to be somewhere by way of a node that nobody spoke of. It may have just come.
    pub(super) fn suspect(&mut self, node: &str, now: Instant) {
        // Anybody who reaches Redis can write any name there.
        const MOST: usize = 100_000;
        if self.heard.len() < MOST && !self.heard.contains_key(node) {
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
        assert_eq!(roll.known().collect::<Vec<_>>(), ["a"]);
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
