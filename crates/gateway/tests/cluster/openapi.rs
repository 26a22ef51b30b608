//! The HTTP API by its own document: a generator of requests (schemathesis) that holds the gateway to what it says, and
//! the examples of its page.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Cluster, Redis, token};

use crate::fixture::options;
use crate::tools;

const KEY: &str = "an API key that only tests know";

/// Limits that a generator does not run into.
const UNHURRIED: &str = "[limits]\ncalls_per_second = 100000\nserver_calls_per_second = 100000\n";

/// What every answer must be.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

async fn cluster() -> Cluster {
    let options = options().config(UNHURRIED).env("CHORUS_API_KEYS", KEY);
    Cluster::start_with(Redis::start().await, 1, options).await
}

#[tokio::test]
async fn whatever_is_asked_the_answer_is_one_that_the_document_allows() {
    let cluster = cluster().await;
    // A stream does not end, a ticket is for users, and the generator finds out how to have the node end that it asks.
    let excluded = ["/v1/events", "/v1/tickets", "/v1/nodes/{node}/drain"];
    let excluded: Vec<_> = excluded.iter().flat_map(|path| ["--exclude-path", path]).collect();
    let by_server = generate(&cluster, KEY, &excluded).await;
    let by_user = generate(
        &cluster,
        &token("alice"),
        &["--include-path-regex", "^/v1/(tickets|rooms/.room./messages)$"],
    )
    .await;
    for (report, least) in [(by_server, 15), (by_user, 3)] {
        let rates = report["valid_rates"].as_object().expect("a rate for each operation");
        assert!(rates.len() >= least, "{report}");
        for (operation, phases) in rates {
            // What is asked for may not be there, which is an answer too.
            let phases = phases.as_object().expect("counts for each phase");
            let served = phases.values().flat_map(|phase| [&phase["accepted"], &phase["unreachable"]]);
            let served: u64 = served.filter_map(Value::as_u64).sum();
            assert!(served > 0, "{operation}: nothing that was asked was served: {phases:?}");
        }
    }
}

/// Lets the generator loose on some of the operations, and returns its report.
async fn generate(cluster: &Cluster, bearer: &str, which: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = tools::python_tool("schemathesis");
    command.current_dir(directory.path()).args(["run", "--checks", CHECKS, "--continue-on-failure"]);
    command.args(["--phases", "coverage,fuzzing", "--max-examples", "15", "--no-color"]);
    // The same requests at each run: whom a new find does not concern is not stopped by it.
    command.args(["--seed", "1"]);
    command.arg("--header").arg(format!("Authorization: Bearer {bearer}"));
    command.args(["--report", "json", "--report-json-path"]).arg(&report).args(which);
    command.arg(format!("http://{}/v1/openapi.json", cluster.addr(0)));
    let output = tools::output(Duration::from_mins(3), "schemathesis", &mut command).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {stdout} {stderr}", output.status);
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

#[tokio::test]
async fn the_examples_of_the_page_do_what_it_says() {
    let cluster = cluster().await;
    let page = std::fs::read_to_string(tools::project().join("docs/HTTP.md")).unwrap();
    let address = cluster.addr(0).to_string();
    let mut ran = 0;
    for section in page.split("```sh\n").skip(1) {
        let (example, rest) = section.split_once("```").expect("an end of the example");
        let mut shell = tools::shell(&format!("set -e\n{}", example.replace("127.0.0.1:8080", &address)));
        shell.env("TOKEN", token("alice")).env("KEY", KEY);
        let output = tools::output(Duration::from_secs(20), example, &mut shell).await;
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{example}: {stdout} {}", String::from_utf8_lossy(&output.stderr));
        // What it answers stands below it, if anywhere.
        let Some((answer, _)) =
            rest.trim_start().strip_prefix("```json\n").and_then(|rest| rest.split_once("```"))
        else {
            assert_eq!(stdout.trim(), "", "{example}: the page does not show this");
            continue;
        };
        let read = |text: &str| -> Value {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{example}: {error}: {text}"))
        };
        assert_eq!(outline(&read(&stdout)), outline(&read(answer)), "{example}: {stdout}");
        ran += 1;
    }
    assert!(ran >= 6, "only {ran} examples have an answer");
}

/// What is the same at every run: all but times, epochs, and what stands for an end of any length.
fn outline(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = |(key, value): (&String, &Value)| match key.as_str() {
                "at" | "epoch" | "ticket" | "until_ms" | "retry_after_ms" => (key.clone(), json!("…")),
                _ => (key.clone(), outline(value)),
            };
            fields.iter().map(kept).collect()
        }
        Value::Array(items) => items.iter().map(outline).collect(),
        other => other.clone(),
    }
}
