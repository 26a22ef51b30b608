//! One of so many, evenly: what is sampled.

use std::sync::atomic::{AtomicU64, Ordering};

/// Picks a share of what comes by. It costs an addition, and no chance is in it: of a hundred, one in ten is ten.
#[derive(Debug, Default)]
pub struct Share(AtomicU64);

impl Share {
    /// Whether this one is picked, where `share` of all are to be: from 0, none, to 1, each.
    pub fn picks(&self, share: f64) -> bool {
        if share >= 1.0 {
            return true;
        }
        // Each adds its share of a whole turn of the counter, and whoever completes a turn is picked.
        #[expect(clippy::cast_sign_loss, reason = "negative ones become 0")]
        let step = (share * 2f64.powi(64)) as u64;
        self.0.fetch_add(step, Ordering::Relaxed).checked_add(step).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_it_says() {
        for (share, picked) in
            [(0.0, 0), (-1.0, 0), (0.001, 1), (0.25, 250), (0.999, 999), (1.0, 1000), (7.0, 1000)]
        {
            let sampler = Share::default();
            let count = (0..1000).filter(|_| sampler.picks(share)).count();
            assert!(count.abs_diff(picked) <= 1, "{share}: {count}");
        }
    }
}
