//! Nothing lost: a cluster under faults, a crowd that talks meanwhile, and a checker that compares what everyone
//! saw with what was promised.
//!
//! | module | subject |
//! | --- | --- |
//! | `history` | what is recorded |
//! | `checker`, `health` | what is wrong with it; pure |
//! | `random` | the seed |

pub mod checker;
pub mod crowd;
pub mod history;
pub mod random;
