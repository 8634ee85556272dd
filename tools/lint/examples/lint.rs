//! Lints a directory and prints what was found, a line each: `cargo run --example lint -- PATH`.

use std::path::Path;
use std::time::Instant;

use plimsoll_lint::{Options, Rank, lint_tree};

#[expect(clippy::disallowed_methods, reason = "how long it took is all that is wanted")]
fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let least = match std::env::args().nth(2).as_deref() {
        Some("low") => Rank::Low,
        Some("medium") => Rank::Medium,
        _ => Rank::High,
    };
    let begun = Instant::now();
    let report = lint_tree(Path::new(&root), &Options::default(), &|_| {});
    let took = begun.elapsed();
    for finding in report.findings.iter().filter(|finding| finding.rank >= least) {
        println!(
            "{} {} {}:{} {} | {}",
            finding.rank,
            finding.rule.code(),
            finding.path,
            finding.start,
            finding.what,
            finding.message
        );
    }
    for failure in &report.failures {
        println!("not judged: {failure}");
    }
    println!(
        "{} files, {} functions, {} findings, in {took:?}",
        report.files,
        report.functions,
        report.findings.len()
    );
}
