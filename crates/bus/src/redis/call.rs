//! A command or a script, sent to one shard; and what a cluster answers when that was not the right one.

use std::sync::Arc;

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{CustomCommand, Key, Value, config::Server},
};

use super::{commits::Commits, script::Script};

/// What is sent. It may be sent again, to another shard.
pub(super) enum Call<'a> {
    Script(&'a Script, Vec<Key>, Vec<Value>),
    Command(&'static str, Vec<Value>),
}

/// What it is sent over.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// Answered when the primary has done it.
    Plain(&'a Client),
    /// Answered when the replicas have it, too.
    Committed(&'a Arc<Commits>),
}

impl Call<'_> {
    /// Sends it, with `ASKING` before it if so wished: the slot is on its way to that shard.
    pub(super) async fn send(&self, path: Path<'_>, asking: bool) -> Result<Value, Error> {
        match self {
            Self::Script(script, keys, args) => script.call(path, keys, args, asking).await,
            Self::Command(name, args) => path.send(name, args.clone(), asking).await,
        }
    }
}

impl Path<'_> {
    /// For what must not wait.
    pub(super) fn client(&self) -> &Client {
        match self {
            Self::Plain(client) => client,
            Self::Committed(commits) => &commits.client,
        }
    }

    pub(super) async fn send(
        &self,
        name: &'static str,
        args: Vec<Value>,
        asking: bool,
    ) -> Result<Value, Error> {
        let client = match self {
            Self::Committed(commits) => return commits.send(name, args, asking).await,
            Self::Plain(client) => client,
        };
        // Not fred's own EVALSHA and FCALL, which it takes for commands that block and can't stand in a pipeline.
        let command = |name| CustomCommand::new_static(name, None::<u16>, false);
        if !asking {
            return client.custom(command(name), args).await;
        }
        let pipeline = client.pipeline();
        // Queued, not sent.
        let _: Value = pipeline.custom(command("ASKING"), Vec::<Value>::new()).await?;
        let _: Value = pipeline.custom(command(name), args).await?;
        pipeline.try_all().await.pop().unwrap_or_else(|| Err(Error::new_canceled()))
    }
}

/// Where a call must go instead. Nothing was done yet in any of these cases.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Detour {
    /// The slot is there now.
    Moved(u16, Server),
    /// This key is there already.
    Ask(Server),
    /// Half of the keys are here and half are there, or nobody serves the slot for the moment.
    Later,
    /// It has become a replica.
    Demoted,
}

impl Detour {
    /// `asked` is who said it.
    pub(super) fn of(error: &Error, asked: Option<&Server>) -> Option<Self> {
        Self::parse(error.details(), asked)
    }

    fn parse(text: &str, asked: Option<&Server>) -> Option<Self> {
        let mut words = text.split_whitespace();
        match words.next()? {
            kind @ ("MOVED" | "ASK") => {
                let slot = words.next()?.parse().ok()?;
                let (host, port) = words.next()?.rsplit_once(':')?;
                // With `cluster-preferred-endpoint-type unknown-endpoint` no host is named: it is where it was asked.
                let host = asked.filter(|_| host.is_empty()).map_or(host, |asked| &*asked.host);
                let server = Server::new(host, port.parse().ok()?);
                Some(if kind == "ASK" { Self::Ask(server) } else { Self::Moved(slot, server) })
            }
            "TRYAGAIN" | "CLUSTERDOWN" => Some(Self::Later),
            "READONLY" => Some(Self::Demoted),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_answers() {
        let server = |port| Server::new("127.0.0.1", port);
        for (text, detour) in [
            ("MOVED 3999 127.0.0.1:6381", Some(Detour::Moved(3999, server(6381)))),
            ("ASK 3999 127.0.0.1:6381", Some(Detour::Ask(server(6381)))),
            ("MOVED 7 :6381", Some(Detour::Moved(7, Server::new("asked", 6381)))),
            ("ASK 7 :6381", Some(Detour::Ask(Server::new("asked", 6381)))),
            ("MOVED 7 ::1:6381", Some(Detour::Moved(7, Server::new("::1", 6381)))),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Some(Detour::Later)),
            ("CLUSTERDOWN Hash slot not served", Some(Detour::Later)),
            ("READONLY You can't write against a read only replica.", Some(Detour::Demoted)),
            ("MOVED", None),
            ("MOVED x y", None),
            ("ERR unknown command", None),
        ] {
            assert_eq!(Detour::parse(text, Some(&Server::new("asked", 1))), detour, "{text}");
        }
    }
}
