//! What is named where no compiler looks is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::root;
use crate::step::read;

/// Names of tests have many words; settings that stand in the same quotes have fewer.
const WORDS: usize = 5;

#[test]
fn each_test_that_the_threat_model_relies_on_exists() {
    let security = read(&root().join("SECURITY.md")).unwrap();
    let names: BTreeSet<&str> =
        security.split('`').skip(1).step_by(2).filter(|name| name.split('_').count() >= WORDS).collect();
    assert!(names.len() > 10, "{names:?}");
    let mut code = String::new();
    collect(&root().join("crates"), &mut code);
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "SECURITY.md names {name}, and there is no such test");
    }
}

#[test]
fn each_fuzz_target_has_its_night() {
    let nightly = read(&root().join(".github/workflows/nightly.yml")).unwrap();
    let mut targets = 0;
    for name in ["proto", "bus", "gateway"] {
        let directory = root().join("crates").join(name).join("fuzz/fuzz_targets");
        for file in fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let line = format!("{{ crate: {name}, target: {} }}", path.file_stem().unwrap().display());
            assert!(nightly.contains(&line), "nightly.yml has no {line}");
            targets += 1;
        }
    }
    assert_eq!(targets, nightly.matches("{ crate: ").count(), "nightly.yml fuzzes what is not there");
}

#[test]
fn both_who_look_for_advisories_look_past_the_same() {
    let looked_past = |file: &str| {
        let text = read(&root().join(file)).unwrap();
        text.split('"')
            .filter(|name| name.starts_with("RUSTSEC-"))
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(looked_past("deny.toml"), looked_past(".cargo/audit.toml"));
}

/// Every Rust source below a directory.
fn collect(directory: &Path, code: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            collect(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *code += &read(&path).unwrap();
        }
    }
}
