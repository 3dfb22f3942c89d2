//! SIGKILL at the k-th system call, and at random times.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::random::{Random, amount};
use crate::scene::{Scene, Version};
use crate::support::run;
use crate::tracing::{Traced, most_of_a_thread};
use crate::works::{Mount, Work, works};

/// When a command is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// Before a thread's call of that number.
    Call(usize),
    /// After so long.
    After(Duration),
}

/// What an undisturbed run is like.
struct Known {
    /// What is there after a run with each version.
    outcomes: [Option<String>; 2],
    calls: usize,
    time: Duration,
}

impl Known {
    fn of(work: &Work, scene: &Scene) -> Self {
        let outcomes = work.outcomes(scene);
        prepare(work, scene);
        scene.set(Version::A);
        let (done, lines) = Traced::new(scene, &work.arguments(), "all", None).run();
        done.succeeded();
        prepare(work, scene);
        scene.set(Version::B);
        let start = Instant::now();
        work.succeeds(scene);
        Self {
            outcomes,
            calls: most_of_a_thread(&lines),
            time: start.elapsed(),
        }
    }

    fn outcome(&self, version: Version) -> &Option<String> {
        &self.outcomes[usize::from(version == Version::B)]
    }
}

fn prepare(work: &Work, scene: &Scene) {
    if work.cold {
        scene.cool();
    }
}

/// Kills a command; whether it was not faster.
fn kill(scene: &Scene, arguments: &[&str], kill: Kill) -> bool {
    match kill {
        Kill::Call(number) => {
            let inject = format!("inject=all:signal=KILL:when={number}");
            let (done, _) = Traced::new(scene, arguments, "all", Some(&inject)).run();
            done.status != Some(0)
        }
        Kill::After(time) => {
            let mut command = scene.pyoci(arguments);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(time);
            child.kill().unwrap();
            child.wait().unwrap().signal() == Some(9)
        }
    }
}

/// The n-th of so many kills, spread over the run.
fn nth(n: usize, of: usize, known: &Known, random: &mut Random) -> Kill {
    let at = |limit: usize| n * limit / of + random.below(limit / of + 1);
    match n % 2 {
        0 => Kill::Call(1 + { at }(known.calls)),
        _ => {
            let micros = usize::try_from(known.time.as_micros()).unwrap();
            Kill::After(Duration::from_micros({ at }(micros) as u64))
        }
    }
}

#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn a_command_that_is_killed_leaves_the_old_or_the_new_and_the_next_succeeds() {
    let mut random = Random::new();
    let scene = Scene::new();
    let _mount = Mount::new(scene.sandbox.path("mount"), "64m");
    let works = works(&scene);
    // The last of them is `cache prune`.
    let each = amount("PYOCI_KILLS", 50).div_ceil(works.len() + 1);
    let (mut kills, mut old, mut new, mut nothing) = (0, 0, 0, 0);
    for work in &works {
        let known = Known::of(work, &scene);
        let mut version = Version::B;
        for n in 0..each {
            // Where there was nothing before, too.
            let first = n % 5 == 4;
            if first {
                (work.clear)(&scene);
            }
            let before = (work.state)(&scene);
            version = version.other();
            scene.set(version);
            prepare(work, &scene);
            let how = nth(n, each, &known, &mut random);
            let killed = kill(&scene, &work.arguments(), how);
            let after = (work.state)(&scene);
            let expected = known.outcome(version);
            let what = format!("{}: {how:?}, {killed}", work.name);
            if after == *expected {
                new += usize::from(killed);
            } else {
                assert!(killed && after == before, "{what}: {after:?}");
                if first { nothing += 1 } else { old += 1 }
            }
            kills += usize::from(killed);
            let start = Instant::now();
            assert_eq!(work.succeeds(&scene), *expected, "{what}");
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        }
        println!("{}: {} calls, {:?}", work.name, known.calls, known.time);
    }
    let pruned = killed_prunes(&scene, &works[0], each, &mut random);
    println!(
        "{} kills: {old} left the old, {new} the new, {nothing} nothing where nothing was; {pruned} of cache prune",
        kills + pruned
    );
    assert!(old > 0 && kills > 0);
}

/// Kills `cache prune`, after which builds succeed; how often it was not too fast.
fn killed_prunes(scene: &Scene, work: &Work, count: usize, random: &mut Random) -> usize {
    let arguments = ["cache", "prune", "--days", "0"];
    let outcomes = work.outcomes(scene);
    let (done, lines) = Traced::new(scene, &arguments, "all", None).run();
    done.succeeded();
    work.succeeds(scene);
    let start = Instant::now();
    run(&mut scene.pyoci(&arguments)).succeeded();
    let known = Known {
        outcomes,
        calls: most_of_a_thread(&lines),
        time: start.elapsed(),
    };
    let mut kills = 0;
    for n in 0..count {
        assert_eq!(work.succeeds(scene), *known.outcome(Version::B));
        let how = nth(n, count, &known, random);
        kills += usize::from(kill(scene, &arguments, how));
        assert_eq!((work.state)(scene), *known.outcome(Version::B));
    }
    assert_eq!(work.succeeds(scene), *known.outcome(Version::B));
    let verified = scene.run(&["cache", "verify"]).succeeded();
    assert!(verified.stdout.ends_with(": 0 damaged\n"), "{}", verified.stdout);
    kills
}
