use std::io::Write;

use tempfile::NamedTempFile;

use super::*;
use crate::config::load::{flat, settings};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_file(file: &NamedTempFile) -> Result<Config, ConfigError> {
    Config::load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() })
}

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

/// The error of a file, its path replaced by `FILE`.
fn error_in(text: &str) -> String {
    let file = file(text);
    load_file(&file).unwrap_err().to_string().replace(file.path().to_str().unwrap(), "FILE")
}

fn error_of(pairs: &[(&str, &str)]) -> String {
    Config::load(&environment(pairs)).unwrap_err().to_string()
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn nothing_is_a_good_configuration() {
    let config = Config::load(&Sources::default()).unwrap();
    assert!(config.development());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.limits.data_bytes, 16_384);
    assert_eq!(config.rooms.default_rights, Rights::READ_WRITE);
}

#[test]
fn each_layer_stands_above_the_one_before() {
    let below = file(
        "listen = '127.0.0.1:1'\nnode = 'file'\ndrain_seconds = 1\nlog = 'warn'\n[limits]\nconnections = 7\n",
    );
    let mut sources = environment(&[
        ("CHORUS_CONFIG", below.path().to_str().unwrap()),
        ("CHORUS_NODE", "environment"),
        ("CHORUS_DRAIN_SECONDS", "2"),
        ("CHORUS_LIMITS_FRAME_BURST", "9"),
    ]);
    sources.flags = vec![("node", "flag".to_owned())];
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.listen.port(), 1);
    assert_eq!((&*config.node, config.drain_seconds, &*config.log), ("flag", 2, "warn"));
    assert_eq!((config.limits.connections, config.limits.frame_burst, config.limits.json_depth), (7, 9, 32));

    let other = file("node = 'other'");
    sources.file = Some(other.path().to_owned());
    sources.flags.clear();
    let config = Config::load(&sources).unwrap();
    assert_eq!(
        (config.listen.port(), &*config.node),
        (8080, "environment"),
        "--config replaces CHORUS_CONFIG"
    );
}

#[test]
fn every_setting_can_stand_in_the_environment() {
    let config = Config::load(&environment(&[
        ("CHORUS_LISTEN", "0.0.0.0:80"),
        ("CHORUS_METRICS_LISTEN", "[::1]:9090"),
        ("CHORUS_REDIS_URL", "redis://:pw@db:6379/0"),
        ("CHORUS_JWT_SECRET", KEY),
        ("CHORUS_ALLOWED_ORIGINS", "https://a.example, https://b.example:8443,"),
        ("CHORUS_API_KEYS", KEY),
        ("CHORUS_TRUSTED_PROXIES", "10.0.0.0/8,192.168.1.1"),
        ("CHORUS_LOG_FORMAT", "json"),
        ("CHORUS_AUTH_DEADLINE_MS", "700"),
        ("CHORUS_ROOMS_DEFAULT_RIGHTS", ""),
        ("CHORUS_SERVICE_HOST", "10.1.2.3"),
        ("CHORUS_TOKEN", "somebody else's"),
    ]))
    .unwrap();
    assert_eq!(config.allowed_origins, ["https://a.example", "https://b.example:8443"]);
    assert_eq!(
        config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "192.168.1.1/32"]
    );
    assert_eq!(config.api_keys[0].expose(), KEY);
    assert_eq!((config.log_format, config.auth.deadline_ms), (LogFormat::Json, 700));
    assert_eq!(config.rooms.default_rights, Rights::NONE);
    assert!(!config.development());
    assert!(settings().iter().all(|setting| setting.variable().starts_with("CHORUS_")));
}

