//! Whatever a configuration file holds: it is taken, and what is printed of it can be read again, or it is refused in
//! one line.
#![no_main]

use gateway::config::{Config, Sources};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = std::env::temp_dir().join(format!("chorus-fuzz-{}.toml", std::process::id()));
    std::fs::write(&path, text).expect("a temporary file can be written");
    let sources = Sources { file: Some(path.clone()), ..Sources::default() };
    match Config::load(&sources) {
        Ok(config) => assert!(!config.to_toml().is_empty()),
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
});
