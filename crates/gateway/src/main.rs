//! `chorus`: arguments, configuration, and then the gateway runs until it is told to stop.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use gateway::{
    app,
    config::{Config, LogFormat, Sources},
    reload::SetFilter,
};
use mimalloc::MiMalloc;
use tracing_subscriber::{EnvFilter, fmt};

mod cli;

use cli::{Arguments, Command, Failure};

/// Gives back what a crowd took. The C library's keeps it: see docs/PERFORMANCE.md, "Connections".
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        // Without a word when it fails: whoever has closed standard output does not want to read more.
        Ok(output) => {
            io::stdout().write_all(output.as_bytes()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(failure) => {
            eprintln!("chorus: {failure}");
            failure.code()
        }
    }
}

/// Does what was asked, and gives what is to be printed.
fn run(arguments: &Arguments) -> Result<String, Failure> {
    let sources = arguments.sources();
    let config = || Config::load(&sources);
    match &arguments.command {
        None => serve(config()?, sources.clone()).map(|()| String::new()),
        Some(Command::Token(token)) => Ok(cli::token::mint(token, &config()?)? + "\n"),
        Some(Command::Config) => Ok(config()?.to_toml()),
        Some(Command::Health) => Ok(cli::health::check(&config()?)? + "\n"),
        Some(Command::Plan(asked)) => cli::plan::made(asked),
        Some(Command::Version) => Ok(format!("chorus {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn serve(config: Config, sources: Sources) -> Result<(), Failure> {
    let set_filter = log(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("no threads: {error}")))?;
    runtime.block_on(app::run(config, sources, set_filter)).map_err(Failure::from)
}

/// Has log lines written, and gives what changes by which filter.
fn log(config: &Config) -> SetFilter {
    let lines = fmt().with_env_filter(EnvFilter::new(&config.log)).with_writer(io::stderr);
    // The two have types of their own, and so have their handles.
    match config.log_format {
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.init();
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
        LogFormat::Json => {
            let lines = lines.json().with_filter_reloading();
            let handle = lines.reload_handle();
            lines.init();
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
    }
}
