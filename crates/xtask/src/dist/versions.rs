//! One version for all that is given away together.

use super::changelog::Section;
use crate::root;
use crate::step::{Outcome, read};

/// Whether everything that names the version names this one.
///
/// # Errors
/// With the file that has another.
pub(super) fn agree(version: &str) -> Outcome {
    let expected = [
        ("deploy/helm/chorus/Chart.yaml", format!("\nversion: {version}\n")),
        ("deploy/helm/chorus/Chart.yaml", format!("\nappVersion: \"{version}\"\n")),
        ("deploy/helm/chorus/README.md", format!("/chorus:{version} ")),
        ("clients/js/package.json", format!("\n  \"version\": \"{version}\",\n")),
    ];
    for (file, text) in expected {
        if !read(&root().join(file))?.contains(&text) {
            return Err(format!(
                "{file} has no {:?}: Cargo.toml says {version}, and all have one version",
                text.trim()
            ));
        }
    }
    Ok(())
}

/// Whether a tag may be put on this: it names the version, and the changelog knows the day.
///
/// # Errors
/// With what to change.
pub(super) fn fits(tag: &str, version: &str, changes: &Section) -> Outcome {
    if tag != format!("v{version}") {
        return Err(format!("the tag is {tag}, and Cargo.toml says {version}: it should be v{version}"));
    }
    if changes.date.is_none() {
        return Err(format!(
            "CHANGELOG.md says that {version} is unreleased: put the day there, and tag that commit"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{AUDITABLE, STATIC, VERSION, changelog};

    #[test]
    fn all_that_is_released_together_has_one_version_and_the_changelog_knows_it() {
        agree(VERSION).unwrap();
        changelog::section(&read(&root().join("CHANGELOG.md")).unwrap(), VERSION).unwrap();
    }

    #[test]
    fn the_image_has_its_program_built_in_the_same_way() {
        let dockerfile = read(&root().join("deploy/Dockerfile")).unwrap();
        let (name, version) = AUDITABLE.split_once('@').unwrap();
        for text in
            [format!("RUSTFLAGS=\"{STATIC}\""), format!("cargo install {name} --version {version} --locked")]
        {
            assert!(dockerfile.contains(&text), "deploy/Dockerfile has no {text}");
        }
    }

    #[test]
    fn another_version_is_named_with_its_file() {
        let error = agree("99.0.0").unwrap_err();
        assert!(error.starts_with("deploy/helm/chorus/Chart.yaml") && error.contains("99.0.0"), "{error}");
    }

    #[test]
    fn a_tag_is_of_this_version_and_of_a_day() {
        let changes =
            |date: Option<&str>| Section { date: date.map(str::to_owned), text: "- one\n".to_owned() };
        assert_eq!(fits("v1.2.3", "1.2.3", &changes(Some("2026-01-31"))), Ok(()));
        assert!(fits("v1.2.3", "1.2.3", &changes(None)).unwrap_err().contains("unreleased"));
        assert!(fits("1.2.3", "1.2.3", &changes(Some("2026-01-31"))).unwrap_err().contains("v1.2.3"));
    }
}
