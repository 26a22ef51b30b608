//! Behind sentinels: whether the primary is still the one that they name.
//!
//! fred asks them only when a connection ends. But a primary that was replaced while it lived, or while it was cut
//! off, keeps its connections and says ok for another eight seconds or more, until the sentinels make it a replica;
//! and all that it takes then is lost. So they are asked at every probe.

use std::sync::Arc;

use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, EventInterface},
    types::{
        CustomCommand, Value,
        config::{Config, Server, ServerConfig},
    },
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Core, config, keep_connected, shard::Shard};

/// Asks until the bus is closed. Returns at once where there are no sentinels.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>) {
    let ServerConfig::Sentinel { hosts, service_name, username, password } = &core.reach.server else {
        return;
    };
    let clients: Vec<Client> = hosts
        .iter()
        .map(|server| {
            let own = Config {
                username: username.clone(),
                password: password.clone(),
                database: None,
                ..config::at(&core.reach, server)
            };
            config::client(own, &core.config, 1)
        })
        .collect();
    for (client, server) in clients.iter().zip(hosts) {
        core.tasks.spawn(notice(Arc::clone(&core), client.clone(), server.clone()));
        core.tasks.spawn(keep_connected(shard.closing.clone(), client.clone()));
    }
    let watch = async {
        let mut ticks = interval(core.probe_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut asked = JoinSet::new();
            for client in clients.iter().filter(|client| client.is_connected()) {
                let (client, name, patience) = (client.clone(), service_name.clone(), core.probe_interval);
                asked.spawn(async move { timeout(patience, primary(&client, &name)).await.ok()?.ok()? });
            }
            let named: Vec<Server> = asked.join_all().await.into_iter().flatten().collect();
            if let Some(primary) = majority(&named, clients.len())
                && shard.commands.is_connected()
                && shard.clients().any(|client| client.active_connections().iter().any(|own| own != primary))
            {
                tracing::info!(%primary, "sentinels name another primary");
                shard.demoted();
            }
        }
    };
    shard.closing.run_until_cancelled(watch).await;
}

/// Remembers why a sentinel can't be asked: those who ask it for the primary are told no more than that none could.
async fn notice(core: Arc<Core>, client: Client, server: Server) {
    let mut errors = client.error_rx();
    let mut connected = client.reconnect_rx();
    let watch = async {
        loop {
            tokio::select! {
                // Lagging behind is another one.
                _ = connected.recv() => core.set_lost(None),
                error = errors.recv() => {
                    if let Ok((error, _)) = error {
                        core.set_lost(Some((&server, error.to_string())));
                    }
                }
            }
        }
    };
    core.closing.run_until_cancelled(watch).await;
}

/// Whom more than half of all sentinels name. Fewer may be those that were cut off.
fn majority(named: &[Server], sentinels: usize) -> Option<&Server> {
    let votes = |server: &Server| named.iter().filter(|other| *other == server).count();
    named.iter().find(|server| 2 * votes(server) > sentinels)
}

async fn primary(client: &Client, service: &str) -> Result<Option<Server>, Error> {
    let command = CustomCommand::new_static("SENTINEL", None::<u16>, false);
    let answer: Value = client.custom(command, vec!["GET-MASTER-ADDR-BY-NAME", service]).await?;
    let address: Option<(String, u16)> = answer.convert()?;
    Ok(address.map(|(host, port)| Server::new(host, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_all_must_agree() {
        let (a, b) = (Server::new("a", 1), Server::new("b", 1));
        for (named, sentinels, agreed) in [
            (vec![], 3, None),
            (vec![a.clone()], 3, None),
            (vec![a.clone()], 1, Some(&a)),
            (vec![a.clone(), b.clone()], 3, None),
            (vec![a.clone(), b.clone(), b.clone()], 3, Some(&b)),
            (vec![b.clone(), b.clone()], 4, None),
        ] {
            assert_eq!(majority(&named, sentinels), agreed, "{named:?}");
        }
    }
}
