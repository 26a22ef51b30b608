//! The configurations in `deploy/redis`, as its users start them.

use std::{fs, path::Path, process::Command};

use super::{ROOT, Redis, RedisCluster, RedisSentinel, SOCKET, copy_tree};
use crate::{find_program, free_port};

const NO_CLI: &str = "redis-cli is not installed: run \"cargo xtask test\" (installs it by apt when root) or \"apt-get install redis-tools\"";

impl Redis {
    /// Starts one by copies of files of `deploy/redis`, the first of which includes the others, with its own place and further arguments on the command line.
    /// `{port}` in those is its own. A copy, for Redis writes into its file when sentinels make it the primary or a replica.
    pub async fn shipped(files: &[&str], arguments: &[&str]) -> Self {
        let mut redis = Self::prepare(&[]);
        copy_tree(&Path::new(ROOT).join("deploy/redis"), &redis.dir.path().join("deploy/redis"));
        let port = redis.port.to_string();
        let own = |name: &str| redis.dir.path().join(name).display().to_string();
        let (data, socket) = (own("data"), own(SOCKET));
        let place =
            ["--port", &port, "--dir", &data, "--unixsocket", &socket, "--bind", "127.0.0.1"].map(Into::into);
        // Before its directory, which it goes to at once.
        let files = files.iter().map(|file| format!("deploy/redis/{file}"));
        redis.arguments = files.flat_map(|file| ["--include".into(), file.into()]).skip(1).collect();
        redis.arguments.extend(place);
        redis.arguments.extend(arguments.iter().map(|argument| argument.replace("{port}", &port).into()));
        redis.restart().await;
        redis
    }
}

impl RedisSentinel {
    /// A primary by `redis.conf`, two replicas by `replica.conf`, and three sentinels by `sentinel.conf`.
    pub async fn shipped() -> Self {
        let replicated = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"];
        let primary = Redis::shipped(&["redis.conf"], &replicated).await;
        let port = primary.port().to_string();
        let mut nodes = vec![primary];
        for _ in 0..2 {
            nodes.push(Redis::shipped(&["replica.conf"], &["--replicaof", "127.0.0.1", &port]).await);
        }
        let text = fs::read_to_string(Path::new(ROOT).join("deploy/redis/sentinel.conf"));
        let text = text.expect("deploy/redis/sentinel.conf can be read");
        let conf = text
            .replace("port 26379\n", "port {port}\n")
            .replace("127.0.0.1 6379 2", &format!("127.0.0.1 {port} 2"));
        assert_ne!(conf, text, "sentinel.conf has other ports than it had");
        Self::watch(nodes, &conf).await
    }
}

impl RedisCluster {
    /// Six nodes by `cluster.conf`, made a cluster by `redis-cli` as that file says.
    pub async fn shipped() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..6 {
            // By default it is the port and 10,000 more, where the kernel takes source ports from.
            nodes
                .push(Redis::shipped(&["cluster.conf"], &["--cluster-port", &free_port().to_string()]).await);
        }
        let Some(cli) = find_program("redis-cli") else { panic!("{NO_CLI}") };
        let mut create = Command::new(cli);
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        let created = create.args(["--cluster-replicas", "1", "--cluster-yes"]).output();
        let created = created.expect("redis-cli can be started");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let cluster = Self { nodes, lines: Vec::new() };
        cluster.until_complete().await;
        cluster
    }
}
