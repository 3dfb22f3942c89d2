//! Disks that are full, broken or slow: every call that writes fails once in every way, is interrupted, does only half.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};

use super::random::{Random, amount, few};
use super::scene::{Scene, Version, layout};
use super::tracing::{Traced, injected, most_by_call};
use super::works::{Mount, Outcomes, Work, some};
use crate::support::{Run, run};

/// How calls fail, and how the user is told.
type Errors = [(&'static str, &'static str)];

const FULL: &Errors = &[
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EDQUOT", "Disk quota exceeded"),
];
const BROKEN: &Errors = &[("EIO", "Input/output error")];
const TOO_MANY: &Errors = &[("EMFILE", "Too many open files")];

/// Calls, how they fail, and whether none of their faults may be passed over where it concerns a file of the command.
/// Closing has a test of its own: a call that `strace` lets fail is not made, and a file that is closed with an error is.
const FAULTS: [(&str, &Errors, bool); 13] = [
    ("write", FULL, true),
    ("pwrite64", FULL, true),
    ("copy_file_range", FULL, true),
    ("ftruncate", FULL, true),
    ("fsync", FULL, true),
    ("syncfs", FULL, true),
    ("rename", FULL, true),
    ("renameat2", FULL, true),
    ("mkdir", FULL, true),
    ("openat", TOO_MANY, false),
    ("flock", BROKEN, false),
    ("read", BROKEN, false),
    ("pread64", BROKEN, false),
];

/// A call that fails once.
#[derive(Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
    reason: &'static str,
    /// Whether it may be passed over.
    counts: bool,
    /// Which of a thread's calls it is.
    number: usize,
}

/// Runs a command with a fault and looks at all it leaves; whether the call was made at all.
#[track_caller]
fn fails_cleanly(scene: &Scene, work: &Work, fault: Fault, new: Option<&String>) -> bool {
    let Fault {
        call,
        error,
        reason,
        counts,
        number,
    } = fault;
    let old = (work.state)(scene);
    let inject = format!("inject={call}:error={error}:when={number}");
    let (done, lines) = Traced::new(scene, &work.arguments(), call, Some(&inject)).run();
    let hit = injected(&lines);
    let what = format!("{}: {inject}: {hit:#?}\n{}", work.name, done.stderr);
    let place = scene.sandbox.path("").display().to_string();
    let is_ours = hit.iter().any(|line| line.contains(&place));
    let state = (work.state)(scene);
    scene.assert_clean(&what);
    match done.status {
        Some(0) => {
            assert_eq!(state.as_ref(), new, "{what}");
            assert!(!is_ours || !counts, "{what}");
        }
        Some(1) => {
            assert!(state == old || state.as_ref() == new, "{what}");
            assert!(done.stderr.contains("error: "), "{what}");
            if is_ours {
                assert!(
                    done.stderr.contains(reason) && done.stderr.contains(&place),
                    "{what}"
                );
            }
        }
        // The loader of programs has said why it cannot start this one.
        Some(127) => assert!(!is_ours && done.stderr.contains("error while loading"), "{what}"),
        _ => panic!("{what}"),
    }
    !hit.is_empty()
}

/// Every fault that a command can meet.
fn faults_of(scene: &Scene, work: &Work) -> Vec<Fault> {
    let names: Vec<&str> = FAULTS.iter().map(|(call, ..)| *call).collect();
    work.set(scene, Version::A);
    let (done, lines) = Traced::new(scene, &work.arguments(), &names.join(","), None).run();
    done.succeeded();
    let calls = most_by_call(&lines);
    if work.cold && work.name.starts_with("build") {
        assert!(calls.contains_key("pwrite64"), "a wheel is written as it arrives");
    }
    let mut faults = Vec::new();
    for (call, errors, counts) in FAULTS {
        for number in 1..=calls.get(call).copied().unwrap_or_default() {
            faults.extend(errors.iter().map(|(error, reason)| Fault {
                call,
                error,
                reason,
                counts,
                number,
            }));
        }
    }
    faults
}

