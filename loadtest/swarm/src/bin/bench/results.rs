//! What was measured, kept as JSON lines: the page is made from them, and anyone can look closer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swarm::run::Outcome;

/// One round of one server at one point of one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The workload's name.
    pub workload: String,
    /// The server's, and how it was configured if that differs.
    pub server: String,
    /// The point: messages a second, members, rooms.
    pub at: f64,
    /// What a phase of the load generator came to, if that was it.
    pub outcome: Option<Outcome>,
    /// Other figures, by name and unit.
    pub figures: BTreeMap<String, f64>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Results {
    path: PathBuf,
    records: Vec<Record>,
}

/// A median, and between what it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The least.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The most.
    pub most: f64,
}

impl Results {
    /// Those that are kept in a directory, if there are any.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn open(directory: &Path) -> Result<Self, String> {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let path = directory.join("results.jsonl");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let records = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        Ok(Self { records: records.map_err(|error| format!("{}: {error}", path.display()))?, path })
    }

    /// Forgets a workload, which is about to be measured again.
    pub(crate) fn forget(&mut self, workload: &str) {
        self.records.retain(|record| record.workload != workload);
    }

    /// Takes one down, on disk at once: a run of an hour may be cut off.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&mut self, record: Record) -> Result<(), String> {
        self.records.push(record);
        let lines =
            self.records.iter().map(|record| serde_json::to_string(record).unwrap_or_default() + "\n");
        fs::write(&self.path, lines.collect::<String>()).map_err(|error| error.to_string())
    }

    /// Those of a workload.
    pub(crate) fn of(&self, workload: &str) -> impl Iterator<Item = &Record> + Clone {
        self.records.iter().filter(move |record| record.workload == workload)
    }

    /// A workload's servers, in the order they were measured in.
    pub(crate) fn servers(&self, workload: &str) -> Vec<String> {
        let mut servers = Vec::new();
        for record in self.of(workload) {
            if !servers.contains(&record.server) {
                servers.push(record.server.clone());
            }
        }
        servers
    }

    /// A workload's points for a server, ascending.
    pub(crate) fn points(&self, workload: &str, server: &str) -> Vec<f64> {
        let mut points: Vec<f64> =
            self.of(workload).filter(|record| record.server == server).map(|record| record.at).collect();
        points.sort_by(f64::total_cmp);
        points.dedup();
        points
    }

    /// A figure of a server at a point, over the rounds.
    pub(crate) fn spread(
        &self,
        workload: &str,
        server: &str,
        at: f64,
        figure: impl Fn(&Record) -> Option<f64>,
    ) -> Option<Spread> {
        let rounds = self.of(workload).filter(|record| record.server == server && same(record.at, at));
        Spread::of(rounds.filter_map(figure).collect())
    }
}

/// Whether two points are one.
pub(crate) fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits()
}

impl Spread {
    /// Of some values; none of none.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self { least, median: values[values.len() / 2], most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_all_rounds() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!(spread, Some(Spread { least: 1.0, median: 2.0, most: 3.0 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
