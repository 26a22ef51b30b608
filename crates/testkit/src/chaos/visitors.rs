//! Clients who come before a fault and go in its course, for good: nobody may take them for there in the end.

use std::net::SocketAddr;

use super::crowd::{ROOMS, room};
use crate::Client;

/// One in each gateway, in every room. They are gone without a word when this is dropped.
#[derive(Debug)]
pub struct Visitors {
    _clients: Vec<Client>,
}

impl Visitors {
    /// They come in through the doors.
    pub async fn come(doors: &[SocketAddr], round: usize) -> Self {
        let mut clients = Vec::new();
        for (number, door) in doors.iter().enumerate() {
            let mut client = Client::connect(*door, &format!("visitor-{round}-{number}")).await;
            for number in 0..ROOMS {
                client.join(&room(number)).await;
            }
            clients.push(client);
        }
        Self { _clients: clients }
    }
}
