//! The users of `deploy/redis/users.conf` are enough for a gateway, in every shape, and for nothing else.

use std::{fs, sync::Arc};

use bus::{
    Ack, BusError, RedisBus,
    conformance::{self, append, room},
};
use testkit::{Redis, RedisCluster, RedisSentinel};

use crate::faults::{Nodes, Talk, config, node, until_up};

const USERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/redis/users.conf");

const SENTINEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/redis/sentinel.conf");

/// The lines of the file, with passwords in their places, and the test's own hand instead of nobody.
fn users() -> Vec<String> {
    let mut text = fs::read_to_string(USERS).expect("users.conf can be read");
    for (name, password) in [
        ("#PASSWORD-OF-THE-GATEWAYS", ">gateway"),
        ("#PASSWORD-OF-THE-REPLICAS", ">replica"),
        ("#PASSWORD-OF-THE-SENTINELS", ">sentinel"),
        ("#PASSWORD-OF-THE-ADMINISTRATOR", ">admin"),
        ("user default off", "user default on nopass ~* &* +@all"),
    ] {
        assert_eq!(text.matches(name).count(), 1, "{name}");
        text = text.replace(name, password);
    }
    text.lines().filter(|line| line.starts_with("user ")).map(str::to_owned).collect()
}

/// The users of a sentinel, which stand in `sentinel.conf` as comments.
fn sentinel_users() -> Vec<String> {
    let text = fs::read_to_string(SENTINEL).expect("sentinel.conf can be read");
    let lines = text.lines().filter_map(|line| line.strip_prefix("# "));
    let wanted = |line: &&str| line.starts_with("user ") || line.starts_with("sentinel sentinel-");
    let lines: Vec<String> = lines
        .filter(wanted)
        .map(|line| {
            line.replace("user default off", "user default on nopass ~* &* +@all")
                .replace("PASSWORD-OF-THE-GATEWAYS", "gateway")
                .replace("PASSWORD-OF-THE-SENTINELS", "peer")
        })
        .collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    lines
}

fn as_gateway(url: &str) -> String {
    url.replacen("://", "://chorus:gateway@", 1)
}

