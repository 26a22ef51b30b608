//! What one setting is, and how sections of them are declared.

use std::{fmt, ops::RangeInclusive};

/// One setting, as its declaration says it.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Its key with its section, `limits.data_bytes`.
    pub(super) key: String,
    /// Its documentation, one paragraph.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the page that is checked by a test prints it"))]
    pub(super) about: &'static str,
    /// What is right.
    pub(super) expected: Expected,
    /// When a new value holds.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the page that is checked by a test prints it"))]
    pub(super) when: When,
}

/// When a new value of a setting holds, after the configuration was read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At once, for those who are connected, too.
    AtOnce,
    /// For those who connect from then on.
    NewConnections,
    /// For none: the node must be started again.
    Restart,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "at once",
            Self::NewConnections => "new connections",
            Self::Restart => "restart",
        })
    }
}

/// What a setting may be.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// A switch.
    Either,
    /// A whole number within bounds.
    Whole(RangeInclusive<i64>),
    /// A number from 0 to 1.
    Share,
    /// Some text; what is right in words.
    Text(&'static str),
    /// A list of texts; what is right in words. Commas separate them in the environment.
    List(&'static str),
    /// Not a setting but a table of them.
    Section(Vec<Setting>),
}

impl Setting {
    /// The environment variable of the same meaning: `CHORUS_` and the key.
    pub(super) fn variable(&self) -> String {
        // Those whose names leave their section out: everybody who deploys a cluster writes one of them.
        let key = match &*self.key {
            "auth.jwt_secret" | "auth.jwt_public_key" | "auth.jwks_url" => &self.key["auth.".len()..],
            key => key,
        };
        format!("CHORUS_{}", key.replace('.', "_").to_uppercase())
    }

    /// Reads what stands in an environment variable or a flag. What does not fit stays a text, which is then
    /// refused with the same words as in the file.
    pub(super) fn read(&self, text: &str) -> toml::Value {
        let plain = || toml::Value::String(text.to_owned());
        match self.expected {
            Expected::Either => text.trim().parse().map_or_else(|_| plain(), toml::Value::Boolean),
            Expected::Whole(_) => text.trim().parse().map_or_else(|_| plain(), toml::Value::Integer),
            Expected::Share => text.trim().parse().map_or_else(|_| plain(), toml::Value::Float),
            Expected::List(_) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect())
            }
            Expected::Text(_) | Expected::Section(_) => plain(),
        }
    }

    /// Whether the value can be right; texts are judged by the types that they become.
    pub(super) fn admits(&self, value: &toml::Value) -> bool {
        match &self.expected {
            Expected::Either => value.is_bool(),
            Expected::Whole(range) => value.as_integer().is_some_and(|number| range.contains(&number)),
            Expected::Share => share(value).is_some_and(|share| (0.0..=1.0).contains(&share)),
            Expected::Text(_) => value.is_str(),
            Expected::List(_) => value.is_array(),
            Expected::Section(_) => value.is_table(),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Either => f.write_str("true or false"),
            Self::Whole(range) => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Self::Share => f.write_str("a number from 0 to 1"),
            Self::Text(words) => f.write_str(words),
            Self::List(words) => write!(f, "a list of {words}"),
            Self::Section(_) => f.write_str("a table"),
        }
    }
}

impl From<RangeInclusive<i64>> for Expected {
    fn from(range: RangeInclusive<i64>) -> Self {
        Self::Whole(range)
    }
}

impl From<&'static str> for Expected {
    fn from(words: &'static str) -> Self {
        Self::Text(words)
    }
}

impl From<Vec<Setting>> for Expected {
    fn from(section: Vec<Setting>) -> Self {
        Self::Section(section)
    }
}

/// All and nothing may be whole numbers.
fn share(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// A list of what the words say.
pub(super) fn list(words: &'static str) -> Expected {
    Expected::List(words)
}

/// Declares a section: a struct, its `Default`, and the [`Setting`]s that describe it, all from one line
/// each.
///
/// ```text
/// /// What it means, with its unit, and why the default is what it is.
/// key: Type = default, what may be, when a new value holds (`Restart` if nothing is said);
/// ```
macro_rules! settings {
    (@when) => { When::Restart };
    (@when $when:ident) => { When::$when };
    ($(#[$about:meta])* $name:ident {
        $(
            $(#[doc = $doc:literal])* $(#[serde($($serde:tt)*)])?
            $field:ident: $type:ty = $default:expr, $expected:expr $(, $when:ident)?;
        )*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[doc = $doc])* $(#[serde($($serde)*)])? pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            fn settings() -> Vec<Setting> {
                vec![$(Setting {
                    key: stringify!($field).to_owned(),
                    about: concat!($($doc),*).trim_ascii(),
                    expected: Expected::from($expected),
                    when: settings!(@when $($when)?),
                },)*]
            }
        }

        impl $crate::config::change::Settle for $name {
            fn settle(&mut self, running: &Self, key: &str, _: When, change: &mut $crate::config::change::Change) {
                $(self.$field.settle(
                    &running.$field,
                    &$crate::config::change::inner(key, stringify!($field)),
                    settings!(@when $($when)?),
                    change,
                );)*
            }
        }
    };
}
