//! What was counted, read from the text that Prometheus is given: so no count is kept twice, and nothing on a message's
//! way pays for it.

/// The counts that a node tells of.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) appends: u64,
    pub(super) deliveries: u64,
    pub(super) members: u64,
    pub(super) slow_readers: u64,
    pub(super) slow_closes: u64,
    pub(super) holes_filled: u64,
    pub(super) resets: u64,
    pub(super) reconnects: u64,
    /// Of each bucket of `chorus_append_seconds` its upper bound in seconds and how many there were up to it, ascending.
    pub(super) append_seconds: Vec<(f64, u64)>,
}

impl Figures {
    /// Reads what a scrape would.
    pub(super) fn read(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            // What is no whole number is none of ours.
            let Ok(value) = value.parse() else { continue };
            figures.take(series, value);
        }
        figures
    }

    fn take(&mut self, series: &str, value: u64) {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        match name {
            "chorus_appends_total" => self.appends += value,
            "chorus_deliveries_total" => self.deliveries += value,
            "chorus_members" => self.members += value,
            "chorus_slow_readers" => self.slow_readers += value,
            "chorus_closes_total" if labels.contains("reason=\"slow_consumer\"") => self.slow_closes += value,
            "chorus_bus_holes_filled_total" => self.holes_filled += value,
            "chorus_bus_resets_total" => self.resets += value,
            "chorus_bus_reconnects_total" => self.reconnects += value,
            "chorus_append_seconds_bucket" => {
                let bound = labels.split_once("le=\"").and_then(|(_, rest)| rest.split_once('"'));
                // "+Inf" is a number, too.
                if let Some(bound) = bound.and_then(|(bound, _)| bound.parse().ok()) {
                    self.append_seconds.push((bound, value));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proto::Close;

    use super::*;
    use crate::metrics::tests::recorder_of_its_own;

    #[test]
    fn what_is_counted_is_read() {
        let (recorder, register) = recorder_of_its_own();
        let handle = recorder.handle();
        let metrics = Arc::new(::metrics::with_local_recorder(&recorder, register));
        let none = Figures::read(&handle.render());
        let bounds: Vec<f64> = none.append_seconds.iter().map(|(bound, _)| *bound).collect();
        assert!(bounds.is_sorted() && bounds.last() == Some(&f64::INFINITY), "{bounds:?}");
        assert!(none.append_seconds.iter().all(|(_, count)| *count == 0), "{none:?}");
        let before = Figures { append_seconds: Vec::new(), ..none };
        assert_eq!(before, Figures::default());

        metrics.appends.increment(3);
        metrics.deliveries.increment(40);
        metrics.members.increment(5.0);
        metrics.slow_readers.set(2.0);
        metrics.closed(Close::SlowConsumer);
        metrics.closed(Close::Banned);
        for ms in [1, 30, 30] {
            metrics.append_seconds.record(Duration::from_millis(ms));
        }
        ::metrics::with_local_recorder(&recorder, || {
            ::metrics::counter!("chorus_bus_holes_filled_total").increment(7);
            ::metrics::counter!("chorus_bus_resets_total", "reason" => "forked").increment(1);
            ::metrics::counter!("chorus_bus_resets_total", "reason" => "trimmed").increment(2);
            ::metrics::counter!("chorus_bus_reconnects_total").increment(6);
        });
        let mut counts = Figures::read(&handle.render());
        let append_seconds = std::mem::take(&mut counts.append_seconds);
        let expected = Figures {
            appends: 3,
            deliveries: 40,
            members: 5,
            slow_readers: 2,
            slow_closes: 1,
            holes_filled: 7,
            resets: 3,
            reconnects: 6,
            append_seconds: Vec::new(),
        };
        assert_eq!(counts, expected);
        let up_to = |ms: f64| append_seconds.iter().find(|(bound, _)| *bound >= ms / 1000.0).map(|(_, n)| *n);
        assert_eq!((up_to(0.5), up_to(1.0), up_to(30.0), up_to(1e9)), (Some(0), Some(1), Some(3), Some(3)));
    }
}
