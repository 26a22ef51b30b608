//! The configurations in `deploy/redis` do what they say: real servers are started by these very files, and replaced
//! by each other.

use std::sync::Arc;

use bus::{
    Ack, RedisConfig, RedisTls,
    conformance::{self, room},
};
use testkit::{Certificates, Redis, RedisCluster, RedisSentinel};

use crate::faults::{Configured, Nodes, Talk, config, node, replace_primary, until_up};

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_alone_keeps_the_contract() {
    let mut redis = Redis::shipped(&["redis.conf"], &[]).await;
    conformance::check(&Nodes(redis.url())).await;
    let bus = node(&redis.url(), Ack::Local).await;
    let room = room("kept");
    conformance::append(&bus, &room, "a").await;
    // An orderly stop loses nothing.
    redis.stop().await;
    redis.restart().await;
    until_up(&bus).await;
    let page = conformance::read(&bus, &room, bus::ReadFrom::Newest, 9).await;
    assert_eq!(conformance::bodies(&page.events), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_alone_over_tls_keeps_the_contract() {
    let certificates = Certificates::new();
    let file = |name: &str| certificates.file(name).display().to_string();
    let (cert, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let redis = Redis::shipped(
        &["redis.conf", "tls.conf"],
        &[
            "--port",
            "0",
            "--tls-port",
            "{port}",
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
        ],
    )
    .await;
    let tls = RedisTls {
        ca: Some(ca.into()),
        identity: Some((file("client.pem").into(), file("client.key").into())),
    };
    let url = redis.url().replacen("redis", "rediss", 1);
    conformance::check(&Configured(RedisConfig { tls, ..config(&url) })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_replace_a_primary() {
    let mut redis = RedisSentinel::shipped().await;
    let one = Arc::new(node(&redis.url(), Ack::Replicated(2)).await);
    let other = node(&redis.url(), Ack::Local).await;
    conformance::check(&Nodes(redis.url())).await;
    let talk = Talk::begin(&one, &other, vec![room("replaced")]).await;
    let primary = redis.lose_primary().await;
    redis.bring_back(primary).await;
    talk.more().await;
    talk.end(true).await;
    until_up(&*one).await;
    until_up(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_created_and_replaces_a_primary() {
    let mut cluster = RedisCluster::shipped().await;
    let one = Arc::new(node(&cluster.url(), Ack::Replicated(1)).await);
    let other = node(&cluster.url(), Ack::Local).await;
    conformance::check(&Nodes(cluster.url())).await;
    let room = room("replaced");
    let primary = cluster.primary_of(cluster.slot(&format!("chat:{room}")));
    let talk = Talk::begin(&one, &other, vec![room]).await;
    replace_primary(&mut cluster, primary).await;
    talk.more().await;
    talk.end(true).await;
    until_up(&*one).await;
    until_up(&other).await;
}
