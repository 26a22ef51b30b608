//! The Redis bus over TLS, in every shape; and what it says when somebody can't prove who they are.

use std::{sync::Arc, time::Duration};

use bus::{
    Ack, Bus, BusError, RedisBus, RedisConfig, RedisTls,
    conformance::{self, append, room},
};
use testkit::{Certificates, Redis, RedisCluster, RedisSentinel};

use crate::faults::{Configured, Talk, config, connect, replace_primary, until_up};

/// What shows a node's own certificate and trusts the CA of these.
fn trusting(certificates: &Certificates) -> RedisTls {
    RedisTls {
        ca: Some(certificates.file("ca.pem")),
        identity: Some((certificates.file("client.pem"), certificates.file("client.key"))),
    }
}

/// A Redis that speaks TLS, with further lines of `redis.conf`.
async fn redis(certificates: &Certificates, lines: &[&str]) -> Redis {
    let tls = certificates.redis();
    Redis::start_with(&tls.iter().map(String::as_str).chain(lines.iter().copied()).collect::<Vec<_>>()).await
}

/// The same URL, over TLS.
fn secure(url: &str) -> String {
    url.replacen("redis", "rediss", 1)
}

fn over_tls(url: &str, certificates: &Certificates) -> RedisConfig {
    RedisConfig { tls: trusting(certificates), ..config(&secure(url)) }
}

