//! `--timings` and the steps of `--format json`: what they say, and that no image knows of them.

use crate::support::{IndexHabits, PackageIndex, Sandbox, lock, run, wheel};
use serde_json::Value;

/// A project that is locked to wheels of an index, and a base.
fn scene() -> (Sandbox, PackageIndex) {
    let sandbox = Sandbox::with_base();
    let directory = sandbox.path("files");
    let wheels = ["one", "two"].map(|name| {
        let file = format!("{name}.py");
        wheel(&directory, name, "py3-none-any", &[(&*file, "x = 1\n")])
    });
    let index = PackageIndex::start(directory, IndexHabits::default());
    let files = format!("url = \"{}/files/", index.url);
    sandbox.write(
        "app/pylock.toml",
        &lock(&wheels).replace("path = \"wheels/", &files),
    );
    sandbox.write("app/main.py", "");
    (sandbox, index)
}

const BUILD: [&str; 6] = ["build", "app", "--base", "oci:base:base", "-o", "image"];

/// Name of a step and whether its result was there, as a report has it.
fn cached(report: &Value, step: &str) -> Option<bool> {
    let steps = report["timings"].as_array().unwrap();
    let found = steps.iter().find(|found| found["step"] == step);
    found.unwrap_or_else(|| panic!("no {step}: {report:#}"))["cached"].as_bool()
}

#[test]
fn reports_say_which_results_were_there_and_images_know_nothing_of_it() {
    let (sandbox, _index) = scene();
    let build = |options: &[&str]| {
        let done = run(sandbox.pyoci().args(BUILD).args(options)).succeeded();
        (done.stdout, done.stderr)
    };
    let report = |options: &[&str]| {
        let (stdout, _) = build(&[&["--format", "json"], options].concat());
        serde_json::from_str::<Value>(&stdout).unwrap()
    };
    let first = report(&[]);
    for step in ["base", "target", "dependencies", "layer", "write"] {
        assert_eq!(cached(&first, step), Some(false), "{step}");
    }
    assert_eq!(cached(&first, "lock"), None);
    let steps = first["timings"].as_array().unwrap();
    let dependencies = steps.iter().find(|step| step["step"] == "dependencies").unwrap();
    let size = |name: &str| {
        let file = sandbox.path(&format!("files/{name}-1.0-py3-none-any.whl"));
        fs_err::metadata(file).unwrap().len()
    };
    assert_eq!(dependencies["bytes"], size("one") + size("two"));
    let second = report(&[]);
    for step in ["base", "target", "dependencies", "layer", "app", "write"] {
        assert_eq!(cached(&second, step), Some(true), "{step}");
    }
    assert_eq!(first["digest"], second["digest"]);
    // Another layer of the same wheels.
    let third = report(&["--exclude", "two.py"]);
    assert_eq!(cached(&third, "dependencies"), Some(false));

    let (digest, table) = build(&["--timings", "-q"]);
    assert_eq!(digest.trim_end(), first["digest"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("step") && lines[0].ends_with("cached"),
        "{table}"
    );
    let line = |start: &str| *lines.iter().find(|line| line.starts_with(start)).unwrap();
    assert!(line("dependencies  linux/amd64").ends_with("yes"), "{table}");
    assert!(line("  target").ends_with("yes"), "{table}");
    assert!(
        line("total").ends_with(" s") || line("total").ends_with(" ms"),
        "{table}"
    );
}

#[test]
fn a_trace_has_every_step_within_the_one_that_it_is_part_of() {
    let (sandbox, _index) = scene();
    let expected = run(sandbox.pyoci().args(BUILD)).succeeded().stdout;
    fs_err::remove_dir_all(sandbox.path("cache")).unwrap();
    // It lies in the project, and is no part of the app.
    for _ in 0..2 {
        let done = run(sandbox.pyoci().args(BUILD).arg("--timings=app/trace.json")).succeeded();
        assert_eq!(done.stdout, expected);
    }
    fs_err::remove_dir_all(sandbox.path("cache")).unwrap();
    run(sandbox.pyoci().args(BUILD).arg("--timings=trace.json")).succeeded();
    let trace: Value =
        serde_json::from_str(&fs_err::read_to_string(sandbox.path("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let complete: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let span = |event: &Value| {
        let (start, length) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        (start, start + length)
    };
    for event in &complete {
        // On one line two events are apart, or one is within the other; all are within the first, the total.
        for other in complete.iter().filter(|other| other["tid"] == event["tid"]) {
            let ((a, b), (c, d)) = (span(event), span(other));
            assert!(
                b <= c || d <= a || (a <= c && d <= b) || (c <= a && b <= d),
                "{event} {other}"
            );
        }
        assert!(span(event).1 <= span(complete[0]).1, "{event}");
        assert!(event["pid"].is_u64() && event["args"].is_object(), "{event}");
    }
    let downloads: Vec<_> = complete
        .iter()
        .filter(|event| event["cat"] == "download")
        .collect();
    assert_eq!(downloads.len(), 2);
    let dependencies = complete
        .iter()
        .find(|event| event["cat"] == "dependencies")
        .unwrap();
    for download in downloads {
        assert!(span(dependencies).0 <= span(download).0 && span(download).1 <= span(dependencies).1);
        assert_eq!(download["args"]["cached"], false);
        assert!(download["args"]["bytes"].as_u64() > Some(100));
    }
}

#[test]
fn steps_of_a_build_that_failed_and_of_a_copy_are_told_too() {
    let (sandbox, index) = scene();
    let lock = fs_err::read_to_string(sandbox.path("app/pylock.toml")).unwrap();
    let nowhere = lock.replace(
        &format!("{}/files/two", index.url),
        &format!("{}/nothing/two", index.url),
    );
    sandbox.write("app/pylock.toml", &nowhere);
    let failed = run(sandbox.pyoci().args(BUILD).arg("--timings")).failed_with(1);
    assert!(failed.stderr.contains("\ndependencies"), "{}", failed.stderr);
    assert!(failed.stderr.contains("error: "), "{}", failed.stderr);
    let copied = sandbox
        .run(&["pull", "oci:base:base", "-o", "copy", "--timings"])
        .succeeded();
    assert!(copied.stderr.contains("\nwrite "), "{}", copied.stderr);
}
