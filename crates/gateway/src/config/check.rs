//! What no single type can tell: bounds of texts, and settings that must agree.

use std::borrow::Cow;

use tracing_subscriber::EnvFilter;

use super::{Ack, CollectorUrl, Config, JwksUrl, NamespaceConfig, RedisUrl, Secret};
use crate::auth::origin;

/// A setting that is wrong.
pub(super) struct Complaint {
    /// Its key.
    pub(super) key: Cow<'static, str>,
    /// What would be right, if it is not what the setting's declaration says.
    pub(super) instead: Option<&'static str>,
}

/// Finds the first setting that is wrong.
pub(super) fn check(config: &Config) -> Result<(), Complaint> {
    each(config)?;
    together(config)?;
    config.namespaces.given().try_for_each(|(name, own)| namespace(config, name, own))
}

/// Settings by themselves.
fn each(config: &Config) -> Result<(), Complaint> {
    let auth = &config.auth;
    let wrong = [
        (name(&config.node), "node"),
        (config.allowed_origins.iter().all(|text| origin::is_origin(text)), "allowed_origins"),
        (config.api_keys.iter().all(|key| !key.expose().is_empty()), "api_keys"),
        (EnvFilter::try_new(&config.log).is_ok(), "log"),
        (auth.jwt_secret.as_ref().is_none_or(|secret| !secret.expose().is_empty()), "auth.jwt_secret"),
        (auth.audience.as_ref().is_none_or(|text| !text.is_empty()), "auth.audience"),
        (auth.issuer.as_ref().is_none_or(|text| !text.is_empty()), "auth.issuer"),
        (cookie(&auth.cookie), "auth.cookie"),
    ]
    .into_iter()
    .find(|(right, _)| !right);
    wrong.map_or(Ok(()), |(_, key)| Err(Complaint { key: key.into(), instead: None }))
}

/// Settings that must agree with others.
fn together(config: &Config) -> Result<(), Complaint> {
    let loopback = config.listen.ip().to_canonical().is_loopback();
    let weak = if loopback { None } else { weak_secret(config) };
    let (auth, redis) = (&config.auth, &config.redis);
    let fetches = matches!(&auth.jwks_url, Some(JwksUrl::Http(_)));
    let secure = config.redis_url.as_ref().is_some_and(RedisUrl::is_secure);
    let collects = config.otlp.endpoint.as_ref().is_some_and(CollectorUrl::is_secure);
    let wrong = [
        (
            collects || config.otlp.ca.is_none(),
            "otlp.ca",
            "none, or an otlp.endpoint (CHORUS_OTLP_ENDPOINT) that begins with https: without it there is no TLS",
        ),
        (secure || redis.tls_ca.is_none(), "redis.tls_ca", SECURE_URL),
        (secure || redis.tls_cert.is_none(), "redis.tls_cert", SECURE_URL),
        (secure || redis.tls_key.is_none(), "redis.tls_key", SECURE_URL),
        (
            redis.tls_cert.is_none() || redis.tls_key.is_some(),
            "redis.tls_cert",
            "redis.tls_key (CHORUS_REDIS_TLS_KEY) beside it",
        ),
        (
            redis.tls_key.is_none() || redis.tls_cert.is_some(),
            "redis.tls_key",
            "redis.tls_cert (CHORUS_REDIS_TLS_CERT) beside it",
        ),
        (
            config.tls.certificate.is_none() || config.tls.key.is_some(),
            "tls.certificate",
            "tls.key (CHORUS_TLS_KEY) beside it",
        ),
        (
            config.tls.key.is_none() || config.tls.certificate.is_some(),
            "tls.key",
            "tls.certificate (CHORUS_TLS_CERTIFICATE) beside it",
        ),
        (
            config.redis_url.is_none() || auth.has_key(),
            "redis_url",
            "auth.jwt_secret (CHORUS_JWT_SECRET) or another key beside it: all nodes of a cluster check tokens with one",
        ),
        (
            auth.jwt_public_key.is_none() || auth.jwks_url.is_none(),
            "auth.jwt_public_key",
            "none beside auth.jwks_url: put both keys into one JWKS, which has names for them",
        ),
        (
            auth.jwks_ca.is_none() || (fetches && !auth.jwks_url.as_ref().is_some_and(JwksUrl::is_open)),
            "auth.jwks_ca",
            "none, or an auth.jwks_url (CHORUS_JWKS_URL) that begins with https: without it there is no TLS",
        ),
        (
            !config.development() || loopback,
            "listen",
            "a loopback address such as 127.0.0.1:8080 while no auth.jwt_secret (CHORUS_JWT_SECRET) or other key is \
             set, for then guests get tokens",
        ),
        (
            config.metrics_listen.is_none_or(|address| address != config.listen || address.port() == 0),
            "metrics_listen",
            "another address than listen, or none to serve both on one",
        ),
        (
            config.limits.frame_bytes >= config.largest_data_bytes() + 1024,
            "limits.frame_bytes",
            "at least limits.data_bytes, of each namespace too, and 1024 more, for what stands around a message's data",
        ),
        (
            config.history.ack == Ack::Local || config.redis_url.is_some(),
            "history.ack",
            "local while there is no redis_url (CHORUS_REDIS_URL): memory has no replicas",
        ),
        (config.presence.enabled || config.rooms.members == 0, "rooms.members", UNCOUNTED),
        (config.tail.node_bytes >= config.tail.bytes, "tail.node_bytes", "at least tail.bytes"),
        (weak != Some("auth.jwt_secret"), "auth.jwt_secret", LONG_SECRET),
        (weak != Some("api_keys"), "api_keys", LONG_KEY),
    ]
    .into_iter()
    .find(|(right, ..)| !right);
    wrong.map_or(Ok(()), |(_, key, instead)| Err(Complaint { key: key.into(), instead: Some(instead) }))
}

