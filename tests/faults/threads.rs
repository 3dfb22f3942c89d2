//! A system that gives no more threads, or no more open files.

use std::process::Command;

use super::random::{Random, few};
use super::scene::{Scene, Version};
use super::tracing::{Traced, injected};
use super::works::some;
use crate::support::run;

const CALLS: &str = "clone,clone3";

/// Where some threads can be had they do the work of all; where none can, an error says so.
#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn a_thread_that_cannot_be_had_is_missed_by_nobody_or_an_error_says_so() {
    let mut random = Random::new();
    let scene = Scene::new();
    let (mut fewer, mut errors) = (0, 0);
    for work in some(&scene, few(2), &mut random) {
        let outcomes = work.outcomes(&scene);
        let expected = outcomes.of(Version::A);
        for when in ["1+", "1", "2+", "2", "3+", "4+"] {
            (work.clear)(&scene);
            let before = (work.state)(&scene);
            work.set(&scene, Version::A);
            scene.cool();
            let inject = format!("inject={CALLS}:error=EAGAIN:when={when}");
            let (done, lines) = Traced::new(&scene, &work.arguments(), CALLS, Some(&inject)).run();
            let what = format!("{}: {inject}\n{}", work.name, done.stderr);
            let state = (work.state)(&scene);
            scene.assert_clean(&what);
            if done.status == Some(0) {
                fewer += usize::from(!injected(&lines).is_empty());
                assert_eq!(state.as_ref(), expected, "{what}");
            } else {
                errors += 1;
                assert_eq!(done.status, Some(1), "{what}");
                assert_eq!(state, before, "{what}");
                let ours = "the system gives no thread to work with: Resource temporarily unavailable";
                let is_ours = done.stderr.contains(ours) && done.stderr.contains("hint: ");
                // xz has threads of its own, and does not tell which of the two it lacks.
                let of_xz = "the system gives the compressor too little memory, or no thread";
                assert!(is_ours || done.stderr.contains(of_xz), "{what}");
            }
        }
    }
    println!("{fewer} with fewer threads, {errors} errors");
    assert!(fewer + errors > 0);
    // Some commands never need a thread that they cannot do without: those that were drawn may be of these.
    assert!(few(2) == 2 || (fewer > 0 && errors > 0));
}

/// The same for open files: from too few to start with to as many as are needed.
#[test]
fn too_few_open_files_are_an_error_that_says_so_until_there_are_enough() {
    let mut random = Random::new();
    let scene = Scene::new();
    let (mut errors, mut done) = (0, 0);
    for work in some(&scene, few(1), &mut random) {
        let outcomes = work.outcomes(&scene);
        let expected = outcomes.of(Version::A);
        for limit in (6..=30).step_by(if few(1) == 1 { 4 } else { 1 }) {
            (work.clear)(&scene);
            let before = (work.state)(&scene);
            work.set(&scene, Version::A);
            scene.cool();
            let pyoci = scene.pyoci(&work.arguments());
            let mut command = Command::new("sh");
            command
                .args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")])
                .arg(pyoci.get_program())
                .args(pyoci.get_args())
                .env_clear()
                .envs(pyoci.get_envs().filter_map(|(name, value)| Some((name, value?))))
                .current_dir(scene.sandbox.path(""));
            let ended = run(&mut command);
            let what = format!("{} with {limit}: {}\n{}", work.name, ended.command, ended.stderr);
            let state = (work.state)(&scene);
            scene.assert_clean(&what);
            if ended.status == Some(0) {
                done += 1;
                assert_eq!(state.as_ref(), expected, "{what}");
            } else {
                errors += 1;
                assert_eq!(ended.status, Some(1), "{what}");
                assert_eq!(state, before, "{what}");
                assert!(ended.stderr.contains("Too many open files"), "{what}");
            }
        }
    }
    println!("{errors} errors, {done} done");
    assert!(errors > 0 && done > 0);
}
