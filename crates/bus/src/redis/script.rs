//! A Lua script that Redis may forget at any time.

use std::sync::OnceLock;

use fred::{
    bytes_utils::Str,
    clients::Client,
    error::Error,
    interfaces::LuaInterface,
    types::{Key, Value},
};

/// What every script begins with.
const HEAD: &str = include_str!("head.lua");

/// A script and, once Redis has told it, the name to call it by.
pub(super) struct Script {
    text: String,
    hash: OnceLock<Str>,
}

impl Script {
    pub(super) fn new(body: &str) -> Self {
        Self { text: format!("{HEAD}\n{body}"), hash: OnceLock::new() }
    }

    /// Calls it. Redis has forgotten its scripts after a restart, a failover or a flush of them: then they are
    /// loaded and the call is made again, which is safe, for the first one did nothing.
    pub(super) async fn call(
        &self,
        client: &Client,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        if let Some(hash) = self.hash.get() {
            match client.evalsha(hash.clone(), keys.clone(), args.clone()).await {
                Err(error) if error.details().starts_with("NOSCRIPT") => {}
                answer => return answer,
            }
        }
        let hash: Str = client.script_load(self.text.as_str()).await?;
        // The hash of a text is always the same, so it does not matter who was first.
        let _ = self.hash.set(hash.clone());
        client.evalsha(hash, keys, args).await
    }
}
