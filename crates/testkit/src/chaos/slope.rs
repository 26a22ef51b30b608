//! Whether something grows: the slope of a line through what was measured, and how sure that is.

use std::fmt;

/// What was measured is averaged over two minutes: neighbours in time say the same, and would seem to make it surer. What
/// the line leaves of one minute of a soak still goes with that of the next (0.2 to 0.3 of it, in each of three nodes); of two
/// minutes it does not (0.04 to 0.09).
const BLOCK_MS: u64 = 120_000;

/// How something grew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Its mean.
    pub mean: f64,
    /// By how much it grew in an hour.
    pub per_hour: f64,
    /// Half of the width of the interval, around `per_hour`, that holds the true slope in 95 of 100 cases.
    pub margin: f64,
}

impl Slope {
    /// Of pairs of milliseconds and values; none when they span less than ten minutes.
    pub fn of(points: &[(u64, f64)]) -> Option<Self> {
        let blocks: Vec<(f64, f64)> = points
            .chunk_by(|one, next| one.0 / BLOCK_MS == next.0 / BLOCK_MS)
            .map(|block| {
                let count = block.len() as f64;
                let hours = block.iter().map(|(at, _)| *at as f64 / 3_600_000.0).sum::<f64>() / count;
                (hours, block.iter().map(|(_, value)| value).sum::<f64>() / count)
            })
            .collect();
        let count = blocks.len() as f64;
        let freedom = count - 2.0;
        if freedom < 3.0 {
            return None;
        }
        let mean_of = |of: fn(&(f64, f64)) -> f64| blocks.iter().map(of).sum::<f64>() / count;
        let (middle, mean) = (mean_of(|block| block.0), mean_of(|block| block.1));
        let spread: f64 = blocks.iter().map(|(hours, _)| (hours - middle).powi(2)).sum();
        let per_hour =
            blocks.iter().map(|(hours, value)| (hours - middle) * (value - mean)).sum::<f64>() / spread;
        let residue = |(hours, value): &(f64, f64)| (value - mean - per_hour * (hours - middle)).powi(2);
        let error = (blocks.iter().map(residue).sum::<f64>() / freedom / spread).sqrt();
        Some(Self { mean, per_hour, margin: student(freedom) * error })
    }

    /// Whether it surely grows by more than this share of its mean in an hour.
    pub fn grows_by(&self, share: f64) -> bool {
        self.per_hour - self.margin > share * self.mean
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: f64| bytes / 1_048_576.0;
        let (mean, slope, margin) = (mebibytes(self.mean), mebibytes(self.per_hour), mebibytes(self.margin));
        write!(f, "{mean:.2} MiB, {slope:+.3} ± {margin:.3} MiB an hour (95 %)")
    }
}

/// The 97.5 % quantile of Student's t, by the first terms of its expansion around the normal one (Abramowitz and Stegun,
/// 26.7.5): 4 % too small at 3 degrees of freedom, exact to 1 % from 6 on.
fn student(freedom: f64) -> f64 {
    1.96 + 2.372 / freedom + 2.823 / freedom.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour, with something that goes up and down by one.
    fn hour(per_hour: f64) -> Vec<(u64, f64)> {
        let value = |second: u64| 100.0 + per_hour * second as f64 / 3600.0 + (second / 120 % 2) as f64;
        (0..3600).map(|second| (second * 1000, value(second))).collect()
    }

    #[test]
    fn what_grows_is_told_from_what_goes_up_and_down() {
        let (flat, steep) = (Slope::of(&hour(0.0)).unwrap(), Slope::of(&hour(10.0)).unwrap());
        assert!(flat.per_hour.abs() < flat.margin, "{flat:?}");
        assert!((steep.per_hour - 10.0).abs() < steep.margin, "{steep:?}");
        assert!((0.1..1.0).contains(&steep.margin), "{steep:?}");
        assert!(!flat.grows_by(0.0) && steep.grows_by(0.05) && !steep.grows_by(0.1));
    }

    #[test]
    fn minutes_are_too_few() {
        assert_eq!(Slope::of(&hour(1.0)[..480]), None);
        assert_eq!(Slope::of(&[]), None);
    }

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        for (freedom, table) in [(6.0, 2.447), (10.0, 2.228), (30.0, 2.042), (1000.0, 1.962)] {
            assert!((student(freedom) / table - 1.0).abs() < 0.01, "{freedom}");
        }
    }
}
