//! `chorus token`: a token for a test, a script, a first try.

use std::{fmt::Display, time::Duration};

use clap::Args;
use gateway::{
    auth::{Authenticator, Claims, Identity, rights::Grants},
    config::Config,
};
use proto::UserId;

use super::Failure;

/// Print a token signed with the configured key
#[derive(Args, Debug)]
pub(crate) struct Token {
    /// The user's id
    #[arg(long, value_name = "USER")]
    sub: String,
    /// The display name
    #[arg(long)]
    name: Option<String>,
    /// Rights in a room or in all rooms with a prefix, such as lobby=rw or team:*=r; may be repeated
    #[arg(long, value_name = "PATTERN=RIGHTS")]
    room: Vec<String>,
    /// How long it is good: a number with s, m, h or d
    #[arg(long, default_value = "1h")]
    ttl: String,
    /// For whom it is [default: auth.audience]
    #[arg(long)]
    aud: Option<String>,
    /// Who made it [default: auth.issuer]
    #[arg(long)]
    iss: Option<String>,
}

/// Signs what was asked for. What is wrong is said in one line, as for the configuration.
pub(crate) fn mint(token: &Token, config: &Config) -> Result<String, Failure> {
    if config.auth.jwt_secret.is_none() {
        return Err(Failure::Usage(
            "auth.jwt_secret is not set: set it, or CHORUS_JWT_SECRET, to the gateways' own key".to_owned(),
        ));
    }
    let sub = UserId::parse(&token.sub).map_err(|error| wrong("sub", &token.sub, &error))?;
    let ttl = duration(&token.ttl).ok_or_else(|| wrong("ttl", &token.ttl, &"expected such as 90s or 1h"))?;
    if let Some(name) = token.name.as_ref().filter(|name| !Identity::is_name(name)) {
        return Err(wrong("name", name, &"a name is 1 to 128 bytes without control characters"));
    }
    let claims = Claims {
        name: token.name.clone(),
        rooms: if token.room.is_empty() { None } else { Some(grants(&token.room)?) },
        aud: token.aud.clone().or_else(|| config.auth.audience.clone()),
        iss: token.iss.clone().or_else(|| config.auth.issuer.clone()),
        ..Claims::new(sub, ttl.as_secs())
    };
    Authenticator::new(config)?.mint(&claims).map_err(|error| Failure::Failed(error.to_string()))
}

fn wrong(flag: &str, value: &str, right: &dyn Display) -> Failure {
    Failure::Usage(format!("--{flag} {value:?}: {right}"))
}

/// Each by itself, so that the one that is wrong is named, and then all together.
fn grants(rooms: &[String]) -> Result<Grants, Failure> {
    let mut pairs = Vec::new();
    for room in rooms {
        let pair = room.split_once('=').ok_or_else(|| wrong("room", room, &"expected such as lobby=rw"))?;
        Grants::new([pair]).map_err(|error| wrong("room", room, &error))?;
        pairs.push(pair);
    }
    Grants::new(pairs).map_err(|error| Failure::Usage(format!("--room: {error}")))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use gateway::{
        auth::Rights,
        config::{AuthConfig, Secret},
    };
    use proto::RoomName;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn parse(arguments: &[&str]) -> Result<Token, clap::Error> {
        let line = ["chorus", "token"].iter().chain(arguments);
        match Arguments::try_parse_from(line)?.command {
            Some(Command::Token(token)) => Ok(token),
            other => panic!("{other:?}"),
        }
    }

    fn keyed() -> Config {
        let auth = AuthConfig {
            jwt_secret: Some(Secret::new("k".repeat(32))),
            audience: Some("chat".to_owned()),
            issuer: Some("app".to_owned()),
            ..AuthConfig::default()
        };
        Config { auth, ..Config::default() }
    }

    #[tokio::test]
    async fn the_gateway_believes_what_it_prints() {
        let config = keyed();
        let token = parse(&["--sub", "alice", "--name", "Alice", "--room", "lobby=rw", "--room", "team:*=r"])
            .unwrap();
        let identity =
            Authenticator::new(&config).unwrap().verify(&mint(&token, &config).unwrap()).await.unwrap();
        assert_eq!((identity.user.as_str(), identity.name.as_deref()), ("alice", Some("Alice")));
        let rights = |room| identity.rights(&RoomName::parse(room).unwrap(), Rights::NONE).to_string();
        assert_eq!([rights("lobby"), rights("team:1"), rights("other")], ["rw", "r", ""]);
    }

    #[test]
    fn without_a_key_it_says_how_to_set_one() {
        let error = mint(&parse(&["--sub", "alice"]).unwrap(), &Config::default()).unwrap_err();
        assert!(error.to_string().contains("CHORUS_JWT_SECRET"), "{error}");
        assert_eq!(error.code(), std::process::ExitCode::from(2));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (arguments, line) in [
            (
                &["--sub", "a b"][..],
                r#"--sub "a b": a user id is 1 to 120 bytes of A-Z a-z 0-9 _ . - : # @ | + = /"#,
            ),
            (&["--sub", "a", "--ttl", "1"][..], r#"--ttl "1": expected such as 90s or 1h"#),
            (&["--sub", "a", "--room", "lobby"][..], r#"--room "lobby": expected such as lobby=rw"#),
            (&["--sub", "a", "--room", "b=rx"][..], r#"--room "b=rx": rights are letters of r, w and m"#),
            (
                &["--sub", "a", "--room", "a*b=r"][..],
                r#"--room "a*b=r": a room pattern is neither a name nor a prefix and *"#,
            ),
            (
                &["--sub", "a", "--room", "b=r", "--room", "b=rw"][..],
                "--room: a room pattern stands there twice",
            ),
            (
                &["--sub", "a", "--name", "a\nb"][..],
                r#"--name "a\nb": a name is 1 to 128 bytes without control characters"#,
            ),
        ] {
            assert_eq!(mint(&parse(arguments).unwrap(), &keyed()).unwrap_err().to_string(), line);
        }
    }

    #[test]
    fn durations() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(
            [seconds("90s"), seconds("5m"), seconds("1h"), seconds("7d")],
            [Some(90), Some(300), Some(3600), Some(604_800)]
        );
        for bad in ["", "h", "-1h", "1.5h", "1w", "1", "é"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