/// What a node that refuses to start says.
async fn refusal(config: RedisConfig) -> String {
    match RedisBus::connect(RedisConfig { connect_timeout: Duration::from_secs(2), ..config }).await {
        Err(BusError::Config(line)) => line,
        Err(error) => panic!("another error: {error}"),
        Ok(bus) => panic!("it started: {:?}", bus.health()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let certificates = Certificates::new();
    let password = ["requirepass secret", "user alice on >word ~* &* +@all"];
    let redis = redis(&certificates, &password[1..]).await;
    let url = redis.url().replacen("redis://", "redis://alice:word@", 1);
    conformance::check(&Configured(over_tls(&url, &certificates))).await;
    // Nobody was let in without.
    assert!(!is_plain(&redis).await);
}

/// Whether the port answers to whoever does not speak TLS.
async fn is_plain(redis: &Redis) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", redis.port())).await.expect("a connection");
    socket.write_all(b"PING\r\n").await.expect("a write");
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("an end of the connection");
    answer.starts_with(b"+PONG")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_made_anew() {
    let certificates = Certificates::new();
    let mut redis = redis(&certificates, &[]).await;
    let one = Arc::new(connect(over_tls(&redis.url(), &certificates)).await);
    let other = connect(over_tls(&redis.url(), &certificates)).await;
    let talk = Talk::begin(&one, &other, vec![room("cut")]).await;
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    talk.more().await;
    redis.kill().await;
    redis.restart().await;
    talk.more().await;
    assert_eq!(talk.end(true).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_fails_over_and_moves_slots() {
    let certificates = Certificates::new();
    let mut lines = certificates.redis();
    lines.push("tls-cluster yes".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut cluster = RedisCluster::start_with(&lines).await;
    let over_tls = over_tls(&cluster.url(), &certificates);
    conformance::check(&Configured(over_tls.clone())).await;

    let one = Arc::new(connect(RedisConfig { ack: Ack::Replicated(1), ..over_tls.clone() }).await);
    let other = connect(over_tls).await;
    let rooms: Vec<_> = (0..4).map(|_| room("tls")).collect();
    let slot = cluster.slot(&format!("chat:{}", rooms[0]));
    let talk = Talk::begin(&one, &other, rooms).await;
    cluster.move_slot(slot, cluster.other_primary(slot), async || {}).await;
    talk.more().await;
    let primary = cluster.primary_of(slot);
    replace_primary(&mut cluster, primary).await;
    talk.more().await;
    talk.end(true).await;
    until_up(&*one).await;
    until_up(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_are_followed() {
    let certificates = Certificates::new();
    let lines = certificates.redis();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut redis = RedisSentinel::start_with(&lines, &lines).await;
    let over_tls = over_tls(&redis.url(), &certificates);
    conformance::check(&Configured(over_tls.clone())).await;

    let one = Arc::new(connect(RedisConfig { ack: Ack::Replicated(1), ..over_tls.clone() }).await);
    let other = connect(over_tls).await;
    let talk = Talk::begin(&one, &other, (0..2).map(|_| room("tls")).collect()).await;
    let primary = redis.lose_primary().await;
    talk.more().await;
    redis.bring_back(primary).await;
    talk.end(true).await;
    until_up(&*one).await;
    until_up(&other).await;
}

/// Files that are missing or hold something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_of_no_use_is_named() {
    let certificates = Certificates::new();
    let file = |name: &str| certificates.file(name);
    for (tls, words) in [
        (RedisTls { ca: Some(file("nothing.pem")), ..RedisTls::default() }, "redis.tls_ca = /"),
        (RedisTls { ca: Some(file("client.key")), ..RedisTls::default() }, "there is none in it"),
        (RedisTls { ca: None, identity: Some((file("client.pem"), file("none.key"))) }, "redis.tls_key = /"),
        (
            RedisTls { ca: None, identity: Some((file("client.pem"), file("client.pem"))) },
            "a private key in PEM",
        ),
        (
            RedisTls { ca: None, identity: Some((file("client.pem"), file("server.key"))) },
            "the key of redis.tls_cert",
        ),
        (RedisTls { ca: None, identity: Some((file("no.pem"), file("client.key"))) }, "redis.tls_cert = /"),
    ] {
        // Nobody is there, and nobody is asked.
        let config = RedisConfig { tls, ..config("rediss://127.0.0.1:1") };
        let line = refusal(config.clone()).await;
        assert!(line.contains(words), "{:?}: {line}", config.tls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_can_not_prove_who_it_is_is_refused() {
    let (certificates, others) = (Certificates::new(), Certificates::of("redis.example"));
    let right = redis(&certificates, &["tls-auth-clients no"]).await;
    let url = secure(&right.url());
    for others in [&others, &Certificates::new()] {
        let line = refusal(RedisConfig { tls: trusting(others), ..config(&url) }).await;
        assert!(line.contains("nobody trusted here has signed its certificate"), "{line}");
    }
    // What the system trusts is not this CA.
    let line = refusal(config(&url)).await;
    assert!(line.contains("CHORUS_REDIS_TLS_CA"), "{line}");

    let elsewhere = redis(&others, &["tls-auth-clients no"]).await;
    let line = refusal(over_tls(&elsewhere.url(), &others)).await;
    assert!(line.contains("its certificate is for other names"), "{line}");
}

/// Mostly it waits for the end of what it takes for a line, and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_tls_is_not_talked_to() {
    let (certificates, plain) = (Certificates::new(), Redis::start().await);
    let config =
        RedisConfig { connect_timeout: Duration::from_secs(1), ..over_tls(&plain.url(), &certificates) };
    match RedisBus::connect(config).await {
        Ok(bus) => assert!(!bus.health().up, "{:?}", bus.health()),
        Err(error) => {
            assert!(error.to_string().contains("does not speak TLS at this port"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_not_prove_who_it_is_is_told() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let redis = redis(&certificates, &[]).await;
    let nobody = RedisTls { identity: None, ..trusting(&certificates) };
    let line = refusal(RedisConfig { tls: nobody, ..config(&secure(&redis.url())) }).await;
    assert!(line.contains("set redis.tls_cert and redis.tls_key"), "{line}");
    let stranger = RedisTls { identity: trusting(&others).identity, ..trusting(&certificates) };
    let line = refusal(RedisConfig { tls: stranger, ..config(&secure(&redis.url())) }).await;
    assert!(line.contains("must be signed by its tls-ca-cert-file"), "{line}");
}

/// Behind sentinels and in a cluster it is whoever knows the way that can't be trusted first.
#[tokio::test(flavor = "multi_thread")]
async fn guides_that_can_not_prove_who_they_are_are_refused() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let redis = redis(&certificates, &[]).await;
    for url in [
        format!("rediss-cluster://127.0.0.1:{}", redis.port()),
        format!("rediss-sentinel://127.0.0.1:{}/chorus", redis.port()),
    ] {
        let line = refusal(RedisConfig { tls: trusting(&others), ..config(&url) }).await;
        assert!(line.contains("nobody trusted here has signed its certificate"), "{url}: {line}");
    }
}

/// A certificate that is replaced by a bad one while nodes run: they go on trying, and say why.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_says_what_is_wrong() {
    let certificates = Certificates::new();
    let redis = redis(&certificates, &[]).await;
    let bus = connect(over_tls(&redis.url(), &certificates)).await;
    append(&bus, &room("before"), "a").await;
    let others = Certificates::new();
    for (setting, name) in [("tls-key-file", "server.key"), ("tls-cert-file", "server.pem")] {
        std::fs::copy(others.file(name), certificates.file(name)).expect("a copy");
        let _ =
            redis.try_command(&["CONFIG", "SET", setting, &certificates.file(name).display().to_string()]);
    }
    let _ = redis.try_command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    conformance::until("the reason", async || {
        let health = bus.health();
        if !health.up && health.detail.contains("InvalidCertificate(") {
            Ok(())
        } else {
            Err(format!("{health:?}"))
        }
    })
    .await;
}
