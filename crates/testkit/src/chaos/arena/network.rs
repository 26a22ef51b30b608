//! A gateway's own way to every server: a proxy for each, on an address that only this gateway knows.
//!
//! The servers listen on 127.0.0.1, and the gateway looks for all of them on an address of its own, at the same ports.
//! The nodes of a cluster do not name a host, so that they are where they were asked; sentinels do, and their answers
//! are translated on the way.

use std::net::{IpAddr, SocketAddr};

use crate::{Fate, Proxy, RedisSentinel};

use super::store::Store;

/// Some of the ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// All of them.
    All,
    /// The one to the server at this port.
    To(u16),
}

/// The ways of one gateway.
#[derive(Debug)]
pub struct Network {
    host: IpAddr,
    ways: Vec<(u16, Proxy)>,
}

impl Network {
    /// The ways of the gateway with this number to all that it must reach.
    pub async fn open(number: usize, store: &Store) -> Self {
        let number = u8::try_from(number).expect("few gateways");
        let mut network = Self { host: [127, 0, 0, 2 + number].into(), ways: Vec::new() };
        network.follow(store).await;
        network
    }

    /// The address that this gateway finds everything at.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// Opens a way to every server that has come, and closes those to servers that have gone.
    pub async fn follow(&mut self, store: &Store) {
        let ports = store.ports();
        self.ways.retain(|(port, _)| ports.contains(port));
        for port in ports {
            if self.ways.iter().any(|(known, _)| *known == port) {
                continue;
            }
            let (at, to) = (SocketAddr::new(self.host, port), SocketAddr::from(([127, 0, 0, 1], port)));
            let names = match store {
                Store::Sentinel(sentinel) if sentinel.sentinel_ports().contains(&port) => {
                    vec![
                        ("127.0.0.1".to_owned(), self.host()),
                        (RedisSentinel::INSIDE.to_owned(), self.host()),
                    ]
                }
                _ => Vec::new(),
            };
            self.ways.push((port, Proxy::start_at(at, to, names).await));
        }
    }

    /// Says what becomes of bytes to the servers, and of those from them, from now on.
    pub fn treat(&self, which: Ways, up: Fate, down: Fate) {
        self.some(which).for_each(|proxy| proxy.treat(up, down));
    }

    /// Cuts every connection.
    pub fn cut(&self, which: Ways) {
        self.some(which).for_each(Proxy::cut);
    }

    /// Cuts every connection and lets no other one live, or lets them again.
    pub fn refuse(&self, which: Ways, refusing: bool) {
        self.some(which).for_each(|proxy| proxy.refuse(refusing));
    }

    /// [`Network::refuse`] of all ways, for one who does not hold them.
    pub fn refuser(&self) -> impl Fn(bool) + Send + use<> {
        let refusers: Vec<_> = self.some(Ways::All).map(Proxy::refuser).collect();
        move |refusing| refusers.iter().for_each(|refuse| refuse(refusing))
    }

    /// How much harm was done on these ways until now.
    pub fn harm(&self) -> u64 {
        self.some(Ways::All).map(Proxy::harm).sum()
    }

    fn some(&self, which: Ways) -> impl Iterator<Item = &Proxy> {
        let wanted = move |port: u16| which == Ways::All || which == Ways::To(port);
        self.ways.iter().filter(move |(port, _)| wanted(*port)).map(|(_, proxy)| proxy)
    }
}
