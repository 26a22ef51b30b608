//! Steady talk on all nodes, for faults to fall into.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testkit::{Client, Cluster, PATIENCE, until};
use tokio::task::JoinHandle;

use crate::fixture::say_until_ok;

/// How many talk.
pub(crate) const TALKERS: usize = 6;
/// How much each of them says.
pub(crate) const EACH: usize = 60;

/// Clients, spread over the nodes, that each send `EACH` messages and repeat what was answered `unavailable`.
pub(crate) async fn talkers(cluster: &Cluster, acknowledged: &Arc<AtomicUsize>) -> Vec<JoinHandle<Client>> {
    let mut clients = Vec::new();
    for number in 0..TALKERS {
        let mut client = Client::connect(cluster.addr(number), &format!("user-{number}")).await;
        client.join("lobby").await;
        clients.push(client);
    }
    let talk = |mut client: Client| {
        let acknowledged = Arc::clone(acknowledged);
        async move {
            for number in 0..EACH {
                let id = format!("{} {number}", client.name());
                say_until_ok(&mut client, "lobby", &id).await;
                acknowledged.fetch_add(1, Ordering::Relaxed);
                // A little slower than it could, so that the fault falls amid the talk.
                client.drain(Duration::from_millis(10)).await;
            }
            client
        }
    };
    clients.into_iter().map(|client| tokio::spawn(talk(client))).collect()
}

/// Waits until so many messages have got their `ok`.
pub(crate) async fn until_acknowledged(acknowledged: &AtomicUsize, count: usize) {
    until(PATIENCE, &format!("{count} acknowledged messages"), async || {
        let so_far = acknowledged.load(Ordering::Relaxed);
        if so_far >= count { Ok(()) } else { Err(so_far.to_string()) }
    })
    .await;
}
