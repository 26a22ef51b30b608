//! `chorus plan`: what a cluster needs, before there is one.

use clap::Args;
use gateway::plan::{Load, Machine};

use super::Failure;

/// How many nodes, and how large a Redis, so many users need; docs/SCALING.md explains the model
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// Users connected at once, such as 1000000 or 1e6
    #[arg(long, value_name = "NUMBER")]
    users: f64,
    /// Rooms in all
    #[arg(long, value_name = "NUMBER")]
    rooms: f64,
    /// Messages a second, in all rooms together
    #[arg(long, value_name = "NUMBER")]
    rate: f64,
    /// In how many rooms each user is
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    rooms_each: f64,
    /// Bytes of a message's data
    #[arg(long, value_name = "BYTES", default_value_t = 128.0)]
    bytes: f64,
    /// How often a connection ends and comes again
    #[arg(long, value_name = "TIMES AN HOUR", default_value_t = 1.0)]
    turnover: f64,
    /// Seconds between heartbeats
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    heartbeat: f64,
    /// Messages that a room keeps
    #[arg(long, value_name = "NUMBER", default_value_t = 1000.0)]
    history: f64,
    /// For how long it keeps them
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400.0)]
    age: f64,
    /// Cores of a node
    #[arg(long, value_name = "NUMBER", default_value_t = 4.0)]
    cores: f64,
    /// Memory of a node
    #[arg(long, value_name = "GB", default_value_t = 8.0)]
    memory: f64,
    /// How much of a node's cores and memory may be used, of 1
    #[arg(long, value_name = "PART", default_value_t = 0.5)]
    use_at_most: f64,
    /// Memory of a Redis
    #[arg(long, value_name = "GB", default_value_t = 16.0)]
    redis_memory: f64,
}

/// What is printed.
pub(crate) fn made(asked: &Asked) -> Result<String, Failure> {
    let above_0 = [
        ("users", asked.users),
        ("rooms", asked.rooms),
        ("rooms-each", asked.rooms_each),
        ("heartbeat", asked.heartbeat),
        ("cores", asked.cores),
        ("memory", asked.memory),
        ("use-at-most", asked.use_at_most),
        ("redis-memory", asked.redis_memory),
    ];
    let not_below = [
        ("rate", asked.rate),
        ("bytes", asked.bytes),
        ("turnover", asked.turnover),
        ("history", asked.history),
        ("age", asked.age),
    ];
    let wrong =
        |flag: &str, value: f64, right: &str| Err(Failure::Usage(format!("--{flag} {value}: {right}")));
    if let Some((flag, value)) = above_0.into_iter().find(|(_, value)| !(*value > 0.0 && value.is_finite())) {
        return wrong(flag, value, "a number above 0");
    }
    if let Some((flag, value)) =
        not_below.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite()))
    {
        return wrong(flag, value, "a number that is not below 0");
    }
    if asked.use_at_most > 1.0 {
        return wrong("use-at-most", asked.use_at_most, "a part of 1, such as 0.5");
    }
    if asked.rooms_each > asked.rooms {
        return wrong("rooms-each", asked.rooms_each, "there are not so many rooms");
    }
    let load = Load {
        users: asked.users,
        rooms: asked.rooms,
        rooms_each: asked.rooms_each,
        rate: asked.rate,
        bytes: asked.bytes,
        turnover: asked.turnover,
        heartbeat: asked.heartbeat,
        history: asked.history,
        age: asked.age,
    };
    let machine = Machine {
        cores: asked.cores,
        memory: asked.memory * 1e9,
        use_at_most: asked.use_at_most,
        redis_memory: asked.redis_memory * 1e9,
    };
    Ok(format!("{}\n", load.plan(&machine)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn plan(line: &str) -> Result<String, String> {
        let words = ["chorus", "plan"].into_iter().chain(line.split(' '));
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        let Some(Command::Plan(asked)) = arguments.command else { return Err("no plan".to_owned()) };
        made(&asked).map_err(|failure| failure.to_string())
    }

    #[test]
    fn it_says_what_is_needed() {
        let told = plan("--users 1e6 --rooms 1e5 --rate 50000").unwrap();
        for part in ["10.0 on average", "500 thousand a second", "Redis"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn what_can_t_be_is_refused_in_words() {
        for (line, word) in [
            ("--users 0 --rooms 1 --rate 1", "--users 0"),
            ("--users 1 --rooms 1 --rate NaN", "--rate NaN"),
            ("--users 1 --rooms 1 --rate=-1", "--rate -1"),
            ("--users 1 --rooms 1 --rate 1 --use-at-most 2", "--use-at-most 2"),
            ("--users 1 --rooms 1 --rate 1 --rooms-each 2", "--rooms-each 2"),
            ("--users many --rooms 1 --rate 1", "many"),
            ("--users 1 --rooms 1", "--rate"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
