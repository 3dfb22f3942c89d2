//! Disks that are full, broken or slow: every call that writes fails once in every way, is interrupted, does only half.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::random::{Random, everything};
use crate::scene::{Scene, Version, layout};
use crate::support::{Run, run};
use crate::tracing::{Traced, most_of_a_thread};
use crate::works::{Mount, Work, works};

const FULL: [(&str, &str); 3] = [
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EDQUOT", "Disk quota exceeded"),
];
const BROKEN: [(&str, &str); 1] = [("EIO", "Input/output error")];
const TOO_MANY: [(&str, &str); 1] = [("EMFILE", "Too many open files")];

/// Calls, and how they fail.
const FAULTS: [(&str, &[(&str, &str)]); 10] = [
    ("write", &FULL),
    ("copy_file_range", &FULL),
    ("fsync", &FULL),
    ("syncfs", &FULL),
    ("rename", &FULL),
    ("renameat2", &FULL),
    ("mkdir", &FULL),
    ("close", &FULL),
    ("openat", &TOO_MANY),
    ("flock", &BROKEN),
];

/// Of these no fault may be passed over where it concerns a file of the command.
const NEVER_PASSED_OVER: [&str; 7] = [
    "write",
    "copy_file_range",
    "fsync",
    "syncfs",
    "rename",
    "renameat2",
    "mkdir",
];

/// A call that fails once.
struct Fault {
    call: &'static str,
    error: &'static str,
    reason: &'static str,
    number: usize,
}

/// Runs a command with a fault and looks at all it leaves; whether the call was made at all.
#[track_caller]
fn fails_cleanly(scene: &Scene, work: &Work, fault: &Fault, new: &Option<String>) -> bool {
    let Fault {
        call,
        error,
        reason,
        number,
    } = fault;
    if work.cold {
        scene.cool();
    }
    let old = (work.state)(scene);
    let inject = format!("inject={call}:error={error}:when={number}");
    let (done, lines) = Traced::new(scene, &work.arguments(), call, Some(&inject)).run();
    let hit: Vec<&String> = lines.iter().filter(|line| line.contains("(INJECTED)")).collect();
    let what = format!("{}: {inject}: {hit:#?}\n{}", work.name, done.stderr);
    let place = scene.sandbox.path("").display().to_string();
    let is_ours = hit.iter().any(|line| line.contains(&place));
    let state = (work.state)(scene);
    scene.assert_clean();
    match done.status {
        Some(0) => {
            assert_eq!(state, *new, "{what}");
            assert!(!is_ours || !NEVER_PASSED_OVER.contains(call), "{what}");
        }
        Some(1) => {
            assert!(state == old || state == *new, "{what}");
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

#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn every_call_that_fails_is_an_error_that_names_path_and_reason_and_leaves_all_as_it_was() {
    let mut random = Random::new();
    let scene = Scene::new();
    let _mount = Mount::new(scene.sandbox.path("mount"), "64m");
    let all = everything("PYOCI_FAULTS");
    let mut count = 0;
    for work in works(&scene) {
        let outcomes = work.outcomes(&scene);
        let mut version = Version::B;
        for (call, errors) in FAULTS {
            if work.cold {
                scene.cool();
            }
            version = version.other();
            scene.set(version);
            let (done, lines) = Traced::new(&scene, &work.arguments(), call, None).run();
            done.succeeded();
            let calls = most_of_a_thread(&lines);
            if calls == 0 || !all && random.below(4) != 0 {
                continue;
            }
            for &(error, reason) in errors {
                let numbers = if all {
                    1..=calls
                } else {
                    let at = 1 + random.below(calls);
                    at..=at
                };
                for number in numbers {
                    let expected = &outcomes[usize::from(version == Version::A)];
                    scene.set(version.other());
                    let fault = Fault {
                        call,
                        error,
                        reason,
                        number,
                    };
                    count += usize::from(fails_cleanly(&scene, &work, &fault, expected));
                    if (work.state)(&scene) == *expected {
                        version = version.other();
                    }
                }
            }
        }
        scene.set(version);
        assert_eq!(
            work.succeeds(&scene),
            outcomes[usize::from(version == Version::B)]
        );
    }
    println!("{count} faults");
}

/// Every third call of each kind, once all libraries are loaded.
#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn what_a_signal_interrupts_is_done_again() {
    let scene = Scene::new();
    let _mount = Mount::new(scene.sandbox.path("mount"), "64m");
    let calls =
        "read,write,pread64,pwrite64,copy_file_range,fsync,fdatasync,syncfs,rename,renameat2,close,flock";
    let mut count = 0;
    for work in works(&scene) {
        let [_, outcome] = work.outcomes(&scene);
        let each: Vec<&str> = if everything("PYOCI_FAULTS") {
            calls.split(',').collect()
        } else {
            vec![calls]
        };
        for calls in each {
            if work.cold {
                scene.cool();
            }
            (work.clear)(&scene);
            // Renames and syncs are few and come late; reads and openings are many, the loader's the first.
            for when in ["1+2", "16+3"] {
                let early = ["read", "pread64", "close"];
                let chosen: Vec<&str> = calls
                    .split(',')
                    .filter(|c| (when == "16+3") == early.contains(c))
                    .collect();
                if chosen.is_empty() {
                    continue;
                }
                let inject = format!("inject={}:error=EINTR:when={when}", chosen.join(","));
                let (done, lines) = Traced::new(&scene, &work.arguments(), calls, Some(&inject)).run();
                let hit: Vec<_> = lines.iter().filter(|line| line.contains("(INJECTED)")).collect();
                count += hit.len();
                assert_eq!(
                    done.status,
                    Some(0),
                    "{}: {inject}\n{}\n{hit:#?}",
                    work.name,
                    done.stderr
                );
                assert_eq!((work.state)(&scene), outcome, "{}: {inject}", work.name);
                scene.assert_clean();
            }
        }
    }
    println!("{count} calls interrupted");
    assert!(count > 0);
}

#[test]
fn reads_and_writes_that_do_half_change_no_byte() {
    let scene = Scene::new();
    let library = scene.sandbox.path("short.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/short.c");
    let mut compile = Command::new("cc");
    run(compile
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source))
    .succeeded();
    for work in works(&scene).iter().filter(|work| !work.name.contains("mount")) {
        let [_, outcome] = work.outcomes(&scene);
        (work.clear)(&scene);
        scene.cool();
        let mut command = scene.pyoci(&work.arguments());
        run(command.env("LD_PRELOAD", &library)).succeeded();
        assert_eq!((work.state)(&scene), outcome, "{}", work.name);
    }
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
        scene.assert_clean();
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
