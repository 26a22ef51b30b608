//! Who a node is.

use std::fmt;

/// A node's name and its incarnation: a node that starts again under its name is another node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(std::sync::Arc<str>);

impl NodeId {
    /// Gives `name` a new incarnation. What is not a letter, a digit, `-`, `_` or `.` becomes `-`, and the name
    /// is cut to 40 bytes, for it stands in channel names and keys.
    pub fn new(name: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = name.chars().map(plain).take(40).collect();
        Self(format!("{name}~{}", crate::epoch::random_id()).into())
    }

    /// The text, `<name>~<incarnation>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
