//! Each rule's own examples: what stands on its page is what it finds.

use plimsoll_lint::{Level, Options, Rank, Rule, lint_source};

fn found(text: &str) -> Vec<(Rule, Rank)> {
    let findings = lint_source("src/site.rs", text, &Options::default()).expect("an example is Rust");
    findings.iter().map(|finding| (finding.rule, finding.rank)).collect()
}

#[test]
fn the_bad_example_of_each_rule_has_it() {
    for &rule in Rule::ALL {
        let found = found(rule.bad());
        assert!(found.iter().any(|(of, _)| *of == rule), "{rule}: {found:?}");
    }
}

#[test]
fn the_good_example_of_each_rule_has_nothing_at_all() {
    for &rule in Rule::ALL {
        let found = found(rule.good());
        assert!(found.is_empty(), "{rule}: {found:?}");
    }
}

#[test]
fn a_page_has_all_its_parts() {
    for &rule in Rule::ALL {
        for part in
            [rule.title(), rule.why(), rule.bad(), rule.good(), rule.with_plimsoll(), rule.with_tokio()]
        {
            assert!(!part.is_empty(), "{rule}");
        }
        assert!(rule.page().starts_with(&format!("# {} {}: ", rule.code(), rule.name())), "{rule}");
    }
}

#[test]
fn what_requests_and_peers_feed_ranks_highest() {
    let fed = [
        Rule::SpawnInLoop,
        Rule::DroppedHandle,
        Rule::UnboundedChannel,
        Rule::UnboundedJoin,
        Rule::UnboundedBuffer,
        Rule::ThreadPerItem,
        Rule::UnboundedAccept,
        Rule::SleepThenAct,
        Rule::UnboundedRetry,
        Rule::PermitAcrossSleep,
        Rule::CheckThenAct,
        Rule::NoSingleflight,
        Rule::LockAcrossAwait,
        Rule::NoTimeout,
        Rule::UnboundedBody,
        Rule::BusySelect,
        Rule::LimitFromInput,
    ];
    for rule in fed {
        let found = found(rule.bad());
        assert!(found.contains(&(rule, Rank::High)), "{rule}: {found:?}");
    }
}

#[test]
fn the_same_in_a_test_ranks_lowest() {
    for &rule in Rule::ALL {
        let findings =
            lint_source("tests/site.rs", rule.bad(), &Options::default()).expect("an example is Rust");
        assert!(findings.iter().all(|finding| finding.rank == Rank::Low && finding.in_tests()), "{rule}");
    }
}

#[test]
fn a_rule_that_is_off_finds_nothing() {
    for &rule in Rule::ALL {
        let options = Options::default().with_level(rule, Level::Off);
        let findings = lint_source("src/site.rs", rule.bad(), &options).expect("an example is Rust");
        assert!(findings.iter().all(|finding| finding.rule != rule), "{rule}");
    }
}

#[test]
fn a_rule_is_found_by_its_code_and_by_its_name() {
    for &rule in Rule::ALL {
        assert_eq!(rule.code().parse(), Ok(rule));
        assert_eq!(rule.code().to_lowercase().parse(), Ok(rule));
        assert_eq!(rule.name().parse(), Ok(rule));
    }
    let told = "PL777".parse::<Rule>().expect_err("there is none").to_string();
    assert!(told.starts_with("no rule is called `PL777`: there are PL001 spawn-in-loop, "), "{told}");
}

#[test]
fn every_finding_says_why_and_what_instead() {
    for &rule in Rule::ALL {
        for finding in
            lint_source("src/site.rs", rule.bad(), &Options::default()).expect("an example is Rust")
        {
            let about_comments = matches!(finding.rule, Rule::AllowWithoutReason | Rule::UnusedAllow);
            assert!(!finding.message.is_empty() && !finding.what.is_empty(), "{finding:?}");
            assert!(about_comments || finding.suggestions.len() == 2, "{finding:?}");
            assert!(about_comments || !finding.facts.is_empty(), "{finding:?}");
        }
    }
}
