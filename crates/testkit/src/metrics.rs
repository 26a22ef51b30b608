//! A reading of `/metrics`.

use std::fmt;

/// The samples of one scrape, in the Prometheus text format.
#[derive(Clone)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone)]
struct Sample {
    name: String,
    /// As written between the braces.
    labels: String,
    value: f64,
}

impl Metrics {
    /// Reads the text format.
    ///
    /// # Panics
    /// At a line that is neither a comment nor a sample.
    pub fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Sample {
                name: name.to_owned(),
                labels: labels.trim_end_matches('}').to_owned(),
                value: value.parse().unwrap_or_else(|_| panic!("not a number: {line}")),
            }
        };
        Self(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(sample).collect())
    }

    /// The sum of a metric over all its labels, or `None` when it does not occur.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().filter(|s| s.name == name).map(|s| s.value).reduce(|sum, value| sum + value)
    }

    /// The sum of a metric over all its labels; 0 for one that does not occur, as a counter that never counted.
    pub fn sum(&self, name: &str) -> f64 {
        self.get(name).unwrap_or(0.0)
    }

    /// The sum of the samples that carry this label.
    pub fn with(&self, name: &str, label: &str, value: &str) -> f64 {
        let wanted = format!("{label}=\"{value}\"");
        let carries = |s: &&Sample| s.name == name && s.labels.split(',').any(|l| l == wanted);
        self.0.iter().filter(carries).map(|s| s.value).fold(0.0, |sum, value| sum + value)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = |s: &Sample| (format!("{}{{{}}}", s.name, s.labels), s.value);
        f.debug_map().entries(self.0.iter().map(entry)).finish()
    }
}
