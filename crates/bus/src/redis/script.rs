//! What Redis is taught to do in one step, in Lua. It may forget that at any time.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
};

use fred::{
    bytes_utils::Str,
    error::Error,
    interfaces::{ClientLike, LuaInterface},
    types::{CustomCommand, Key, Value},
};

use super::call::Path;

/// What everything for a log begins with.
const HEAD: &str = include_str!("head.lua");

/// What is called for every message. A script is defined again at each call, and can keep nothing until the next one:
/// that is a quarter of what an append costs Redis (`cargo xtask bench --only appends`).
const LIBRARY: [&str; 4] =
    [HEAD, include_str!("append.lua"), include_str!("amend.lua"), include_str!("library.lua")];

/// Where the library has its version.
const VERSION: &str = "VERSION";

/// Something to call.
pub(super) struct Script {
    text: String,
    name: Name,
}

/// What it is called by.
enum Name {
    /// A script: the hash of its text, once Redis has told it.
    Hash(OnceLock<Str>),
    /// A function of the library.
    Function(Str),
}

impl Script {
    /// For a room's log.
    pub(super) fn new(text: &str) -> Self {
        Self::alone(&[HEAD, text].join("\n"))
    }

    /// One that has nothing to do with a log.
    pub(super) fn alone(text: &str) -> Self {
        Self { text: text.to_owned(), name: Name::Hash(OnceLock::new()) }
    }

    /// A function of the library.
    pub(super) fn function(name: &str) -> Self {
        let text = LIBRARY.join("\n");
        // Whatever else changes, other texts have other names. A build of another compiler may have other names, too:
        // then there are two libraries that do the same.
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let version = format!("{:016x}", hasher.finish());
        Self {
            text: format!("#!lua name=chorus_{version}\n{}", text.replace(VERSION, &version)),
            name: Name::Function(format!("chorus_{name}_{version}").into()),
        }
    }

    /// What Redis is given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What it is called by, when that is known.
    pub(super) fn name(&self) -> Option<&Str> {
        match &self.name {
            Name::Hash(hash) => hash.get(),
            Name::Function(name) => Some(name),
        }
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
        if let Some(name) = self.name() {
            match self.evaluate(path, name, keys, args, asking).await {
                Err(error) if is_forgotten(&error) => {}
                answer => return answer,
            }
        }
        let name = self.load(path).await?;
        self.evaluate(path, &name, keys, args, asking).await
    }

    /// Has Redis load it.
    pub(super) async fn load(&self, path: Path<'_>) -> Result<Str, Error> {
        match &self.name {
            Name::Hash(known) => {
                let hash: Str = path.client().script_load(self.text.as_str()).await?;
                // The hash of a text is always the same, so it does not matter who was first.
                let _ = known.set(hash.clone());
                Ok(hash)
            }
            Name::Function(name) => {
                let command = CustomCommand::new_static("FUNCTION", None::<u16>, false);
                let loaded =
                    path.client().custom::<Value, _>(command, vec!["LOAD", self.text.as_str()]).await;
                match loaded {
                    // Another node was first.
                    Err(error) if error.details().ends_with("already exists") => Ok(name.clone()),
                    Err(error) => Err(error),
                    Ok(_) => Ok(name.clone()),
                }
            }
        }
    }

    async fn evaluate(
        &self,
        path: Path<'_>,
        name: &Str,
        keys: &[Key],
        args: &[Value],
        asking: bool,
    ) -> Result<Value, Error> {
        let mut all: Vec<Value> = Vec::with_capacity(2 + keys.len() + args.len());
        all.push(name.clone().into());
        all.push(i64::try_from(keys.len()).unwrap_or(i64::MAX).into());
        all.extend(keys.iter().cloned().map(Value::from));
        all.extend(args.iter().cloned());
        let command = match self.name {
            Name::Hash(_) => "EVALSHA",
            Name::Function(_) => "FCALL",
        };
        path.send(command, all, asking).await
    }
}

fn is_forgotten(error: &Error) -> bool {
    let text = error.details();
    text.starts_with("NOSCRIPT") || text == "ERR Function not found"
}
