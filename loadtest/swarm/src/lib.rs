//! The load generator: thousands of members of a chat who count what comes, on this server's protocol and on its
//! peers'.
//!
//! | module | subject |
//! | --- | --- |
//! | `plan` | who connects, who is in which room, who sends |
//! | `run` | workers, phases, outcomes |
//! | `talk` | what the run and its workers say to each other |
//! | `worker` | one thread that plays its share of the connections |
//! | `schedule` | who sends what when |
//! | `connection`, `wire`, `secure` | a WebSocket client that costs little, over TLS too |
//! | `dialect` | the servers' protocols |
//! | `stamp` | what each message carries, so that its receiver can judge it |
//! | `tally` | what was counted |
//! | `sample`, `clock` | what the system knows |
//! | `table` | outcomes for people |

pub mod clock;
pub mod connection;
pub mod dialect;
pub mod plan;
pub mod run;
pub mod sample;
pub mod schedule;
pub mod secure;
pub mod stamp;
pub mod table;
pub mod talk;
pub mod tally;
pub mod wire;
pub mod worker;