/// Some of a command's faults, of each call about as many.
fn chosen(faults: Vec<Fault>, count: usize, random: &mut Random) -> Vec<Fault> {
    if faults.len() <= count {
        return faults;
    }
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let call = FAULTS[random.below(FAULTS.len())].0;
        let of_call: Vec<&Fault> = faults.iter().filter(|fault| fault.call == call).collect();
        chosen.extend(of_call.get(random.below(of_call.len())).copied().copied());
    }
    chosen
}

#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn every_call_that_fails_is_an_error_that_names_path_and_reason_and_leaves_all_as_it_was() {
    let mut random = Random::new();
    let scene = Scene::new();
    let _mount = Mount::new(scene.sandbox.path("mount"), "64m");
    let wanted = amount("PYOCI_FAULTS", 40);
    let works = some(&scene, if wanted > 40 { usize::MAX } else { 3 }, &mut random);
    let (mut count, mut failures) = (0, 0);
    for work in &works {
        let outcomes = work.outcomes(&scene);
        let faults = chosen(faults_of(&scene, work), wanted.div_ceil(works.len()), &mut random);
        let mut hit = 0;
        let mut version = Version::B;
        for fault in faults {
            let next = version.other();
            work.set(&scene, next);
            let expected = outcomes.of(next);
            let tried = AssertUnwindSafe(|| fails_cleanly(&scene, work, fault, expected));
            match catch_unwind(tried) {
                Ok(was_hit) => hit += usize::from(was_hit),
                // What is wrong has been printed; the others are looked at, too.
                Err(_) => failures += 1,
            }
            if (work.state)(&scene).as_ref() == expected {
                version = next;
            }
        }
        work.set(&scene, version);
        assert_eq!(work.succeeds(&scene).as_ref(), outcomes.of(version));
        println!("{}: {hit} faults", work.name);
        count += hit;
    }
    println!("{count} faults");
    assert_eq!(failures, 0);
    assert!(count > 0);
}

/// Some calls of each kind, once all libraries are loaded.
#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn what_a_signal_interrupts_is_done_again() {
    let mut random = Random::new();
    let scene = Scene::new();
    let _mount = Mount::new(scene.sandbox.path("mount"), "64m");
    // Renames and syncs are few and come late; reads and writes are many, the loader's the first.
    let late = "write,pwrite64,copy_file_range,fsync,fdatasync,syncfs,rename,renameat2,flock";
    let early = "read,pread64,openat";
    let mut count = 0;
    for work in some(&scene, few(3), &mut random) {
        let outcomes: Outcomes = work.outcomes(&scene);
        let mut version = Version::B;
        for (calls, when) in [(late, "1+2"), (early, "40+3")] {
            version = version.other();
            (work.clear)(&scene);
            work.set(&scene, version);
            let inject = format!("inject={calls}:error=EINTR:when={when}");
            let (done, lines) = Traced::new(&scene, &work.arguments(), calls, Some(&inject)).run();
            let hit = injected(&lines);
            count += hit.len();
            let what = format!("{}: {inject}\n{}\n{hit:#?}", work.name, done.stderr);
            assert_eq!(done.status, Some(0), "{what}");
            assert_eq!((work.state)(&scene).as_ref(), outcomes.of(version), "{what}");
            scene.assert_clean(&what);
        }
    }
    println!("{count} calls interrupted");
    assert!(count > 0);
}

/// Builds one of the libraries beside this file, to be preloaded, and runs commands with it that begin with an empty cache.
#[track_caller]
fn succeeds_with(source: &str) {
    let mut random = Random::new();
    let scene = Scene::new();
    let library = scene.sandbox.path("preloaded.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/faults")
        .join(source);
    let mut compile = Command::new("cc");
    run(compile
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source))
    .succeeded();
    for work in some(&scene, few(3), &mut random) {
        let outcomes = work.outcomes(&scene);
        (work.clear)(&scene);
        work.set(&scene, Version::A);
        scene.cool();
        let mut command = scene.pyoci(&work.arguments());
        let done = run(command.env("LD_PRELOAD", &library)).succeeded();
        assert_eq!(
            (work.state)(&scene).as_ref(),
            outcomes.of(Version::A),
            "{}",
            work.name
        );
        scene.assert_clean(&done.stderr);
    }
}

