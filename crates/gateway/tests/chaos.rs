//! Faults against a cluster of real processes, and whether anything was lost: a minute of what `cargo xtask chaos`
//! does at length.
#![allow(clippy::panic, missing_docs, reason = "this is a test from the first line to the last")]

use std::path::{Path, PathBuf};

use testkit::chaos::{Fault, Oks, Options, PAUSE, SHORT, SHORT_CLUSTER, SHORT_SENTINEL, Shape, run};

#[tokio::test]
async fn nothing_is_lost_whatever_fails() {
    judge(Shape::Single, SHORT).await;
}

/// Nothing that was acknowledged by the replicas, too.
#[tokio::test]
async fn nothing_is_lost_whatever_fails_in_a_cluster() {
    judge(Shape::Cluster(Oks::Replicated), SHORT_CLUSTER).await;
}

#[tokio::test]
async fn nothing_is_lost_whatever_fails_behind_sentinels() {
    judge(Shape::Sentinel(Oks::Replicated), SHORT_SENTINEL).await;
}

async fn judge(shape: Shape, faults: &[Fault]) {
    let built = || env!("CARGO_BIN_EXE_chorus").into();
    let options = Options {
        binary: std::env::var_os("CHORUS_BIN").map_or_else(built, PathBuf::from),
        shape,
        faults: faults.to_vec(),
        seed: 3,
        gateways: 3,
        members: 12,
        pause: PAUSE,
        lasting: None,
        artifacts: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../artifacts/chaos"),
    };
    let outcome = run(&options).await;
    println!("{}", outcome.table);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
}
