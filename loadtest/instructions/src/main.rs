//! One step of a message's way, done so many times: `instructions CASE TIMES`.
//!
//! `cargo xtask instructions` runs each case twice under callgrind, for few times and for many, and divides the
//! difference: start and set-up drop out, and what is left is the instructions of one time. They hardly depend on
//! what else the machine does, so that a few percent can be told where a clock can't.
//!
//! Not iai-callgrind (now gungraun): it needs a runner of exactly its own version, another half a minute to build,
//! and what it would do for us is to start valgrind and to subtract.
//!
//! Everything runs on one thread, and what is counted ends in the kernel: its share, most of a delivery's time, is
//! `cargo xtask bench`'s to measure.

mod append;
mod counters;
mod fan_out;
mod frames;
mod sample;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, times] = &arguments[..] else { return fail("expected a case and how many times") };
    let Ok(times) = times.parse() else { return fail("how many times is a number") };
    let done = match case.as_str() {
        "decode" => frames::decode(times),
        "append" => append::append(times),
        "encode" => frames::encode(times),
        "fan-out" => fan_out::fan_out(times),
        _ => Err("the cases are decode, append, encode and fan-out".to_owned()),
    };
    done.map_or_else(|reason| fail(&reason), |()| ExitCode::SUCCESS)
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("instructions: {reason}");
    ExitCode::FAILURE
}
