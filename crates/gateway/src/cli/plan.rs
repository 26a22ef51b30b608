//! `chorus plan`: what a cluster needs, before there is one.

use clap::Args;
use gateway::plan::{Load, Machine};

use super::Failure;

/// How many nodes, and how large a Redis, so many users need; docs/SCALING.md explains the model
#[derive(Args, Debug)]
pub(crate) struct Asked {
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    machine: Machine,
    /// For a program: JSON, in bytes, bits and cores
    #[arg(long)]
    json: bool,
}

/// What is printed.
pub(crate) fn made(Asked { load, machine, json }: &Asked) -> Result<String, Failure> {
    let above_0 = [
        ("users", load.users),
        ("rooms", load.rooms),
        ("rooms-each", load.rooms_each),
        ("heartbeat", load.heartbeat),
        ("cores", machine.cores),
        ("memory", machine.memory),
        ("use-at-most", machine.use_at_most),
        ("redis-memory", machine.redis_memory),
        ("nodes", machine.nodes.unwrap_or(1.0)),
    ];
    let not_below = [
        ("rate", load.rate),
        ("bytes", load.bytes),
        ("turnover", load.turnover),
        ("history", load.history),
        ("age", load.age),
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
    if machine.use_at_most > 1.0 {
        return wrong("use-at-most", machine.use_at_most, "a part of 1, such as 0.5");
    }
    if load.rooms_each > load.rooms {
        return wrong("rooms-each", load.rooms_each, "there are not so many rooms");
    }
    let plan = load.plan(machine);
    if *json {
        let text = serde_json::to_string_pretty(&plan);
        return text.map(|text| text + "\n").map_err(|error| Failure::Failed(error.to_string()));
    }
    Ok(format!("{plan}\n"))
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
    fn a_program_gets_numbers() {
        let told = plan("--users 2500 --rooms 100 --rate 500 --nodes 3 --json").unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((told["nodes"].as_f64(), told["because"].as_str()), (Some(3.0), Some("given")));
        assert!(
            told["node"]["cores"].as_f64() > Some(0.0) && told["redis_cores"].as_f64() > Some(0.0),
            "{told}"
        );
    }

    #[test]
    fn what_can_t_be_is_refused_in_words() {
        for (line, word) in [
            ("--users 0 --rooms 1 --rate 1", "--users 0"),
            ("--users 1 --rooms 1 --rate NaN", "--rate NaN"),
            ("--users 1 --rooms 1 --rate=-1", "--rate -1"),
            ("--users 1 --rooms 1 --rate 1 --use-at-most 2", "--use-at-most 2"),
            ("--users 1 --rooms 1 --rate 1 --nodes 0", "--nodes 0"),
            ("--users 1 --rooms 1 --rate 1 --rooms-each 2", "--rooms-each 2"),
            ("--users many --rooms 1 --rate 1", "many"),
            ("--users 1 --rooms 1", "--rate"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
