//! The parts that are not ours do what the tests of the gateway rely on.

use std::net::SocketAddr;

use testkit::{Nginx, PATIENCE, Redis, RedisCluster, RedisSentinel, Request, free_port, until};

#[tokio::test]
async fn a_redis_keeps_its_data_and_its_port_over_a_stop_and_a_crash() {
    let mut redis = Redis::start_with(&["appendfsync always"]).await;
    let port = redis.port();
    for number in 1..=2 {
        redis.command(&["INCR", "starts"]);
        match number {
            1 => redis.stop().await,
            _ => redis.kill().await,
        }
        assert!(redis.try_command(&["PING"]).is_err());
        redis.restart().await;
        assert_eq!((redis.port(), redis.number(&["STRLEN", "starts"])), (port, 1));
    }
    assert_eq!(redis.number(&["INCR", "starts"]), 3);
}

#[tokio::test]
async fn a_redis_goes_back_to_an_older_snapshot() {
    let mut redis = Redis::start().await;
    redis.command(&["INCR", "count"]);
    let snapshot = redis.snapshot();
    redis.command(&["INCR", "count"]);
    redis.kill().await;
    redis.restore(&snapshot);
    redis.restart().await;
    assert_eq!(redis.number(&["INCR", "count"]), 2);
}

#[tokio::test]
async fn a_frozen_redis_does_not_answer_until_it_is_thawed() {
    let redis = Redis::start().await;
    redis.freeze();
    assert!(redis.try_command(&["PING"]).is_err());
    redis.thaw();
    redis.command(&["PING"]);
}

#[tokio::test]
async fn the_shipped_nginx_configuration_is_accepted() {
    let nobody = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let nginx = Nginx::start([nobody(), nobody(), nobody()]).await;
    let metrics = Request::get("/metrics").send(nginx.addr()).await;
    assert_eq!(metrics.status, 404, "metrics are for inside");
    let unanswered = Request::get("/healthz?token=secret").send(nginx.addr()).await;
    assert_eq!(unanswered.status, 502);
    assert_eq!(unanswered.header("content-type"), Some("application/problem+json"));
    assert!(nginx.access_log().contains("/healthz") && !nginx.access_log().contains("secret"));
}

#[tokio::test]
async fn a_cluster_fails_over_and_moves_its_slots() {
    let mut cluster = RedisCluster::start().await;
    let slot = cluster.slot("{here}");
    let primary = cluster.primary_of(slot);
    for name in ["a", "b", "c"] {
        cluster.nodes[primary].command(&["SET", &format!("{{here}}{name}"), name]);
    }
    let other = cluster.other_primary(slot);
    cluster.move_slot(slot, other, async || {}).await;
    assert_eq!(cluster.primary_of(slot), other);
    let replica = cluster.replica_of(other);
    cluster.nodes[other].command(&["WAIT", "1", "1000"]);
    cluster.nodes[other].kill().await;
    until(PATIENCE, "a failover", async || {
        let moved = cluster.nodes[replica].try_command(&["GET", "{here}c"]);
        moved.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(cluster.primary_of(slot), replica);
}

#[tokio::test]
async fn sentinels_make_another_node_the_primary() {
    let mut redis = RedisSentinel::start().await;
    let first = redis.primary();
    redis.failover().await;
    redis.until_primary_is_not(first).await;
    redis.until_level(2).await;
    let second = redis.primary();
    redis.nodes[second].kill().await;
    redis.until_primary_is_not(second).await;
}
