//! What the tests of a cluster and of sentinels do alike: talk while something happens, and look at what came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bus::{
    Ack, Bus, Following, ReadFrom, RedisBus, RedisConfig, Retention,
    conformance::{self, Cluster, Recorder, append, bodies, follow, message, read},
};
use proto::{RoomName, server::ResetReason};
use testkit::{Redis, RedisCluster};
use tokio::task::JoinSet;

/// A failover takes a second or two, and the machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Events in a room at most.
const SAID: usize = 10_000;

/// Nodes on one Redis, whatever its shape.
pub(crate) struct Nodes(pub(crate) String);

#[async_trait]
impl Cluster for Nodes {
    async fn node(&self) -> Arc<dyn Bus> {
        Configured(config(&self.0)).node().await
    }
}

/// The same, with a configuration of the test's own.
pub(crate) struct Configured(pub(crate) RedisConfig);

#[async_trait]
impl Cluster for Configured {
    async fn node(&self) -> Arc<dyn Bus> {
        let retention = Retention { length: conformance::LENGTH, ..self.0.retentions.default };
        Arc::new(connect(RedisConfig { retentions: retention.into(), ..self.0.clone() }).await)
    }
}

/// A node whose logs hold all that [`Talk`] says.
pub(crate) async fn node(url: &str, ack: Ack) -> RedisBus {
    connect(RedisConfig { ack, ..config(url) }).await
}

/// A node that probes more often than usual, so that tests don't wait.
pub(crate) fn config(url: &str) -> RedisConfig {
    let retention = Retention { length: 2 * SAID as u64, age_ms: 3_600_000 };
    RedisConfig {
        probe_interval: Duration::from_millis(100),
        command_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(5),
        ..RedisConfig::new(url, "test", retention)
    }
}

pub(crate) async fn connect(config: RedisConfig) -> RedisBus {
    RedisBus::connect(config).await.expect("a right configuration")
}

pub(crate) async fn until_up(bus: &dyn Bus) {
    conformance::until("good health", async || {
        let health = bus.health();
        if health.up { Ok(()) } else { Err(health.detail) }
    })
    .await;
}

/// Waits until a replica has become a primary.
pub(crate) async fn until_promoted(node: &Redis) {
    conformance::until("a promotion", async || {
        let role = format!("{:?}", node.try_command(&["ROLE"]));
        if role.contains("master\"") { Ok(()) } else { Err(role) }
    })
    .await;
}

/// Kills a primary, waits for its replica to take its place, and has it come back as one.
pub(crate) async fn replace_primary(cluster: &mut RedisCluster, primary: usize) {
    let replica = cluster.replica_of(primary);
    cluster.nodes[primary].kill().await;
    until_promoted(&cluster.nodes[replica]).await;
    cluster.until_complete().await;
    cluster.nodes[primary].restart().await;
    cluster.until_complete().await;
}

/// Rooms that are talked in by one node and followed by two, while something happens.
pub(crate) struct Talk {
    one: Arc<RedisBus>,
    rooms: Vec<RoomName>,
    followed: Vec<[(Arc<Recorder>, Following); 2]>,
    stop: Arc<AtomicBool>,
    writers: JoinSet<(usize, Vec<String>)>,
}

impl Talk {
    /// Begins to talk in these rooms, and returns when every room has been talked in.
    pub(crate) async fn begin(one: &Arc<RedisBus>, other: &RedisBus, rooms: Vec<RoomName>) -> Self {
        let mut followed = Vec::new();
        for room in &rooms {
            followed.push([follow(&**one, room).await, follow(other, room).await]);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for (number, room) in rooms.iter().enumerate() {
            let (one, room, stop) = (Arc::clone(one), room.clone(), Arc::clone(&stop));
            writers.spawn(async move { (number, talk(&one, &room, &stop).await) });
        }
        let talk = Self { one: Arc::clone(one), rooms, followed, stop, writers };
        talk.more().await;
        talk
    }

    /// Waits until ten more events came in every room.
    pub(crate) async fn more(&self) {
        for followed in &self.followed {
            let before = followed[0].0.bodies().len();
            followed[0].0.until("more talk", |bodies| bodies.len() >= before + 10).await;
        }
    }

    /// How many events have come, of all rooms, to the node that talks.
    pub(crate) fn heard(&self) -> usize {
        self.followed.iter().map(|[(recorder, _), _]| recorder.bodies().len()).sum()
    }

    /// Ends it, and checks that everybody has every event that was acknowledged, once and in order. Gives how often
    /// a follower was told of a fork.
    ///
    /// What a follower still believes is what the log holds; where nothing that was acknowledged may be lost,
    /// everything that was acknowledged is in it.
    pub(crate) async fn end(mut self, all_must_be_there: bool) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut forks = 0;
        while let Some(written) = self.writers.join_next().await {
            let (number, acknowledged) = written.expect("a writer");
            let room = &self.rooms[number];
            append(&*self.one, room, "end").await;
            let log = self.log(room).await;
            for (recorder, _) in &self.followed[number] {
                recorder.until_last("end").await;
                let resets = recorder.resets();
                assert!(
                    resets.iter().all(|(_, reason)| *reason == ResetReason::Forked),
                    "{room}: {resets:?}"
                );
                forks += resets.len();
                assert_eq!(recorder.bodies(), log, "{room}: a follower and the log differ");
            }
            let (mut sorted, count) = (log.clone(), log.len());
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), count, "{room}: something came twice");
            if all_must_be_there {
                let is_there = |id: &&String| sorted.binary_search(id).is_err();
                let lost: Vec<_> = acknowledged.iter().filter(is_there).collect();
                assert!(lost.is_empty(), "{room}: acknowledged and lost: {lost:?}");
            }
        }
        forks
    }

    /// The whole log.
    async fn log(&self, room: &RoomName) -> Vec<String> {
        let mut log = Vec::new();
        loop {
            let page = read(&*self.one, room, ReadFrom::AfterSeq(log.len() as u64), 1000).await;
            if page.events.is_empty() {
                return log;
            }
            log.extend(bodies(&page.events));
        }
    }
}

/// Appends one after the other, as a client that sends the same id again when it is told `unavailable`.
async fn talk(bus: &RedisBus, room: &RoomName, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) && acknowledged.len() < SAID {
        let id = format!("m{}", acknowledged.len());
        let began = Instant::now();
        while let Err(error) = bus.append(room, message(&id)).await {
            assert!(began.elapsed() < PATIENCE, "{room}: {id} could not be appended: {error}");
            // Shown only when the test fails.
            eprintln!("{room}: {id}: {error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        acknowledged.push(id);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acknowledged
}
