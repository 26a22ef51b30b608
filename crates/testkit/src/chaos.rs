//! Nothing lost: a cluster under faults, a crowd that talks meanwhile, and a checker that compares what everyone
//! saw with what was promised. `cargo xtask chaos` runs it.
//!
//! | module | subject |
//! | --- | --- |
//! | `run` | faults one after the other, and then the judgement |
//! | `arena` | what the faults happen to: a Redis of some shape, the gateways, proxies between |
//! | `fault`, `nemesis` | what can go wrong, and whoever does it |
//! | `proof` | whether a fault really happened |
//! | `crowd` | the clients |
//! | `herd` | ten thousand more of them, who only come back |
//! | `visitors`, `outcasts` | clients who do not come back, and those who are thrown out |
//! | `watch` | asks the nodes how they are |
//! | `history` | what is recorded |
//! | `audit` | what the nodes and Redis tell when all is over |
//! | `checker`, `health`, `company`, `amended`, `banished` | what is wrong with it; pure |
//! | `report` | the table |
//! | `slope` | whether what they hold grows |
//! | `random` | the seed |

pub mod amended;
pub mod arena;
pub mod audit;
pub mod banished;
pub mod checker;
pub mod company;
pub mod crowd;
pub mod fault;
pub mod health;
pub mod herd;
pub mod history;
pub mod nemesis;
pub mod outcasts;
pub mod proof;
pub mod random;
pub mod report;
pub mod run;
pub mod slope;
pub mod visitors;
pub mod watch;

pub use arena::{Oks, Shape};
pub use checker::{Kind, Violation};
pub use fault::{Fault, SHORT, SHORT_CLUSTER, SHORT_SENTINEL, deck};
pub use random::Random;
pub use report::{Row, Table};
pub use run::{Options, Outcome, PAUSE, run};
pub use slope::Slope;
