//! `docs/CONFIGURATION.md` is made from the settings' own declarations; this test keeps it so.

use std::{fmt::Write, fs};

use super::{
    Config,
    load::{flat, settings},
    setting::{Expected, Setting},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIGURATION.md");
const BEGIN: &str = "<!-- settings: made from crates/gateway/src/config.rs -->\n";
const END: &str = "<!-- end of settings -->";

/// `UPDATE_DOCS=1 cargo test -p gateway configuration_page` writes the page anew.
#[test]
fn the_configuration_page_says_what_the_declarations_say() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, made).unwrap();
    } else if made != page {
        panic!(
            "docs/CONFIGURATION.md is out of date: UPDATE_DOCS=1 cargo test -p gateway configuration_page"
        );
    }
}

/// A table for the top level and one for each section.
fn tables() -> String {
    let mut page = String::new();
    table(&mut page, settings().iter().filter(|setting| !setting.key.contains('.')));
    for section in
        Config::settings().iter().filter(|setting| matches!(setting.expected, Expected::Section(_)))
    {
        write!(page, "\n### `[{}]`\n\n{}\n\n", section.key, section.about).unwrap();
        let each = if section.key == "namespaces" { ".*" } else { "" };
        let prefix = format!("{}{each}.", section.key);
        table(&mut page, settings().iter().filter(|setting| setting.key.starts_with(&prefix)));
    }
    page
}

fn table<'a>(page: &mut String, rows: impl Iterator<Item = &'a Setting>) {
    // The host's name is another one on each host.
    let defaults = Config { node: "(host name)".to_owned(), ..Config::default() };
    let defaults = flat(toml::Table::try_from(&defaults).unwrap());
    page.push_str(
        "| key | environment, flag | default | may be | a new value holds | what it does |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for setting in rows {
        let key = setting.key.rsplit('.').next().unwrap();
        let flag = match key {
            "listen" | "redis_url" | "node" => format!(", `--{}`", key.replace('_', "-")),
            _ => String::new(),
        };
        let default = defaults.get(&setting.key).map_or_else(|| "–".to_owned(), |value| format!("`{value}`"));
        let (variable, may_be) = (setting.variable(), setting.expected.to_string());
        let variable = if variable.contains('*') { "–".to_owned() } else { format!("`{variable}`") };
        writeln!(
            page,
            "| `{key}` | {variable}{flag} | {default} | {may_be} | {} | {} |",
            setting.when, setting.about
        )
        .unwrap();
    }
}
