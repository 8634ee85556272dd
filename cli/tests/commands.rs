//! The commands that need no server: `token` and `config`, their output and exit codes.

use std::path::Path;
use std::process::{Command, Output};

use plimsoll_service::auth::Keys;

fn plimsoll(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLIMSOLL_") {
            command.env_remove(name);
        }
    }
    let environment = environment.iter().copied();
    command
        .current_dir(directory)
        .args(arguments)
        .envs(environment)
        .output()
        .expect("the binary can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_token_is_the_last_line_and_the_server_of_the_directory_knows_it() {
    let directory = tempfile::tempdir().unwrap();
    let output = plimsoll(directory.path(), &["token", "--data", "data", "--org", "org_acme"], &[]);
    let said = text(&output.stdout);
    let token = said.lines().last().unwrap();
    assert!(output.status.success());
    let caller = Keys::load_or_create(&directory.path().join("data")).unwrap().verify(token).unwrap();
    assert_eq!(&*caller.org, "org_acme");
}

#[test]
fn an_organisation_that_cannot_be_one_is_misuse() {
    let directory = tempfile::tempdir().unwrap();
    let output = plimsoll(directory.path(), &["token", "--org", "acme"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("\"acme\""), "{}", text(&output.stderr));
}

#[test]
fn config_tells_each_value_and_its_source_in_the_order_of_the_layers() {
    let directory = tempfile::tempdir().unwrap();
    let file =
        "drain_seconds = 1\n[hooks]\nconcurrency = 100\ntenant_concurrency = 20\nsvix_headers = false\n";
    std::fs::write(directory.path().join("plimsoll.toml"), file).unwrap();
    let arguments = ["config", "--json", "--config", "plimsoll.toml", "--set", "hooks.concurrency=300"];
    let environment = [("PLIMSOLL_HOOKS_CONCURRENCY", "200"), ("PLIMSOLL_HOOKS_TENANT_CONCURRENCY", "30")];
    let output = plimsoll(directory.path(), &arguments, &environment);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (key, value, source) in [
        ("hooks.concurrency", 300.into(), "flag --set hooks.concurrency"),
        ("hooks.tenant_concurrency", 30.into(), "environment PLIMSOLL_HOOKS_TENANT_CONCURRENCY"),
        ("hooks.svix_headers", false.into(), "plimsoll.toml:5"),
        ("listen", "127.0.0.1:8071".into(), "default"),
    ] {
        assert_eq!((&json[key]["value"], &json[key]["source"]), (&value, &source.into()), "{key}");
    }
}

#[test]
fn what_is_wrong_with_the_configuration_is_told_by_name_with_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, environment, told) in [
        (&["serve", "--set", "hooks.concurency=1"][..], ("X", ""), "hooks.concurrency?"),
        (&["serve", "--listen", "here"][..], ("X", ""), "listen is \"here\" (flag --listen)"),
        (&["serve", "--config", "missing.toml"][..], ("X", ""), "missing.toml"),
        (&["serve", "--set", "log=loud=loud"][..], ("X", ""), "log is"),
        (&["token"][..], ("PLIMSOLL_DATTA", "x"), "PLIMSOLL_DATA?"),
        (&["config", "--set", "hooks.endpoint_concurrency=100"][..], ("X", ""), "hooks.tenant_concurrency"),
        (&["serve", "--nonsense"][..], ("X", ""), "--nonsense"),
    ] {
        let output = plimsoll(directory.path(), arguments, &[environment]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(told), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn the_page_of_all_settings_is_what_the_binary_prints() {
    let directory = tempfile::tempdir().unwrap();
    let output = plimsoll(directory.path(), &["config", "--markdown"], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let printed = text(&output.stdout);
    let differs = printed.lines().zip(page.lines()).find(|(printed, page)| printed != page);
    assert!(
        page == printed,
        "docs/settings.md is not what the binary prints; the first line that differs: {differs:#?}\n\
         write it again: cargo run -- config --markdown > docs/settings.md"
    );
}

#[test]
fn a_secret_of_the_configuration_is_never_printed() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["config"][..], &["config", "--json"][..]] {
        let output = plimsoll(directory.path(), arguments, &[("PLIMSOLL_ADMIN_TOKEN", "hunter2hunter2")]);
        assert!(output.status.success() && !text(&output.stdout).contains("hunter2"));
        assert!(text(&output.stdout).contains("(hidden)"));
    }
}
