//! The layers of the configuration, and what is said when one of them is wrong.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
};

use super::{
    Config, Namespaces,
    check::{Complaint, check},
    setting::{Expected, Setting},
};

/// The section that has a table for each namespace.
const NAMESPACES: &str = "namespaces";

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, when one was named by a flag.
    pub file: Option<PathBuf>,
    /// The environment; only `CHORUS_*` is looked at.
    pub environment: BTreeMap<String, String>,
    /// Keys and values of flags.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The file that is read, if there is one.
    pub fn place(&self) -> Option<PathBuf> {
        let variable = || self.environment.get("CHORUS_CONFIG").map(PathBuf::from);
        self.file.clone().or_else(variable)
    }
}

/// Why a configuration is refused: one line that names the key, the value, and what would be right.
/// It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(line: impl AsRef<str>) -> Self {
        Self(line.as_ref().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A value and where it was found.
struct Given {
    value: toml::Value,
    origin: String,
}

/// Everything that was given, by key; a later layer replaces what an earlier one said.
struct Layers {
    settings: Vec<Setting>,
    given: BTreeMap<String, Given>,
}

pub(super) fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut layers = Layers { settings: settings(), given: BTreeMap::new() };
    if let Some(file) = sources.place() {
        layers.file(&file)?;
    }
    layers.environment(&sources.environment)?;
    for (key, value) in &sources.flags {
        layers.flag(key, value);
    }
    layers.build()
}

/// The machine's name, or `chorus` if it has none that can be printed.
pub(super) fn host_name() -> String {
    let name = gethostname::gethostname();
    let printable =
        name.to_str().filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
    printable.map_or_else(|| "chorus".to_owned(), |name| name.chars().take(64).collect())
}

/// Every setting with its whole key, sections resolved.
pub(super) fn settings() -> Vec<Setting> {
    let mut all = Vec::new();
    for setting in Config::settings() {
        if let Expected::Section(inner) = setting.expected {
            // Which namespaces there are, nobody knows; their settings have a place of their own in the file.
            let of = if setting.key == NAMESPACES { &format!("{NAMESPACES}.*") } else { &setting.key };
            all.extend(inner.into_iter().map(|s| Setting { key: format!("{of}.{}", s.key), ..s }));
        } else {
            all.push(setting);
        }
    }
    all
}

