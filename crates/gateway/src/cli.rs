//! The command line.

use std::{fmt, path::PathBuf, process::ExitCode};

use bus::BusError;
use clap::{Args, Parser, Subcommand};
use gateway::{
    app::StartError,
    config::{ConfigError, Sources},
};

pub(crate) mod health;
pub(crate) mod plan;
pub(crate) mod token;

/// A chat gateway. Without a command it serves; without a configuration it does so for this machine only.
#[derive(Debug, Parser)]
#[command(name = "chorus", version, arg_required_else_help = false)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    overrides: Overrides,
}

/// What a flag may say in the configuration's place.
#[expect(clippy::doc_markdown, reason = "these are help texts for a terminal")]
#[derive(Args, Debug)]
#[command(next_help_heading = "Configuration")]
struct Overrides {
    /// The configuration file [env: CHORUS_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect [env: CHORUS_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The Redis that carries rooms between nodes [env: CHORUS_REDIS_URL]
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    /// This node's name [env: CHORUS_NODE] [default: the host's]
    #[arg(long, global = true, value_name = "NAME")]
    node: Option<String>,
}

/// What else `chorus` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a token signed with the configured key
    Token(token::Token),
    /// Print the configuration in force, secrets hidden
    Config,
    /// Ask the gateway that runs with this configuration whether it is ready
    Health,
    /// How many nodes, and how large a Redis, so many users need
    Plan(plan::Asked),
    /// Print the version
    Version,
}

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called or configured wrongly.
    Usage(String),
    /// It could not do what it should.
    Failed(String),
}

impl Arguments {
    /// The layers above the defaults.
    pub(crate) fn sources(&self) -> Sources {
        let Overrides { config, listen, redis_url, node } = &self.overrides;
        let flags = [("listen", listen), ("redis_url", redis_url), ("node", node)];
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Sources {
            file: config.clone(),
            environment: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            flags: flags.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect(),
        }
    }
}

impl Failure {
    /// 2 for who called, 1 for us.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(line) | Self::Failed(line)) = self;
        f.write_str(line)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(_) | StartError::Bus(BusError::Config(_)) => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_behind_the_command() {
        for line in [["chorus", "--listen", "[::1]:1", "config"], ["chorus", "config", "--listen", "[::1]:1"]]
        {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert!(matches!(arguments.command, Some(Command::Config)));
            assert_eq!(arguments.sources().flags, [("listen", "[::1]:1".to_owned())]);
        }
    }
}
