//! Where in a trace an append stands, as W3C's `traceparent` has it (Trace Context, section 3.2).

use std::fmt;

/// A span that others continue: which trace, and which span of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
}

impl TraceContext {
    /// The length of its text, in bytes.
    pub const BYTES: usize = 55;

    /// None if one of the two is 0, which stands for none.
    pub fn new(trace_id: u128, span_id: u64) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id })
    }

    /// Reads a `traceparent`, of this version or a later one; and whether whoever sent it keeps the trace. None if it
    /// is none.
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let (known, later) = text.split_at_checked(Self::BYTES)?;
        let mut parts = known.split('-');
        let mut number = |digits| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let plain = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u128::from_str_radix(part, 16).ok().filter(|_| plain)
        };
        let (version, trace_id, span_id, flags) = (number(2)?, number(32)?, number(16)?, number(2)?);
        // What a later version adds stands behind another dash.
        let ends = later.is_empty() || (version > 0 && later.starts_with('-'));
        let context = Self::new(trace_id, u64::try_from(span_id).ok()?)?;
        (version != 0xff && ends).then_some((context, flags & 1 == 1))
    }

    /// The trace.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span.
    pub fn span_id(&self) -> u64 {
        self.span_id
    }
}

/// A `traceparent` of a trace that is kept.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_comes_back() {
        let (context, kept) = TraceContext::parse(EXAMPLE).unwrap();
        assert!(kept);
        assert_eq!(context.to_string(), EXAMPLE);
        assert_eq!(EXAMPLE.len(), TraceContext::BYTES);
        let dropped = EXAMPLE.replace("-01", "-00");
        assert_eq!(TraceContext::parse(&dropped), Some((context, false)));
        let later = EXAMPLE.replace("00-4b", "01-4b");
        assert_eq!(TraceContext::parse(&later), Some((context, true)));
        assert_eq!(TraceContext::parse(&format!("{later}-more")), Some((context, true)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "00",
            &EXAMPLE[1..],
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE.replace("00-4b", "ff-4b"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &EXAMPLE.replace("4bf9", "+bf9"),
            &EXAMPLE.replace("4bf9", "4b-9"),
            &format!("{EXAMPLE}-more"),
            &"ä".repeat(55),
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
