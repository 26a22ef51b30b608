//! A look at the Redis that was given: what it is set to decides what an `ok` means.
//!
//! It is looked at whenever there is a new connection: at the start, or later if it was not there then, and after a
//! failover, for the one that was promoted may be set up otherwise.

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{CustomCommand, Value},
};

use super::{config::Ack, shard::Shard};

/// What matters of how a server is set up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setup {
    max_memory: u64,
    policy: String,
    append_only: bool,
    min_replicas: u32,
    replicas: u32,
}

/// Warns of what would lose acknowledged events, once for each way of being set up. Says what can't work at all, as one
/// line.
pub(super) async fn shard(shard: &Shard, ack: Ack) -> Option<String> {
    match setup(&shard.commands).await {
        Ok(setup) => {
            let why = refusal(&setup, ack);
            let warnings = warnings(&setup);
            let mut seen = shard.setup.lock();
            if seen.as_ref() != Some(&setup) {
                for (what, instead) in warnings {
                    tracing::warn!(shard = %shard, what, instead, "redis is not set up to keep what is acknowledged");
                }
                if let Some(why) = &why {
                    tracing::warn!(shard = %shard, why, "redis acknowledges nothing");
                }
            }
            *seen = Some(setup);
            why.map(|why| format!("{shard}: {why}"))
        }
        Err(error) => {
            // Its access rules may not let us look; that it works is the probes' to say.
            tracing::info!(shard = %shard, %error, "redis did not tell how it is set up");
            None
        }
    }
}

fn warnings(setup: &Setup) -> Vec<(&'static str, &'static str)> {
    let mut warnings = Vec::new();
    if setup.max_memory > 0 && setup.policy != "noeviction" {
        warnings.push((
            "when its memory is full it drops whole rooms without a word",
            "set maxmemory-policy to noeviction",
        ));
    }
    if !setup.append_only {
        warnings.push((
            "a restart loses everything since the last snapshot, or all of it",
            "set appendonly to yes, with appendfsync everysec or always",
        ));
    }
    if setup.min_replicas > setup.replicas {
        warnings.push((
            "it has fewer replicas than it wants for a write, and refuses every append until it has them",
            "start its replicas, or set min-replicas-to-write to 0 where there are none",
        ));
    }
    warnings
}

fn refusal(setup: &Setup, ack: Ack) -> Option<String> {
    match ack {
        Ack::Replicated(wanted) if setup.replicas < wanted => Some(format!(
            "it has {} replicas and an append is to be acknowledged by {wanted}, so none ever would be: give it \
             replicas, or acknowledge locally",
            setup.replicas
        )),
        _ => None,
    }
}

async fn setup(client: &Client) -> Result<Setup, Error> {
    const SETTINGS: [&str; 5] =
        ["GET", "maxmemory", "maxmemory-policy", "appendonly", "min-replicas-to-write"];
    let config = custom(client, "CONFIG", &SETTINGS).await?;
    let replication = custom(client, "INFO", &["replication"]).await?;
    Ok(read(&config, &replication.as_string().unwrap_or_default()))
}

async fn custom(client: &Client, name: &'static str, args: &[&str]) -> Result<Value, Error> {
    client.custom(CustomCommand::new_static(name, None::<u16>, false), args.to_vec()).await
}

/// What is not told counts as harmless.
fn read(config: &Value, replication: &str) -> Setup {
    let setting = |wanted: &str| -> Option<String> {
        match config {
            Value::Map(map) => map.iter().find(|(name, _)| name.as_str() == Some(wanted))?.1.as_string(),
            Value::Array(pairs) => {
                let pair = pairs.chunks_exact(2).find(|pair| pair[0].as_str().as_deref() == Some(wanted))?;
                pair[1].as_string()
            }
            _ => None,
        }
    };
    let replicas = replication.lines().find_map(|line| line.strip_prefix("connected_slaves:"));
    Setup {
        max_memory: setting("maxmemory").and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
        policy: setting("maxmemory-policy").unwrap_or_default(),
        append_only: setting("appendonly").is_none_or(|value| value == "yes"),
        min_replicas: setting("min-replicas-to-write").and_then(|count| count.parse().ok()).unwrap_or(0),
        replicas: replicas.and_then(|count| count.trim().parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(config: &[&str], replication: &str) -> Setup {
        read(&Value::Array(config.iter().map(|&text| text.into()).collect()), replication)
    }

    #[test]
    fn what_is_warned_of() {
        for (config, count) in [
            (&["maxmemory", "0", "maxmemory-policy", "allkeys-lru", "appendonly", "yes"][..], 0),
            (&["maxmemory", "9", "maxmemory-policy", "noeviction", "appendonly", "yes"], 0),
            (&["maxmemory", "9", "maxmemory-policy", "allkeys-lru", "appendonly", "yes"], 1),
            (&["maxmemory", "9", "maxmemory-policy", "volatile-lru", "appendonly", "no"], 2),
            (&["min-replicas-to-write", "1"], 0),
            (&["min-replicas-to-write", "2"], 1),
            (&[], 0),
        ] {
            assert_eq!(warnings(&setup(config, "connected_slaves:1\r\n")).len(), count, "{config:?}");
        }
    }

    #[test]
    fn what_is_refused() {
        let one = setup(&[], "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n");
        assert_eq!(refusal(&one, Ack::Local), None);
        assert_eq!(refusal(&one, Ack::Replicated(1)), None);
        assert!(refusal(&one, Ack::Replicated(2)).is_some_and(|why| why.contains("has 1 replicas")));
    }
}
