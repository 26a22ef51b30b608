//! Health is told in time, also where answers are slow, and never because this process was.

use std::time::{Duration, Instant};

use bus::{
    Bus, RedisBus, RedisConfig,
    conformance::{append, follow, message, room, until},
};
use testkit::{Fate, Proxy, Redis};
use tokio::time::sleep;

use super::{RETENTION, node, until_up};

const INTERVAL: Duration = Duration::from_millis(250);

/// The probe's patience and one interval, and as much again for a busy machine.
const LIMIT: Duration = Duration::from_millis(2500);

/// A node that reaches Redis through a proxy.
async fn behind(proxy: &Proxy, renew_interval: Duration) -> RedisBus {
    let url = format!("redis://{}", proxy.addr());
    let config = RedisConfig {
        probe_interval: INTERVAL,
        renew_interval,
        connect_timeout: Duration::from_secs(5),
        ..RedisConfig::new(&url, "behind", RETENTION)
    };
    RedisBus::connect(config).await.expect("a right configuration")
}

async fn proxy(redis: &Redis) -> Proxy {
    Proxy::start(([127, 0, 0, 1], redis.port()).into()).await
}

/// What was published on a path that is not dead, but so slow that it comes later and later.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_crawls_is_told_in_time() {
    let redis = Redis::start().await;
    let proxy = proxy(&redis).await;
    let bus = behind(&proxy, Duration::from_hours(1)).await;
    let writer = node(&redis.url()).await;
    until_up(&bus, true).await;
    let room = room("crawling");
    let (recorder, _following) = follow(&bus, &room).await;
    append(&writer, &room, "before").await;
    recorder.until_last("before").await;

    // Ten times as much is said as comes through.
    proxy.treat(Fate::Pass, Fate::Throttle(16 * 1024));
    let mut said = vec![Instant::now()];
    while bus.health().up {
        let mut large = message(&format!("m{}", said.len()));
        large.body = vec![b'x'; 16 * 1024].into();
        said.push(Instant::now());
        writer.append(&room, large).await.expect("an append");
        sleep(Duration::from_millis(100)).await;
        let came = recorder.events().len();
        let waits = said.get(came).map_or(Duration::ZERO, Instant::elapsed);
        assert!(waits < LIMIT, "event {came} did not come for {waits:?}, and health is good");
    }
    let health = bus.health();
    assert!(health.down_since.is_some_and(|since| since.elapsed().is_ok()), "{health:?}");
    proxy.treat(Fate::Pass, Fate::Pass);
    until_up(&bus, true).await;
    append(&writer, &room, "after").await;
    recorder.until_last("after").await;
    assert_eq!(recorder.events().len(), said.len() + 1);
    assert_eq!(bus.health().down_since, None);
}

/// The heads of quiet rooms take seconds to renew and to compare on this path. The probes must not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn probes_go_out_while_heads_are_compared() {
    let redis = Redis::start().await;
    let proxy = proxy(&redis).await;
    let bus = behind(&proxy, Duration::ZERO).await;
    until_up(&bus, true).await;
    let mut followed = Vec::new();
    for _ in 0..60 {
        followed.push(follow(&bus, &room("quiet")).await);
    }
    let published = || {
        let script = "return tonumber(string.match(redis.call('INFO', 'commandstats'), 'cmdstat_publish:calls=(%d+)')) or 0";
        redis.number(&["EVAL", script, "0"])
    };
    // Short enough for the probes, and sixty of it are fifteen times as long as they are patient.
    proxy.treat(Fate::Pass, Fate::Delay(INTERVAL));
    // Until a renewal is under way for certain.
    sleep(2 * INTERVAL).await;
    let (before, began) = (published(), Instant::now());
    until("eight probes", async || {
        let count = published() - before;
        if count >= 8 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    assert!(began.elapsed() < 16 * INTERVAL, "eight probes took {:?}", began.elapsed());
    assert!(bus.health().up, "{:?}", bus.health());
}
