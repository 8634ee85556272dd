//! `plimsoll bench`: it measures what it says, and what it measures arrives.

use std::process::{Command, Output};

use serde_json::Value;

const KEYS: [&str; 12] = [
    "ceiling_per_second",
    "one_endpoint_per_second",
    "one_endpoint_ratio",
    "fanout_per_second",
    "fanout_ratio",
    "accept_p50_ms",
    "accept_p99_ms",
    "delivery_p50_ms",
    "delivery_p99_ms",
    "cpu_us_per_delivery",
    "bytes_written_per_delivery",
    "rss_peak_bytes",
];

const KEYS_OF_JOBS: [&str; 9] = [
    "accepted_per_second",
    "finished_per_second",
    "accept_p50_ms",
    "accept_p99_ms",
    "claim_p50_ms",
    "claim_p99_ms",
    "cpu_us_per_job",
    "bytes_written_per_job",
    "rss_peak_bytes",
];

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("bench").args(arguments).output().expect("the binary can be started")
}

#[test]
fn a_short_run_has_every_figure_and_loses_nothing() {
    let output = bench(&["hooks", "--seconds", "1", "--rounds", "1", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    for key in KEYS {
        assert!(json[key].as_f64().is_some_and(|number| number > 0.0), "{key} in {json}");
    }
    assert_eq!((&json["lost"], &json["faults"]), (&0.into(), &0.into()), "{said}");
    assert!(json["accepted"].as_u64() > Some(0) && json["deliveries"].as_u64() > json["accepted"].as_u64());
    assert!(said.contains("of the ceiling; the goal"), "{said}");
}

#[test]
fn a_short_run_of_jobs_has_every_figure_and_each_job_is_done_once() {
    let output = bench(&["jobs", "--seconds", "1", "--rounds", "1", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    for key in KEYS_OF_JOBS {
        assert!(json[key].as_f64().is_some_and(|number| number > 0.0), "{key} in {json}");
    }
    assert_eq!([&json["lost"], &json["run_twice"], &json["faults"]], [0, 0, 0], "{said}");
    assert!(json["accepted"].as_u64() > Some(0) && json["finished"] == json["accepted"], "{json}");
    assert!(said.contains("half load"), "{said}");
}

#[test]
fn a_setting_that_the_server_refuses_fails_with_its_words() {
    let output = bench(&["hooks", "--set", "hooks.concurency=1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hooks.concurrency?"), "{said}");
}
