//! A command or a script, sent to one shard; and what a cluster answers when that was not the right one.

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{CustomCommand, Key, Value, config::Server},
};

use super::script::Script;

/// What is sent. It may be sent again, to another shard.
pub(super) enum Call<'a> {
    Script(&'a Script, Vec<Key>, Vec<Value>),
    Command(&'static str, Vec<Value>),
}

/// What goes with a call, on the same connection and with nothing between.
#[derive(Clone, Copy, Default)]
pub(super) struct Around {
    /// `ASKING` before it: the slot is on its way to that shard.
    pub(super) asking: bool,
    /// `WAIT` behind it, for so many replicas and so many milliseconds.
    pub(super) wait: Option<(u32, u32)>,
}

/// What was answered.
pub(super) struct Reply {
    pub(super) value: Value,
    /// How many replicas have it, when that was waited for.
    pub(super) replicas: u32,
}

impl Call<'_> {
    pub(super) async fn send(&self, client: &Client, around: Around) -> Result<Reply, Error> {
        match self {
            Self::Script(script, keys, args) => script.call(client, keys, args, around).await,
            Self::Command(name, args) => pipelined(client, name, args.clone(), around).await,
        }
    }
}

/// Sends a command with what goes around it.
pub(super) async fn pipelined(
    client: &Client,
    name: &'static str,
    args: Vec<Value>,
    around: Around,
) -> Result<Reply, Error> {
    // Not fred's own WAIT and EVALSHA, which it takes for commands that block and can't stand in a pipeline.
    let command = |name| CustomCommand::new_static(name, None::<u16>, false);
    if !around.asking && around.wait.is_none() {
        let value = client.custom(command(name), args).await?;
        return Ok(Reply { value, replicas: 0 });
    }
    let pipeline = client.pipeline();
    // Queued, not sent.
    if around.asking {
        let _: Value = pipeline.custom(command("ASKING"), Vec::<Value>::new()).await?;
    }
    let _: Value = pipeline.custom(command(name), args).await?;
    if let Some((replicas, milliseconds)) = around.wait {
        let args: Vec<Value> = vec![replicas.into(), milliseconds.into()];
        let _: Value = pipeline.custom(command("WAIT"), args).await?;
    }
    let mut answers: Vec<Result<Value, Error>> = pipeline.try_all().await;
    let waited = if around.wait.is_some() && answers.len() > 1 { answers.pop() } else { None };
    let value = answers.pop().unwrap_or_else(|| Err(Error::new_canceled()))?;
    let replicas = waited.transpose()?.and_then(|count| count.as_u64()).unwrap_or(0);
    Ok(Reply { value, replicas: u32::try_from(replicas).unwrap_or(u32::MAX) })
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