#[test]
fn an_error_names_the_key_the_value_and_what_would_be_right() {
    for (text, line) in [
        (
            "listen = 'localhost:80'",
            r#"listen = "localhost:80" (in FILE): expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"#,
        ),
        ("drain_seconds = 3601", "drain_seconds = 3601 (in FILE): expected a whole number from 0 to 3600"),
        ("drain_seconds = 1.5", "drain_seconds = 1.5 (in FILE): expected a whole number from 0 to 3600"),
        ("drain_seconds = '10'", r#"drain_seconds = "10" (in FILE): expected a whole number from 0 to 3600"#),
        (
            "[limits]\nframe_burst = 0",
            "limits.frame_burst = 0 (in FILE): expected a whole number from 1 to 1000000",
        ),
        (
            "[limits]\nframe_burst = -1",
            "limits.frame_burst = -1 (in FILE): expected a whole number from 1 to 1000000",
        ),
        (
            "[heartbeat]\ninterval_ms = 99",
            "heartbeat.interval_ms = 99 (in FILE): expected a whole number from 100 to 3600000",
        ),
        ("log_format = 'xml'", r#"log_format = "xml" (in FILE): expected text or json"#),
        ("log = 'a=b=c'", r#"log = "a=b=c" (in FILE): expected a filter such as info or warn,gateway=debug"#),
        ("node = ''", r#"node = "" (in FILE): expected a name of 1 to 64 printable ASCII characters"#),
        (
            "node = \"a\\nb\"",
            r#"node = "a\nb" (in FILE): expected a name of 1 to 64 printable ASCII characters"#,
        ),
        (
            "allowed_origins = ['*']",
            r#"allowed_origins = ["*"] (in FILE): expected a list of origins such as https://chat.example.com"#,
        ),
        (
            "allowed_origins = 'https://a'",
            r#"allowed_origins = "https://a" (in FILE): expected a list of origins such as https://chat.example.com"#,
        ),
        (
            "trusted_proxies = ['10.0.0.0/33']",
            r#"trusted_proxies = ["10.0.0.0/33"] (in FILE): expected a list of IP addresses and networks such as 10.0.0.0/8"#,
        ),
        (
            "trusted_proxies = [7]",
            "trusted_proxies = [7] (in FILE): expected a list of IP addresses and networks such as 10.0.0.0/8",
        ),
        (
            "[rooms]\ndefault_rights = 'rx'",
            r#"rooms.default_rights = "rx" (in FILE): expected letters of r, w and m, or nothing"#,
        ),
        (
            "[auth]\ncookie = 'a b'",
            r#"auth.cookie = "a b" (in FILE): expected a cookie's name, of letters, digits and - _ ."#,
        ),
        ("[auth]\naudience = ''", r#"auth.audience = "" (in FILE): expected a text that is not empty"#),
        (
            "[limits]\ndata_bytes = 65536",
            "limits.frame_bytes = 65536 (by default): expected at least limits.data_bytes, of each namespace too, and 1024 more, for what stands around a message's data",
        ),
        ("[tail]\nnode_bytes = 2000", "tail.node_bytes = 2000 (in FILE): expected at least tail.bytes"),
        (
            "[limit]\ndata_bytes = 1",
            "limit.data_bytes (in FILE) is not a setting: did you mean limits.data_bytes?",
        ),
        ("jwt_secret = 'x'", "jwt_secret (in FILE) is not a setting: did you mean auth.jwt_secret?"),
        (
            "[limits]\nconections = 1",
            "limits.conections (in FILE) is not a setting: did you mean limits.connections?",
        ),
        ("zebra = 1", "zebra (in FILE) is not a setting: docs/CONFIGURATION.md lists them all"),
        ("[listen]\nport = 1", "listen.port (in FILE) is not a setting: did you mean listen?"),
        (
            "[namespaces.team]\nmembers = -1",
            "namespaces.team.members = -1 (in FILE): expected a whole number from 0 to 1000000000",
        ),
        (
            "[namespaces.team]\ndefault_rights = 'x'",
            r#"namespaces.team.default_rights = "x" (in FILE): expected letters of r, w and m, or nothing"#,
        ),
        (
            "[namespaces.'a:b']\nmembers = 1",
            r#"namespaces.a:b (in FILE) is no namespace: expected the part of room names before the first colon, or "@" for users' own rooms"#,
        ),
        ("auth = 1", "auth (in FILE) is a table: write [auth], and its settings below"),
    ] {
        assert_eq!(error_in(text), line);
    }
}

#[test]
fn an_error_says_where_the_value_came_from() {
    assert_eq!(
        error_of(&[("CHORUS_DRAIN_SECONDS", "ten")]),
        r#"drain_seconds = "ten" (from CHORUS_DRAIN_SECONDS): expected a whole number from 0 to 3600"#
    );
    let flags = vec![("listen", "8080".to_owned())];
    assert_eq!(
        Config::load(&Sources { flags, ..Sources::default() }).unwrap_err().to_string(),
        r#"listen = "8080" (from --listen): expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"#
    );
    assert_eq!(
        error_of(&[("CHORUS_LISTN", "127.0.0.1:1")]),
        "CHORUS_LISTN is not a setting: did you mean CHORUS_LISTEN?"
    );
    // It would be without a key, and believed to have one.
    assert_eq!(
        error_of(&[("CHORUS_AUTH_JWT_SECRET", "x")]),
        "CHORUS_AUTH_JWT_SECRET is not a setting: did you mean CHORUS_JWT_SECRET?"
    );
    for (wrong, right) in [
        ("CHORUS_JWT_AUDIENCE", "CHORUS_AUTH_AUDIENCE"),
        ("CHORUS_ISSUER", "CHORUS_AUTH_ISSUER"),
        ("CHORUS_JWKS_CA", "CHORUS_AUTH_JWKS_CA"),
    ] {
        let error = format!("{wrong} is not a setting: did you mean {right}?");
        assert_eq!(error_of(&[(wrong, "x")]), error);
    }
}

#[test]
fn a_file_that_can_not_be_read() {
    assert_eq!(
        error_in("listen = \n"),
        "FILE, line 1: string values must be quoted, expected literal string"
    );
    assert_eq!(error_in("node = 'a'\nnode = 'b'\n"), "FILE, line 2: duplicate key");
    assert_eq!(
        error_of(&[("CHORUS_CONFIG", "/nowhere/chorus.toml")]),
        "the configuration file /nowhere/chorus.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn a_secret_is_never_in_an_error() {
    for (name, value, words) in [
        (
            "CHORUS_JWT_SECRET",
            "hunter2",
            "auth.jwt_secret = (hidden) (from CHORUS_JWT_SECRET): expected at least 32 random bytes where others",
        ),
        ("CHORUS_JWT_SECRET", "", "auth.jwt_secret = (hidden) (from CHORUS_JWT_SECRET): expected a secret;"),
        (
            "CHORUS_API_KEYS",
            "hunter2",
            "api_keys = (hidden) (from CHORUS_API_KEYS): expected keys of at least 16 bytes each",
        ),
        (
            "CHORUS_REDIS_URL",
            "hunter2@db",
            "redis_url = (hidden) (from CHORUS_REDIS_URL): expected a URL such as redis://user:password@host:6379/0",
        ),
    ] {
        let long = "x".repeat(32);
        // What is named later stands above what is named first.
        let error = error_of(&[("CHORUS_LISTEN", "0.0.0.0:1"), ("CHORUS_JWT_SECRET", &long), (name, value)]);
        assert!(error.starts_with(words), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_secret_that_could_be_guessed_is_good_for_loopback_only() {
    let config = Config::load(&environment(&[("CHORUS_JWT_SECRET", "hunter2")])).unwrap();
    assert_eq!(config.weak_secret(), Some("auth.jwt_secret"));
    let config = Config::load(&environment(&[("CHORUS_JWT_SECRET", &"x".repeat(32))])).unwrap();
    assert_eq!(config.weak_secret(), None);
}

#[test]
fn development_stays_on_this_machine() {
    assert_eq!(
        error_of(&[("CHORUS_LISTEN", "0.0.0.0:8080")]),
        r#"listen = "0.0.0.0:8080" (from CHORUS_LISTEN): expected a loopback address such as 127.0.0.1:8080 while no auth.jwt_secret (CHORUS_JWT_SECRET) or other key is set, for then guests get tokens"#
    );
    for listen in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8080", "[::ffff:127.0.0.1]:1"] {
        assert!(Config::load(&environment(&[("CHORUS_LISTEN", listen)])).unwrap().development(), "{listen}");
    }
    assert!(
        Config::load(&environment(&[("CHORUS_LISTEN", "0.0.0.0:1"), ("CHORUS_JWT_SECRET", KEY)])).is_ok()
    );
    assert!(error_of(&[("CHORUS_REDIS_URL", "redis://127.0.0.1")]).starts_with(
        "redis_url = (hidden) (from CHORUS_REDIS_URL): expected auth.jwt_secret (CHORUS_JWT_SECRET) or another key beside it"
    ));
}

#[test]
fn public_keys_are_keys_too() {
    let redis = ("CHORUS_REDIS_URL", "redis://db");
    for key in [("CHORUS_JWT_PUBLIC_KEY", "/key.pem"), ("CHORUS_JWKS_URL", "https://login.example/jwks")] {
        assert!(!Config::load(&environment(&[key, redis])).unwrap().development(), "{key:?}");
    }
    for (given, words) in [
        (
            &[("CHORUS_JWT_PUBLIC_KEY", "/key.pem"), ("CHORUS_JWKS_URL", "/jwks.json")][..],
            r#"auth.jwt_public_key = "/key.pem" (from CHORUS_JWT_PUBLIC_KEY): expected none beside auth.jwks_url"#,
        ),
        (
            &[("CHORUS_JWKS_URL", "http://a/"), ("CHORUS_AUTH_JWKS_CA", "/ca.pem")][..],
            r#"auth.jwks_ca = "/ca.pem" (from CHORUS_AUTH_JWKS_CA): expected none, or an auth.jwks_url"#,
        ),
        (
            &[("CHORUS_JWKS_URL", "ftp://a/")][..],
            r#"auth.jwks_url = "ftp://a/" (from CHORUS_JWKS_URL): expected a URL such as https://login.example.com"#,
        ),
    ] {
        let error = error_of(given);
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn an_acknowledgement_of_replicas_needs_a_redis() {
    let error = error_of(&[("CHORUS_HISTORY_ACK", "replicated"), ("CHORUS_JWT_SECRET", KEY)]);
    assert!(
        error.starts_with("history.ack = \"replicated\" (from CHORUS_HISTORY_ACK): expected local"),
        "{error}"
    );
    let error = error_of(&[("CHORUS_HISTORY_ACK", "both")]);
    assert!(error.ends_with("expected local or replicated"), "{error}");
    let url = "redis-sentinel://u:p@a:26379,b:26379/chorus";
    let right = [("CHORUS_HISTORY_ACK", "replicated"), ("CHORUS_JWT_SECRET", KEY), ("CHORUS_REDIS_URL", url)];
    let config = Config::load(&environment(&right)).unwrap();
    assert_eq!((config.history.ack, config.history.ack_replicas), (Ack::Replicated, 1));
}

#[test]
fn a_node_without_a_redis_may_have_company_that_it_can_not_hear() {
    let key = ("CHORUS_JWT_SECRET", KEY);
    let (listen, proxies) = (("CHORUS_LISTEN", "0.0.0.0:1"), ("CHORUS_TRUSTED_PROXIES", "10.0.0.1"));
    let redis = ("CHORUS_REDIS_URL", "redis://db");
    for (given, company) in [
        (&[][..], None),
        (&[key], None),
        (&[key, listen], Some("listen")),
        (&[key, listen, proxies], Some("trusted_proxies")),
        // The proxy is on this machine, as the other nodes may be.
        (&[key, proxies], Some("trusted_proxies")),
        (&[key, listen, proxies, redis], None),
    ] {
        assert_eq!(Config::load(&environment(given)).unwrap().company(), company, "{given:?}");
    }
}

#[test]
fn files_of_tls_need_a_url_of_tls() {
    let with = |url: &str, more: &[(&str, &str)]| {
        let all: Vec<_> = [("CHORUS_REDIS_URL", url), ("CHORUS_JWT_SECRET", KEY)]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Config::load(&environment(&all)).map(|config| config.redis).map_err(|error| error.to_string())
    };
    let (ca, cert, key) = (
        ("CHORUS_REDIS_TLS_CA", "/ca"),
        ("CHORUS_REDIS_TLS_CERT", "/cert"),
        ("CHORUS_REDIS_TLS_KEY", "/key"),
    );
    assert_eq!(
        with("redis://db", &[ca]).unwrap_err(),
        r#"redis.tls_ca = "/ca" (from CHORUS_REDIS_TLS_CA): expected none, or a redis_url (CHORUS_REDIS_URL) that begins with rediss: without it there is no TLS"#
    );
    for (given, words) in [(cert, "expected redis.tls_key"), (key, "expected redis.tls_cert")] {
        let error = with("rediss-cluster://db", &[given]).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let redis = with("rediss://db", &[ca, cert, key]).unwrap();
    assert_eq!(redis.tls_ca.as_deref(), Some(std::path::Path::new("/ca")));
    assert_eq!(redis.tls_key.as_deref(), Some(std::path::Path::new("/key")));
}

#[test]
fn a_namespace_stands_in_a_file() {
    let text =
        "[namespaces.team]\nhistory_length = 5\ndefault_rights = 'r'\n\n[namespaces.'a.b']\nmembers = 2\n";
    let config = load_file(&file(text)).unwrap();
    let of = |room: &str| *config.namespace(&proto::RoomName::parse(room).unwrap());
    assert_eq!(of("team:1").default_rights, Rights::READ);
    assert_eq!(of("a.b:1").members, 2, "a dot is part of the name");
    let printed = config.to_toml();
    let again = load_file(&file(&printed)).unwrap();
    assert_eq!(again.to_toml(), printed, "what is printed can be read again");
    assert!(printed.contains("[namespaces.team]\nhistory_length = 5\n"), "only what is set: {printed}");
}

#[test]
fn an_error_in_a_namespace_names_it() {
    for (text, line) in [
        (
            "[namespaces.team]\nhistory_length = 0",
            "namespaces.team.history_length = 0 (in FILE): expected a whole number from 1 to 1000000",
        ),
        (
            "[namespaces.'a.b']\ndefault_rights = 'x'",
            r#"namespaces.a.b.default_rights = "x" (in FILE): expected letters of r, w and m, or nothing"#,
        ),
        (
            "[namespaces.team]\ndata_bytes = 65000",
            "limits.frame_bytes = 65536 (by default): expected at least limits.data_bytes, of each namespace too, and 1024 more, for what stands around a message's data",
        ),
        (
            "[namespaces.team]\nmembers = 5\npresence = false",
            "namespaces.team.members = 5 (in FILE): expected 0 where there is no presence, by which members are counted",
        ),
        (
            "[rooms]\nmembers = 5\n[namespaces.team]\npresence = false",
            "namespaces.team.presence = false (in FILE): expected true while rooms.members is set: by presence members are counted",
        ),
        (
            "[rooms]\nmembers = 5\n[presence]\nenabled = false",
            "rooms.members = 5 (in FILE): expected 0 where there is no presence, by which members are counted",
        ),
        (
            "[namespaces.'@']\ndefault_rights = 'rw'",
            r#"namespaces.@.default_rights = "rw" (in FILE): expected nothing: in its own room a user reads, whatever its token says, and servers post"#,
        ),
        (
            "[namespaces.'@']\nmembers_may_post = true",
            "namespaces.@.members_may_post = true (in FILE): expected nothing: in its own room a user reads, whatever its token says, and servers post",
        ),
        (
            "[namespaces.'@bob']\nmembers = 1",
            "namespaces.@bob (in FILE) is no namespace: expected the part of room names before the first colon, or \"@\" for users' own rooms",
        ),
        (
            "[namespaces.team]\nhistory_lenght = 1",
            "namespaces.team.history_lenght (in FILE) is not a setting: did you mean namespaces.team.history_length?",
        ),
        (
            "[namespaces.team]\nzebra = 1",
            "namespaces.team.zebra (in FILE) is not a setting: docs/CONFIGURATION.md lists them all",
        ),
        (
            "[namespaces.a.b]\nmembers = 1",
            r#"namespaces.a.b (in FILE) is not a setting: a name with a dot stands in quotes, [namespaces."a.b"]"#,
        ),
        (
            "namespaces = 1",
            "namespaces (in FILE) is not a table: write [namespaces.<name>], and its settings below",
        ),
        (
            "[namespaces]\nmembers = 1",
            "namespaces.members (in FILE) is not a table: write [namespaces.<name>], and its settings below",
        ),
    ] {
        assert_eq!(error_in(text), line);
    }
    assert_eq!(
        error_of(&[("CHORUS_NAMESPACES_TEAM_MEMBERS", "5")]),
        "CHORUS_NAMESPACES_TEAM_MEMBERS is not a setting: namespaces stand in a file, as [namespaces.<name>]"
    );
}

#[test]
fn what_is_printed_can_be_read_again_and_has_no_secret() {
    let config = Config::load(&environment(&[
        ("CHORUS_REDIS_URL", "redis://chat:hunter2@db:6379"),
        ("CHORUS_JWT_SECRET", "hunter2 hunter2 hunter2 hunter2 hunter2"),
        ("CHORUS_API_KEYS", "hunter2-hunter2-hunter2,hunter2-hunter2-hunter3"),
        ("CHORUS_TRUSTED_PROXIES", "10.0.0.1"),
        ("CHORUS_LIMITS_CONNECTIONS", "17"),
    ]))
    .unwrap();
    let printed = config.to_toml();
    assert!(!printed.contains("hunter"), "{printed}");
    assert!(!format!("{config:?}").contains("hunter"), "{config:?}");
    assert!(printed.contains("redis_url = \"redis://chat:(hidden)@db:6379\""), "{printed}");
    assert!(printed.contains("[limits]") && printed.contains("connections = 17"), "{printed}");
    let keys: Vec<_> = flat(printed.parse().unwrap()).into_keys().collect();
    let known: Vec<_> = settings().into_iter().map(|setting| setting.key).collect();
    assert!(keys.iter().all(|key| known.contains(key)), "{keys:?}");
    assert!(keys.len() > 35, "{keys:?}");
}
