//! `CHANGELOG.md`, which is kept by hand in the form of keepachangelog.com: a section for each version, the newest first.

/// What a version changed.
#[derive(Debug, PartialEq)]
pub(super) struct Section {
    /// The day of the release; none before it.
    pub(super) date: Option<String>,
    /// The section without its heading, in Markdown.
    pub(super) text: String,
}

/// The section of a version.
///
/// # Errors
/// When there is none, when its heading has another form, and when nothing stands in it.
pub(super) fn section(changelog: &str, version: &str) -> Result<Section, String> {
    let start = format!("## [{version}]");
    let mut lines = changelog.lines().skip_while(|line| !line.starts_with(&start));
    let heading = lines.next().ok_or_else(|| {
        format!("CHANGELOG.md has no \"{start} - unreleased\": say there what this version changes")
    })?;
    let date = match heading.strip_prefix(&start).and_then(|rest| rest.strip_prefix(" - ")) {
        Some("unreleased") => None,
        Some(date) if is_date(date) => Some(date.to_owned()),
        _ => {
            return Err(format!(
                "CHANGELOG.md: expected \"{start} - unreleased\" or a date as 2026-01-31, and there is {heading:?}"
            ));
        }
    };
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let text = lines.join("\n").trim().to_owned() + "\n";
    if text.trim().is_empty() {
        return Err(format!("CHANGELOG.md: nothing stands below {heading:?}"));
    }
    Ok(Section { date, text })
}

fn is_date(text: &str) -> bool {
    let form = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    text.bytes().map(form).eq(*b"0000-00-00")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "\
# Changelog

## [0.2.0] - unreleased

### Added
- one

## [0.1.0] - 2026-01-31
- two

## [0.0.9] - soon
- three

## [0.0.8] - 2026-01-01

## [0.0.7] - 2025-01-01
- four
";

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let of = |version| section(CHANGELOG, version);
        assert_eq!(of("0.2.0"), Ok(Section { date: None, text: "### Added\n- one\n".to_owned() }));
        let released = Section { date: Some("2026-01-31".to_owned()), text: "- two\n".to_owned() };
        assert_eq!(of("0.1.0"), Ok(released));
        assert_eq!(of("0.0.7").unwrap().text, "- four\n");
    }

    #[test]
    fn what_is_missing_is_said() {
        for (version, word) in
            [("0.3.0", "has no"), ("0.2", "has no"), ("0.0.9", "a date"), ("0.0.8", "nothing")]
        {
            let error = section(CHANGELOG, version).unwrap_err();
            assert!(error.contains(word), "{version}: {error}");
        }
    }
}