/// What no server of the test may have refused to the gateways.
fn assert_nothing_was_refused(redis: &Redis) {
    let stats = format!("{:?}", redis.command(&["INFO", "errorstats"]));
    assert!(!stats.contains("NOPERM"), "{stats}\n{:?}", redis.command(&["ACL", "LOG"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_do_what_it_must_on_a_redis_alone() {
    let users = users();
    let redis = Redis::start_with(&users.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // A database as well.
    conformance::check(&Nodes(as_gateway(&redis.url()) + "/1")).await;
    assert_nothing_was_refused(&redis);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_do_what_it_must_on_a_cluster() {
    let mut lines = users();
    lines.extend(["masteruser replica".to_owned(), "masterauth replica".to_owned()]);
    let cluster = RedisCluster::start_with(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let url = as_gateway(&cluster.url());
    conformance::check(&Nodes(url.clone())).await;
    let (one, other) = (Arc::new(node(&url, Ack::Replicated(1)).await), node(&url, Ack::Local).await);
    let rooms = vec![room("moved")];
    let slot = cluster.slot(&format!("chat:{}", rooms[0]));
    let talk = Talk::begin(&one, &other, rooms).await;
    // ASK and TRYAGAIN come while half of it is there.
    cluster.move_slot(slot, cluster.other_primary(slot), async || {}).await;
    talk.more().await;
    talk.end(true).await;
    for node in &cluster.nodes {
        assert_nothing_was_refused(node);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_do_what_it_must_behind_sentinels() {
    let mut lines = users();
    lines.extend(["masteruser replica".to_owned(), "masterauth replica".to_owned()]);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let own = sentinel_users();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mut redis = RedisSentinel::start_as(&lines, &own, Some(("sentinel", "sentinel"))).await;
    let url = as_gateway(&redis.url()) + "?sentinelUsername=chorus&sentinelPassword=gateway";
    conformance::check(&Nodes(url.clone())).await;
    let (one, other) = (Arc::new(node(&url, Ack::Replicated(2)).await), node(&url, Ack::Local).await);
    let talk = Talk::begin(&one, &other, vec![room("replaced")]).await;
    // For this the sentinels must agree.
    let primary = redis.lose_primary().await;
    redis.bring_back(primary).await;
    talk.more().await;
    talk.end(true).await;
    until_up(&*one).await;
    for node in &redis.nodes {
        assert_nothing_was_refused(node);
    }
}

/// Nobody but a gateway (and an administrator) says anything in a room, and a gateway does nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_do_anything_to_a_room() {
    let mut lines = users();
    // Somebody with rights of its own on the same server.
    lines.push("user app on >app ~app:* &app:* +@all".to_owned());
    let redis = Redis::start_with(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let bus = node(&as_gateway(&redis.url()), Ack::Local).await;
    append(&bus, &room("x"), "said").await;
    let refused = |user: &str, args: &[&str]| match redis.try_command_as(user, user_password(user), args) {
        Err(error) if error.code() == Some("NOPERM") => {}
        answer => panic!("{user}: {args:?}: {answer:?}"),
    };
    for user in ["app", "replica", "sentinel"] {
        for args in [
            &["PUBLISH", "chat:x", "forged"][..],
            &["SPUBLISH", "chat:x", "forged"],
            &["EVAL", "return redis.call('HSET', KEYS[1], 's', '9')", "1", "{chat:x}:head"],
            &["XADD", "{chat:x}:log", "*", "1.1", "forged"],
            &["DEL", "{chat:x}:head"],
            &["GET", "chat:~ticket:t"],
        ] {
            refused(user, args);
        }
    }
    refused("app", &["SUBSCRIBE", "chat:x"]);
    for args in [
        &["FLUSHALL"][..],
        &["CONFIG", "SET", "appendonly", "no"],
        &["KEYS", "*"],
        &["EVAL", "return 1", "0"],
        &["SET", "app:x", "1"],
        &["PUBLISH", "app:x", "1"],
        &["SUBSCRIBE", "app:x"],
        &["REPLICAOF", "NO", "ONE"],
        &["SHUTDOWN"],
        &["ACL", "LIST"],
        &["DEBUG", "SLEEP", "0"],
        &["SCRIPT", "FLUSH"],
    ] {
        refused("chorus", args);
    }
    // And those who have rights have them.
    redis.try_command_as("chorus", "gateway", &["PUBLISH", "chat:x", "frame"]).expect("a gateway's right");
    redis.try_command_as("app", "app", &["SET", "app:x", "1"]).expect("the other's right");
    assert!(redis.try_command_as("chorus", "wrong", &["PING"]).is_err());
}

/// As when the users are those of an older version: its nodes go on, and one of this must not take their place.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_right_to_append_does_not_start() {
    let users = users();
    let redis = Redis::start_with(&users.iter().map(String::as_str).collect::<Vec<_>>()).await;
    redis.command(&["ACL", "SETUSER", "chorus", "-fcall", "-function|load"]);
    let error = RedisBus::connect(config(&as_gateway(&redis.url()))).await.err();
    let Some(BusError::Config(why)) = &error else { panic!("{error:?}") };
    assert!(why.contains("NOPERM") && why.contains("deploy/redis/users.conf"), "{why}");
}

fn user_password(user: &str) -> &str {
    if user == "chorus" { "gateway" } else { user }
}

/// What is said of it elsewhere is what it says.
#[test]
fn the_documentation_shows_the_same_rights() {
    let words = |text: &str| -> Vec<String> {
        let line = text.split("user chorus on ").nth(1).expect("the user").replace("\n ", " ");
        let rights = line.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned);
        rights.skip_while(|word| word != "resetkeys").take_while(|word| word != "```").collect()
    };
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RELIABILITY.md");
    let (page, file) = (fs::read_to_string(page), fs::read_to_string(USERS));
    let page = page.expect("docs/RELIABILITY.md can be read").replace("\n       +", " +");
    assert_eq!(words(&page), words(&file.expect("users.conf can be read")));
}

/// Nobody may deploy passwords that everybody knows.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_not_taken_as_it_is() {
    let dir = std::env::temp_dir().display().to_string();
    let output = std::process::Command::new(testkit::find_program("redis-server").expect("redis-server"))
        .args(["--port", "0", "--dir", &dir, "--include", USERS])
        .output()
        .expect("redis-server can be started");
    assert!(!output.status.success());
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("password hash must be exactly 64 characters"), "{told}");
}
