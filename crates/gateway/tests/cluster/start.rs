//! What a node says of the Redis that it was given, when it starts.

use testkit::{
    Certificates, Dial, Gateway, GatewayOptions, PATIENCE, Redis, RedisCluster, RedisSentinel, token, until,
};

use crate::fixture::options;

/// A Redis that is set up as a cache, not as a store.
const CACHE: [&str; 3] = ["appendonly no", "maxmemory 100mb", "maxmemory-policy allkeys-lru"];

const UNFIT: &str = "redis is not set up to keep what is acknowledged";

fn on(url: &str) -> GatewayOptions {
    options().env("CHORUS_REDIS_URL", url)
}

/// Waits until a node has said both that it may evict and that it has no append-only file, of each of so many
/// primaries.
async fn until_warned(gateway: &Gateway, primaries: usize) {
    until(PATIENCE, "warnings", async || {
        let log = gateway.log();
        let count = |words: &str| log.lines().filter(|l| l.contains(UNFIT) && l.contains(words)).count();
        let seen = (count("set maxmemory-policy to noeviction"), count("set appendonly to yes"));
        if seen == (primaries, primaries) { Ok(()) } else { Err(format!("{seen:?} in:\n{log}")) }
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_may_lose_rooms_is_told_in_every_shape() {
    let redis = Redis::start_with(&CACHE).await;
    until_warned(&on(&redis.url()).start().await, 1).await;

    let cluster = RedisCluster::start_with(&CACHE).await;
    until_warned(&on(&cluster.url()).start().await, 3).await;

    let sentinel = RedisSentinel::start_with(&CACHE, &[]).await;
    until_warned(&on(&sentinel.url()).start().await, 1).await;
}

#[tokio::test]
async fn a_redis_that_is_set_up_well_is_not_warned_of() {
    let redis = Redis::start().await;
    let gateway = on(&redis.url()).start().await;
    gateway.ready().await;
    assert!(!gateway.log().contains("WARN"), "{}", gateway.log());
}

/// The node had started before: then nobody had looked at it.
#[tokio::test]
async fn a_redis_that_comes_late_is_looked_at_when_it_comes() {
    let mut redis = Redis::start_with(&CACHE).await;
    redis.kill().await;
    let gateway = on(&redis.url()).start().await;
    assert!(!gateway.log().contains(UNFIT), "{}", gateway.log());
    redis.restart().await;
    until_warned(&gateway, 1).await;
}

/// The primary is set up well, but not the one that takes its place.
#[tokio::test]
async fn one_that_is_promoted_is_looked_at() {
    let sentinel = RedisSentinel::start().await;
    let gateway = on(&sentinel.url()).start().await;
    gateway.ready().await;
    let primary = sentinel.primary();
    for (number, node) in sentinel.nodes.iter().enumerate() {
        if number != primary {
            node.command(&["CONFIG", "SET", "appendonly", "no"]);
        }
    }
    sentinel.failover().await;
    sentinel.until_primary_is_not(primary).await;
    until(PATIENCE, "a warning", async || {
        let log = gateway.log();
        let told = log.lines().any(|line| line.contains(UNFIT) && line.contains("set appendonly to yes"));
        if told { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn acknowledgements_that_no_replica_could_give_are_refused_in_every_shape() {
    let refused = async |url: &str, replicas: &str| {
        let wanted =
            on(url).env("CHORUS_HISTORY_ACK", "replicated").env("CHORUS_HISTORY_ACK_REPLICAS", replicas);
        let output = wanted.run().await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{url}: {error}");
        let last = error.lines().last().unwrap_or_default();
        assert!(last.starts_with("chorus: ") && last.contains("replicas, or acknowledge locally"), "{error}");
    };
    let redis = Redis::start().await;
    refused(&redis.url(), "1").await;

    let mut cluster = RedisCluster::start().await;
    refused(&cluster.url(), "2").await;
    // One primary that has none is enough.
    let replica = cluster.replica_of(cluster.primary_of(0));
    let url = cluster.url();
    cluster.nodes[replica].kill().await;
    refused(&url, "1").await;

    let sentinel = RedisSentinel::start().await;
    refused(&sentinel.url(), "3").await;
}

#[tokio::test]
async fn rooms_in_memory_are_told_where_there_may_be_other_nodes() {
    const WORDS: &str = "rooms are in this node's memory";
    let alone = options().start().await;
    assert!(!alone.log().contains(WORDS), "{}", alone.log());
    for company in [
        options().env("CHORUS_TRUSTED_PROXIES", "127.0.0.1").start().await,
        options().listen("0.0.0.0:0").start().await,
    ] {
        let log = company.log();
        assert!(log.contains(WORDS) && log.contains("CHORUS_REDIS_URL"), "{log}");
    }
}

#[tokio::test]
async fn a_node_talks_to_redis_over_tls_or_does_not_start() {
    let certificates = Certificates::new();
    let file = |name: &str| certificates.file(name).display().to_string();
    let lines = certificates.redis();
    let redis = Redis::start_with(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let url = redis.url().replacen("redis", "rediss", 1);
    let gateway = on(&url)
        .env("CHORUS_REDIS_TLS_CA", file("ca.pem"))
        .env("CHORUS_REDIS_TLS_CERT", file("client.pem"))
        .env("CHORUS_REDIS_TLS_KEY", file("client.key"))
        .start()
        .await;
    gateway.ready().await;
    let mut alice = Dial::to(gateway.addr()).bearer(&token("alice")).welcomed().await;
    alice.join("lobby").await;
    alice.say("lobby", "hello").await;
    alice.expect("message").await;

    let output = on(&url).env("CHORUS_REDIS_TLS_CA", file("ca.pem")).run().await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{error}");
    assert!(error.contains("set redis.tls_cert and redis.tls_key"), "{error}");
}
