//! A bound on how deeply JSON may nest, checked before anything parses it.

/// Whether no array or object in `json` nests deeper than `limit` levels.
///
/// It scans bytes and knows only strings and brackets, so it answers for malformed text too; the parser that
/// comes next finds what is wrong there. `serde_json` skips values without recursion, so nothing overflows
/// without this check: the bound is for those who will parse what we only pass on.
pub fn within(json: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    true
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn counts_brackets_outside_strings_only() {
        assert!(within(br#"{"a":[1,{"b":2}]}"#, 3));
        assert!(!within(br#"{"a":[1,{"b":2}]}"#, 2));
        assert!(within(br#"{"a":"[[[[[\"[[["}"#, 1));
        assert!(within(b"]]]][", 1));
        assert!(!within("[".repeat(100_000).as_bytes(), 32));
        assert!(within(br#""\"#, 1));
    }
}