#[test]
fn reads_and_writes_that_do_half_change_no_byte() {
    succeeds_with("short.c");
}

/// What is on the disk has been synced before it is closed, or is verified when it is read.
#[test]
fn files_whose_closing_fails_have_been_synced_before() {
    succeeds_with("close.c");
}

/// Fails unless a run was ended by a full disk, and said where.
#[track_caller]
fn assert_full(done: &Run, place: &Path) {
    assert_eq!(done.status, Some(1), "{}", done.stderr);
    let named = done.stderr.contains(&place.display().to_string());
    let reason = done.stderr.contains("No space left on device");
    assert!(named && reason, "{}", done.stderr);
}

fn count(directory: &Path) -> usize {
    fs_err::read_dir(directory).unwrap().count()
}

#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn a_full_disk_under_the_output_leaves_it_as_it_was() {
    let scene = Scene::new();
    let place = scene.sandbox.path("mount");
    let arguments = scene.build("mount");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mut failed, mut done) = (0, 0);
    for kilobytes in [4, 16, 64, 300, 700, 1000, 1300, 1600, 4000] {
        let _mount = Mount::new(place.clone(), &format!("{kilobytes}k"));
        scene.set(Version::A);
        let first = scene.run(&arguments);
        if first.status != Some(0) {
            assert_full(&first, &place);
            assert_eq!(count(&place), 0, "{kilobytes} kB");
            failed += 1;
            continue;
        }
        done += 1;
        let before = layout(&place);
        scene.set(Version::B);
        let second = scene.run(&arguments);
        if second.status != Some(0) {
            assert_full(&second, &place);
            assert_eq!(layout(&place), before);
        }
        scene.assert_clean(&second.stderr);
    }
    assert!(failed > 0 && done > 0);
}

#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn a_full_disk_under_the_cache_is_said_so_and_leaves_nothing_half() {
    let scene = Scene::new();
    let place = scene.sandbox.path("mount");
    let arguments = scene.build("image");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run_there = || run(scene.pyoci(&arguments).env("PYOCI_CACHE_DIR", &place));
    let (mut failed, mut done) = (0, 0);
    for kilobytes in [4, 32, 100, 300, 600, 900, 1200, 1500, 2000, 5000] {
        let _mount = Mount::new(place.clone(), &format!("{kilobytes}k"));
        let built = run_there();
        if built.status == Some(0) {
            done += 1;
        } else {
            assert_full(&built, &place);
            assert!(built.stderr.contains("pyoci cache prune"), "{}", built.stderr);
            failed += 1;
        }
        let left = place.join("tmp");
        assert!(
            !left.exists() || count(&left) == 0,
            "{kilobytes} kB: {}",
            built.stderr
        );
    }
    assert!(failed > 0 && done > 0);
    layout(&scene.sandbox.path("image")).unwrap();
}

#[test]
fn a_stdout_that_takes_nothing_is_an_error_after_the_work_is_done() {
    let scene = Scene::new();
    let full = || {
        Stdio::from(
            fs_err::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into_parts()
                .0,
        )
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let sinks: [(&dyn Fn() -> Stdio, &str); 2] =
        [(&full, "No space left on device"), (&closed, "Broken pipe")];
    for (sink, reason) in sinks {
        let _ = fs_err::remove_dir_all(scene.sandbox.path("image"));
        let arguments = scene.build("image");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        for more in [
            &arguments[..],
            &["base", "list"],
            &["cache", "dir"],
            &["cache", "verify"],
        ] {
            let mut command = scene.pyoci(more);
            let output = command.stdout(sink()).stderr(Stdio::piped()).spawn().unwrap();
            let output = output.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{more:?}: {stderr}");
            assert!(
                stderr.contains("cannot write to stdout") && stderr.contains(reason),
                "{stderr}"
            );
            // Nobody hears what is said, and that alone is no failure.
            let silent = scene
                .pyoci(more)
                .stdout(Stdio::null())
                .stderr(sink())
                .status()
                .unwrap();
            assert!(silent.success(), "{more:?}");
        }
        layout(&scene.sandbox.path("image")).unwrap();
    }
}
