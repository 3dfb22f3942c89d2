//! `--cache`: what one machine has built, another takes from a registry.

use crate::support::{Registry, Run, Sandbox, assert_layout_is_valid, run};

/// Variables under which no package index can be reached.
const NO_INDEX: [(&str, &str); 4] = [
    ("UV_INDEX_URL", "http://127.0.0.1:1/simple"),
    ("PIP_INDEX_URL", "http://127.0.0.1:1/simple"),
    ("PYOCI_DEBIAN_MIRROR", "http://127.0.0.1:1/debian"),
    ("UV_HTTP_RETRIES", "0"),
];

fn build(sandbox: &Sandbox, options: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = sandbox.pyoci();
    command
        .args(["build", "flask"])
        .args(options)
        .envs(variables.iter().copied());
    run(&mut command)
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn an_empty_machine_without_an_index_builds_the_same_and_moves_only_the_app() {
    let registry = Registry::start();
    let (image, cache) = (registry.reference("flask"), registry.reference("cache"));
    let first = Sandbox::cold();
    first.example("flask");
    let push = ["--push", &image, "--cache", &cache];
    let built = build(&first, &push, &[]).succeeded();
    let digest = built.stdout.trim_end().rsplit_once('@').unwrap().1.to_owned();

    // Into a directory: the layers come from the registry.
    let second = Sandbox::cold();
    second.example("flask");
    let layout = ["-o", "image", "--cache-from", &cache];
    let again = build(&second, &layout, &NO_INDEX).succeeded();
    assert_eq!(again.stdout.trim_end(), digest);
    assert_layout_is_valid(&second.path("image"));

    // Into another repository of the registry: they do not even come here.
    let third = Sandbox::cold();
    third.example("flask");
    let _ = registry.asked();
    let copy = registry.reference("copy");
    let push = ["--push", &copy, "--cache-from", &cache];
    let pushed = build(&third, &push, &NO_INDEX).succeeded();
    assert_eq!(pushed.stdout.trim_end(), format!("{copy}@{digest}"));
    let asked = registry.asked();
    let mounted = asked.iter().filter(|line| line.contains("mount=")).count();
    assert_eq!(mounted, 2, "base and dependencies: {asked:#?}");
    let sent = asked
        .iter()
        .filter(|line| line.starts_with("PUT") && line.contains("/uploads/"));
    assert_eq!(sent.count(), 2, "app and config: {asked:#?}");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_second_publication_sends_nothing() {
    let registry = Registry::start();
    let cache = registry.reference("cache");
    let sandbox = Sandbox::cold();
    sandbox.example("flask");
    build(&sandbox, &["-o", "image", "--cache", &cache], &[]).succeeded();
    let _ = registry.asked();
    let again = build(&sandbox, &["-o", "image", "--cache", &cache], &[]).succeeded();
    assert!(again.stderr.contains("0 B sent"), "{}", again.stderr);
    let asked = registry.asked();
    assert!(
        asked
            .iter()
            .all(|line| !line.starts_with("PUT") && !line.starts_with("POST")),
        "{asked:#?}"
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_cache_that_is_away_costs_time_and_not_the_build() {
    let sandbox = Sandbox::new();
    sandbox.example("flask");
    let gone = "127.0.0.1:1/cache";
    let run = build(&sandbox, &["-o", "image", "--cache", gone], &[]).succeeded();
    assert!(
        run.stderr
            .contains("the cache in 127.0.0.1:1/cache was not written"),
        "{}",
        run.stderr
    );
}
