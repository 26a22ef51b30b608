//! `ref`: how a client recognises the reply to a request.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// What a client put on a request and gets back in its one reply: a string of at most 64 bytes, or an integer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Ref {
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer above `i64::MAX`.
    Big(u64),
    /// A string of at most [`Ref::MAX_BYTES`].
    Text(Box<str>),
}

impl Ref {
    /// The longest string, in bytes.
    pub const MAX_BYTES: usize = 64;
}

impl<'de> Deserialize<'de> for Ref {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Ref;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a string of at most {} bytes or an integer", Ref::MAX_BYTES)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Ref, E> {
                Ok(Ref::Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Ref, E> {
                Ok(i64::try_from(value).map_or(Ref::Big(value), Ref::Int))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Ref, E> {
                if value.len() <= Ref::MAX_BYTES {
                    Ok(Ref::Text(value.into()))
                } else {
                    Err(E::invalid_length(value.len(), &self))
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
