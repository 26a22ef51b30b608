//! A Lua script that Redis may forget at any time.

use std::sync::OnceLock;

use fred::{
    bytes_utils::Str,
    error::Error,
    interfaces::LuaInterface,
    types::{Key, Value},
};

use super::call::Path;

/// What every script for a log begins with.
const HEAD: &str = include_str!("head.lua");

/// A script and, once Redis has told it, the name to call it by.
pub(super) struct Script {
    text: String,
    hash: OnceLock<Str>,
}

impl Script {
    /// Of parts that stand one behind the other, for a room's log.
    pub(super) fn new(parts: &[&str]) -> Self {
        Self { text: format!("{HEAD}\n{}", parts.join("\n")), hash: OnceLock::new() }
    }

    /// One that has nothing to do with a log.
    pub(super) fn alone(text: &str) -> Self {
        Self { text: text.to_owned(), hash: OnceLock::new() }
    }

    /// What Redis is given.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Calls it. Redis has forgotten its scripts after a restart, a failover or a flush of them, and no shard knows
    /// what another was told: then they are loaded and the call is made again, which is safe, for the first one did
    /// nothing.
    pub(super) async fn call(
        &self,
        path: Path<'_>,
        keys: &[Key],
        args: &[Value],
        asking: bool,
    ) -> Result<Value, Error> {
        if let Some(hash) = self.hash.get() {
            match evaluate(path, hash, keys, args, asking).await {
                Err(error) if error.details().starts_with("NOSCRIPT") => {}
                answer => return answer,
            }
        }
        let hash: Str = path.client().script_load(self.text.as_str()).await?;
        // The hash of a text is always the same, so it does not matter who was first.
        let _ = self.hash.set(hash.clone());
        evaluate(path, &hash, keys, args, asking).await
    }
}

async fn evaluate(
    path: Path<'_>,
    hash: &Str,
    keys: &[Key],
    args: &[Value],
    asking: bool,
) -> Result<Value, Error> {
    let mut all: Vec<Value> = Vec::with_capacity(2 + keys.len() + args.len());
    all.push(hash.clone().into());
    all.push(i64::try_from(keys.len()).unwrap_or(i64::MAX).into());
    all.extend(keys.iter().cloned().map(Value::from));
    all.extend(args.iter().cloned());
    path.send("EVALSHA", all, asking).await
}
