//! Whether who was banned stayed out, and who was muted was not heard. Pure.

use std::ops::Range;
use std::sync::Arc;

use super::checker::{Kind, Violation};

/// By then a ban and a mute hold on every node that reaches Redis, in milliseconds.
pub const EFFECTIVE_MS: u64 = 1000;

/// A time that somebody spent with a node, or an instant at which something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Who.
    pub user: Arc<str>,
    /// With which node.
    pub node: Arc<str>,
    /// From when to when, in milliseconds since the run began.
    pub times: Range<u64>,
}

/// Which of these ought not to have been: all of them, but for the times `excused` in which what was forbidden was not
/// yet, or could not be known.
pub fn check(stays: &[Stay], excused: &[Range<u64>]) -> Vec<Violation> {
    let mut excused = excused.to_vec();
    excused.sort_by_key(|times| times.start);
    let mut violations = Vec::new();
    for Stay { user, node, times } in stays {
        // The first instant that nothing excuses.
        let mut at = times.start;
        for excuse in &excused {
            if excuse.contains(&at) {
                at = excuse.end;
            }
        }
        if at < times.end {
            let what = format!("with {node} from {} to {} ms", times.start, times.end);
            violations.push(Violation { kind: Kind::LetIn, at, who: Arc::clone(user), what });
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_banned_has_no_time_that_nothing_excuses() {
        let found = |times: Range<u64>| {
            let stay = Stay { user: "eve".into(), node: "node-0".into(), times };
            let violations = check(&[stay], &[20..30, 0..10, 28..40]);
            violations.first().map(|it| (it.kind, it.at))
        };
        assert_eq!(found(5..9), None);
        assert_eq!(found(5..11), Some((Kind::LetIn, 10)));
        assert_eq!(found(12..13), Some((Kind::LetIn, 12)));
        assert_eq!(found(22..39), None, "one excuse goes on where another ends");
        assert_eq!(found(22..41), Some((Kind::LetIn, 40)));
    }
}
