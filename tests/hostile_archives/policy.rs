//! What becomes of every case of the corpus, as `policy.tsv` says it.

use std::collections::BTreeMap;
use std::path::Path;

use super::cases::{Bench, Case, Use};

/// Cases of the corpus that are called malicious or wrong for what they hold, not for how they say it, and that no reader
/// could take in two ways.
const ORDINARY: [&str; 1] = [
    // A link to a file beside it, as in `accept/symlink.tar`.
    "tar/malicious/symlink.tar",
];

/// The words of a policy: `read`, or what the refusal must say. Nothing if the case is not to be run.
type Policy = BTreeMap<(String, String), String>;

fn policy() -> Policy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_archives/policy.tsv");
    let text = fs_err::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| {
        let mut fields = line.split('\t').map(str::to_owned);
        let mut next = || fields.next().unwrap_or_default();
        ((next(), next()), next())
    });
    fields.collect()
}

#[allow(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says how many cases"
)]
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The last line of an error that says why.
pub fn reason(said: &str) -> String {
    let mut lines = said
        .lines()
        .filter(|line| line.trim_start().starts_with("cause:") || line.starts_with("error:"));
    lines.next_back().unwrap_or(said).trim().to_owned()
}

#[test]
#[ignore = "needs strace"]
fn every_case_is_read_or_refused_as_the_policy_says_and_writes_nowhere_else() {
    let setting = setting("PYOCI_CORPUS");
    let step = if setting.is_empty() { 7 } else { 1 };
    let policy = policy();
    let runs: Vec<_> = Case::all()
        .into_iter()
        .flat_map(|case| {
            let case = std::sync::Arc::new(case);
            case.uses()
                .iter()
                .map(move |place| (std::sync::Arc::clone(&case), *place))
                .collect::<Vec<_>>()
        })
        // Packages are read in this process and cost nothing.
        .enumerate()
        .filter(|(at, (_, place))| at % step == 0 || *place == Use::Package)
        .map(|(_, run)| run)
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    let work = || {
        let bench = Bench::new();
        while let Some((case, place)) = runs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let found = match bench.says(case, *place) {
                Ok(()) => "read".to_owned(),
                Err(said) => reason(&said),
            };
            if setting == "print" {
                println!("{}\t{}\t{found}", case.name, place.name());
                continue;
            }
            let key = (case.name.clone(), place.name().to_owned());
            let right = policy.get(&key).is_some_and(|expected| {
                if expected == "read" {
                    found == "read"
                } else {
                    found != "read" && found.contains(expected)
                }
            });
            if !right {
                wrong
                    .lock()
                    .unwrap()
                    .push(format!("{key:?}: {found}; expected {:?}", policy.get(&key)));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} runs:\n{}",
        wrong.len(),
        runs.len(),
        wrong.join("\n")
    );
}

/// `accept` is read wherever such an archive is read, `malicious` and `reject` are refused in strict use: of sdists and
/// wheels, which other programs read after us, and of archives of images.
#[test]
fn the_policy_reads_what_is_right_and_refuses_what_is_not() {
    let policy = policy();
    let cases = Case::all();
    assert_eq!(cases.len(), 270, "the corpus has changed");
    let strict = |case: &Case| match case.kind() {
        "tar" | "zip" => Use::Sdist,
        "deflate" => Use::Wheel,
        _ => Use::Package,
    };
    for case in &cases {
        let verdict = |place: Use| &policy[&(case.name.clone(), place.name().to_owned())];
        for place in case.uses() {
            // `deb(5)` has no extended headers.
            let without_pax = *place == Use::Package && case.kind() == "tar";
            if case.set() == "accept" && !without_pax {
                assert_eq!(verdict(*place), "read", "{} as {place:?}", case.name);
            }
        }
        let is_bad = matches!(case.set(), "malicious" | "reject") && !ORDINARY.contains(&&*case.name);
        if is_bad {
            assert_ne!(verdict(strict(case)), "read", "{}", case.name);
        }
    }
}