/// Settings of a namespace that must agree with each other and with those that hold everywhere.
fn namespace(config: &Config, name: &str, own: &NamespaceConfig) -> Result<(), Complaint> {
    let personal = name == "@";
    let presence = own.presence.unwrap_or(config.presence.enabled);
    let members = own.members.unwrap_or(config.rooms.members);
    let (key, instead) = match own.members {
        Some(_) => ("members", UNCOUNTED),
        None => ("presence", "true while rooms.members is set: by presence members are counted"),
    };
    let wrong = [
        (!personal || own.default_rights.is_none(), "default_rights", OWN_ROOMS),
        (!personal || own.members_may_post.is_none(), "members_may_post", OWN_ROOMS),
        (presence || members == 0, key, instead),
    ]
    .into_iter()
    .find(|(right, ..)| !right);
    wrong.map_or(Ok(()), |(_, key, instead)| {
        let key = format!("namespaces.{name}.{key}").into();
        Err(Complaint { key, instead: Some(instead) })
    })
}

/// A limit that nobody keeps is worse than none.
const UNCOUNTED: &str = "0 where there is no presence, by which members are counted";
const OWN_ROOMS: &str = "nothing: in its own room a user reads, whatever its token says, and servers post";

/// Whoever names a CA believes that the connection is secure.
const SECURE_URL: &str =
    "none, or a redis_url (CHORUS_REDIS_URL) that begins with rediss: without it there is no TLS";
const LONG_SECRET: &str = "at least 32 random bytes where others than this machine can connect, as HS256 needs \
     (RFC 7518, section 3.2): try `openssl rand -base64 32`";
const LONG_KEY: &str = "keys of at least 16 bytes each, as from `openssl rand -hex 32`";

/// The key of a secret that could be guessed, if there is one. On loopback that is worth a warning: it is somebody's
/// first try, or a test.
pub(super) fn weak_secret(config: &Config) -> Option<&'static str> {
    let short = |secret: &Secret, bytes| secret.expose().len() < bytes;
    if config.auth.jwt_secret.as_ref().is_some_and(|secret| short(secret, 32)) {
        return Some("auth.jwt_secret");
    }
    config.api_keys.iter().any(|key| short(key, 16)).then_some("api_keys")
}

/// The key of a setting by which a node without a Redis may have company, if there is one: others than this machine
/// connect to it, maybe by way of a proxy that has further nodes behind it.
pub(super) fn company(config: &Config) -> Option<&'static str> {
    let loopback = config.listen.ip().to_canonical().is_loopback();
    match config.redis_url {
        Some(_) => None,
        None if !config.trusted_proxies.is_empty() => Some("trusted_proxies"),
        None => (!loopback).then_some("listen"),
    }
}

fn name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn cookie(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
