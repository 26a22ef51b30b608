//! What an administrator does to a cluster.

use std::time::Duration;

use tokio::time::sleep;

use super::Nemesis;
use crate::RedisCluster;
use crate::chaos::arena::{Arena, Store};
use crate::chaos::crowd::{ROOMS, room};
use crate::chaos::health::Expectation;

impl Nemesis {
    /// Slots of busy rooms go to another primary, and some go back.
    pub(super) async fn slots(&mut self, arena: &Arena) -> Expectation {
        let cluster = cluster(arena);
        for _ in 0..self.random.within(2..=4) {
            let slot = slot(cluster, self.random.below(ROOMS));
            let others: Vec<usize> =
                cluster.primaries().into_iter().filter(|node| *node != cluster.primary_of(slot)).collect();
            let to = others[self.random.below(others.len())];
            self.move_slot(cluster, slot, to).await;
            self.last(0, 1000).await;
        }
        Expectation::default()
    }

    /// Two nodes more, to which rooms go, and from which they go away again.
    pub(super) async fn grow(&mut self, arena: &mut Arena) -> Expectation {
        let Store::Cluster(cluster) = &mut arena.store else { unreachable!("only in a cluster") };
        let new = cluster.grow().await;
        arena.connect().await;
        let cluster = self::cluster(arena);
        let homes: Vec<usize> = cluster.primaries().into_iter().filter(|node| *node != new).collect();
        let mut rooms: Vec<usize> = (0..ROOMS).collect();
        self.random.shuffle(&mut rooms);
        let slots: Vec<u16> = rooms.into_iter().take(2).map(|number| slot(cluster, number)).collect();
        for slot in &slots {
            self.move_slot(cluster, *slot, new).await;
        }
        self.last(500, 3000).await;
        for slot in &slots {
            let home = homes[self.random.below(homes.len())];
            self.move_slot(cluster, *slot, home).await;
        }
        let Store::Cluster(cluster) = &mut arena.store else { unreachable!("only in a cluster") };
        cluster.shrink().await;
        arena.connect().await;
        Expectation::default()
    }

    /// Some of a room's keys are here and some are there for a while, and then all of them are there.
    async fn move_slot(&mut self, cluster: &RedisCluster, slot: u16, to: usize) {
        let between = Duration::from_millis(self.random.within(0..=600));
        cluster.move_slot(slot, to, async || sleep(between).await).await;
    }
}

fn cluster(arena: &Arena) -> &RedisCluster {
    let Store::Cluster(cluster) = &arena.store else { unreachable!("only in a cluster") };
    cluster
}

fn slot(cluster: &RedisCluster, number: usize) -> u16 {
    cluster.slot(&format!("chat:{}", room(number)))
}