impl Layers {
    fn file(&mut self, path: &PathBuf) -> Result<(), ConfigError> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::new(format!("the configuration file {shown}: {error}")))?;
        let table: toml::Table = text.parse().map_err(|error| syntax(path, &text, &error))?;
        for (key, value) in flat(table) {
            self.given.insert(key, Given { value, origin: format!("in {shown}") });
        }
        Ok(())
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let settings = self.settings.iter().filter(|setting| !setting.key.starts_with(NAMESPACES));
        let known: HashMap<String, &Setting> = settings.map(|s| (s.variable(), s)).collect();
        for (name, text) in environment.iter().filter(|(name, _)| name.starts_with("CHORUS_")) {
            if name.starts_with("CHORUS_NAMESPACES_") {
                // What of it were the namespace's name, nobody could tell.
                let line =
                    format!("{name} is not a setting: namespaces stand in a file, as [namespaces.<name>]");
                return Err(ConfigError::new(line));
            }
            if let Some(setting) = known.get(name) {
                let given = Given { value: setting.read(text), origin: format!("from {name}") };
                self.given.insert(setting.key.clone(), given);
                continue;
            }
            // Some leave their section out, or have another in front of it. Whoever writes it must not believe that it holds: a
            // node that is not told the audience takes the tokens of all.
            let is_meant = |known: &Setting| {
                let of_tokens = known.key.strip_prefix("auth.");
                of_tokens.is_some_and(|key| name.ends_with(&format!("_{}", key.to_uppercase())))
            };
            let near =
                known.iter().find(|(near, known)| is_meant(known) || strsim::osa_distance(near, name) <= 2);
            if let Some((near, _)) = near {
                // Others may have variables of this prefix too (Kubernetes sets some), but hardly such.
                return Err(ConfigError::new(format!("{name} is not a setting: did you mean {near}?")));
            }
        }
        Ok(())
    }

    fn flag(&mut self, key: &str, text: &str) {
        if let Some(setting) = self.settings.iter().find(|setting| setting.key == key) {
            let origin = format!("from --{}", key.replace('_', "-"));
            self.given.insert(key.to_owned(), Given { value: setting.read(text), origin });
        }
    }

    fn build(self) -> Result<Config, ConfigError> {
        for (key, given) in &self.given {
            let setting = self.setting(key).ok_or_else(|| self.unknown(key, given))?;
            if !setting.admits(&given.value) {
                return Err(self.wrong(key, None));
            }
        }
        let config: Config = serde_path_to_error::deserialize(toml::Value::Table(nested(&self.given)))
            .map_err(|error| {
                let path = error.path().to_string();
                // A list's path ends in the index of the item.
                self.wrong(path.split('[').next().unwrap_or(&path), None)
            })?;
        check(&config).map_err(|Complaint { key, instead }| self.wrong(&key, instead))?;
        Ok(config)
    }

    /// The setting that a key is of.
    fn setting(&self, key: &str) -> Option<&Setting> {
        let any = key.strip_prefix(NAMESPACES).and_then(|rest| rest.strip_prefix('.')).and_then(|rest| {
            // A namespace's name may have a dot in it, a setting's has none.
            let (name, setting) = rest.rsplit_once('.')?;
            Namespaces::is_name(name).then(|| format!("{NAMESPACES}.*.{setting}"))
        });
        let key = any.as_deref().unwrap_or(key);
        self.settings.iter().find(|setting| setting.key == *key)
    }

    /// The line about a setting that is wrong.
    fn wrong(&self, key: &str, instead: Option<&str>) -> ConfigError {
        let given = self.given.get(key);
        let value = given.map_or_else(|| default(key), |given| shown(key, &given.value));
        let origin = given.map_or("by default", |given| &given.origin);
        let setting = self.setting(key);
        let declared = || setting.map(|setting| setting.expected.to_string());
        let expected = instead.map(str::to_owned).or_else(declared).unwrap_or_default();
        ConfigError::new(format!("{key} = {value} ({origin}): expected {expected}"))
    }

    /// The line about a key that is none.
    fn unknown(&self, key: &str, Given { value, origin }: &Given) -> ConfigError {
        if let Some(name) = key.strip_suffix('.').or((key == NAMESPACES).then_some(key)) {
            return ConfigError::new(format!(
                "{name} ({origin}) is not a table: write [namespaces.<name>], and its settings below"
            ));
        }
        let namespace = key.strip_prefix("namespaces.").and_then(|rest| rest.rsplit_once('.'));
        if let Some((name, _)) = namespace
            && !Namespaces::is_name(name)
        {
            return ConfigError::new(format!(
                "namespaces.{name} ({origin}) is no namespace: expected the part of room names before the first colon, \
                 or \"@\" for users' own rooms"
            ));
        }
        if self.settings.iter().any(|setting| setting.key.starts_with(&format!("{key}."))) {
            return ConfigError::new(format!(
                "{key} ({origin}) is a table: write [{key}], and its settings below"
            ));
        }
        if let Some((name, last)) = namespace.filter(|_| value.is_table()) {
            return ConfigError::new(format!(
                "{key} ({origin}) is not a setting: a name with a dot stands in quotes, [namespaces.\"{name}.{last}\"]"
            ));
        }
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let likeness = |setting: &Setting| {
            // A namespace's name is like nothing else.
            let whole = if namespace.is_some() { 0.0 } else { strsim::jaro_winkler(&setting.key, key) };
            whole.max(strsim::jaro_winkler(&last(&setting.key), &last(key)))
        };
        let in_namespaces =
            |setting: &&Setting| setting.key.starts_with(NAMESPACES) == key.starts_with(NAMESPACES);
        let nearest =
            self.settings.iter().filter(in_namespaces).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let advice = nearest.filter(|setting| likeness(setting) > 0.85).map_or(
            "docs/CONFIGURATION.md lists them all".to_owned(),
            |near| {
                let name = namespace.map_or("*", |(name, _)| name);
                format!("did you mean {}?", near.key.replace('*', name))
            },
        );
        ConfigError::new(format!("{key} ({origin}) is not a setting: {advice}"))
    }
}

/// A table's values by their whole keys.
pub(super) fn flat(table: toml::Table) -> BTreeMap<String, toml::Value> {
    let mut all = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(namespaces) if key == NAMESPACES => {
                for (name, namespace) in namespaces {
                    let inner = match namespace {
                        toml::Value::Table(inner) => inner,
                        value => toml::Table::from_iter([(String::new(), value)]),
                    };
                    all.extend(
                        inner.into_iter().map(|(inner, value)| (format!("{key}.{name}.{inner}"), value)),
                    );
                }
            }
            toml::Value::Table(section) => {
                all.extend(section.into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            value => {
                all.insert(key, value);
            }
        }
    }
    all
}

/// The opposite of [`flat`].
fn nested(given: &BTreeMap<String, Given>) -> toml::Table {
    let mut table = toml::Table::new();
    for (key, Given { value, .. }) in given {
        let Some((section, key)) = key.split_once('.') else {
            table.insert(key.clone(), value.clone());
            continue;
        };
        let namespace = key.rsplit_once('.').filter(|_| section == NAMESPACES);
        let (path, key) = match namespace {
            Some((name, key)) => (vec![section, name], key),
            None => (vec![section], key),
        };
        let inner = path.into_iter().try_fold(&mut table, |table, name| {
            let inner = table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            inner.as_table_mut()
        });
        if let Some(inner) = inner {
            inner.insert(key.to_owned(), value.clone());
        }
    }
    table
}

/// A default, as it would stand in a file.
fn default(key: &str) -> String {
    let table = toml::Table::try_from(Config::default()).unwrap_or_default();
    flat(table).get(key).map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// A value as it is shown in an error: on one line, not too long, and never a secret.
fn shown(key: &str, value: &toml::Value) -> String {
    if ["auth.jwt_secret", "api_keys", "redis_url"].contains(&key) {
        return "(hidden)".to_owned();
    }
    let text = match value {
        toml::Value::String(text) => format!("{text:?}"),
        value => value.to_string(),
    };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn syntax(path: &std::path::Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
    ConfigError::new(format!("{}, line {line}: {}", path.display(), error.message()))
}
