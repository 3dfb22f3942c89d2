//! SIGKILL at the k-th system call, and at random times.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::random::{Random, amount};
use super::scene::{Scene, Version};
use super::tracing::{Traced, calls};
use super::works::{Mount, Outcomes, Work, some, works};
use crate::support::run;

/// When a command is killed.
#[derive(Clone, Debug)]
enum Kill {
    /// Before a thread's call of that name and number.
    Call(String, usize),
    /// After so long.
    After(Duration),
    /// When all is done but for the end.
    AtExit,
}

/// What an undisturbed run is like.
struct Known {
    /// All calls, in order: their names, and which of their thread's they are.
    calls: Vec<(String, usize)>,
    time: Duration,
    /// What a busy machine may make of it by waking this process late.
    least: Duration,
}

impl Known {
    fn of(scene: &Scene, arguments: &[&str], mut before: impl FnMut()) -> Self {
        before();
        let (done, lines) = Traced::new(scene, arguments, "all", None).run();
        done.succeeded();
        before();
        let start = Instant::now();
        run(&mut scene.pyoci(arguments)).succeeded();
        let time = start.elapsed();
        Self {
            calls: calls(&lines),
            time,
            least: time / 10,
        }
    }

    /// Learns that a command was faster than a kill.
    fn missed(&mut self, kill: &Kill) {
        if let Kill::After(time) = kill {
            self.time = (*time * 3 / 4).max(self.least);
        }
    }

    /// The n-th of so many kills, spread over the run; the last is at its end. Drawn again it may be anywhere: a first run
    /// does not make the calls that remove what was there before.
    fn nth(&self, (n, of): (usize, usize), is_again: bool, random: &mut Random) -> Kill {
        if n + 1 == of {
            return Kill::AtExit;
        }
        let (from, among) = if is_again { (0, 1) } else { (n, of) };
        let mut at = |limit: usize| from * limit / among + random.below(limit / among + 1);
        if n % 4 == 3 {
            let micros = at(usize::try_from(self.time.as_micros()).unwrap());
            Kill::After(Duration::from_micros(micros as u64))
        } else {
            let (name, number) = &self.calls[at(self.calls.len() - 1)];
            Kill::Call(name.clone(), *number)
        }
    }
}

/// Kills a command; whether it was not faster.
fn kill(scene: &Scene, arguments: &[&str], kill: &Kill) -> bool {
    let traced = |calls: &str, number: usize| {
        let inject = format!("inject={calls}:signal=KILL:when={number}");
        let (done, _) = Traced::new(scene, arguments, calls, Some(&inject)).run();
        done.status != Some(0)
    };
    match kill {
        Kill::Call(name, number) => traced(name, *number),
        Kill::AtExit => traced("exit_group", 1),
        Kill::After(time) => {
            let mut command = scene.pyoci(arguments);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(*time);
            child.kill().unwrap();
            child.wait().unwrap().signal() == Some(9)
        }
    }
}

/// What kills left behind.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    old: usize,
    new: usize,
    nothing: usize,
    prunes: usize,
}

#[test]
#[ignore = "needs root and what tests/setup.sh installs"]
fn a_command_that_is_killed_leaves_the_old_or_the_new_and_the_next_succeeds() {
    let mut random = Random::new();
    let scene = Scene::new();
    let _mount = Mount::new(scene.sandbox.path("mount"), "64m");
    let wanted = amount("PYOCI_KILLS", 50);
    let works = some(&scene, if wanted > 50 { usize::MAX } else { 2 }, &mut random);
    // The last of them is `cache prune`.
    let each = wanted.div_ceil(works.len() + 1);
    let mut tally = Tally::default();
    for work in &works {
        killed_often(&scene, work, each, &mut random, &mut tally);
    }
    killed_prunes(&scene, each, &mut random, &mut tally);
    println!("{tally:?}");
    assert!(
        tally.old > 0 && tally.new > 0 && tally.nothing > 0 && tally.prunes > 0,
        "{tally:?}"
    );
}

/// Kills a command so many times: every other time it is the first of its kind.
fn killed_often(scene: &Scene, work: &Work, count: usize, random: &mut Random, tally: &mut Tally) {
    let outcomes = work.outcomes(scene);
    let mut version = Version::B;
    let mut known = Known::of(scene, &work.arguments(), || {
        version = version.other();
        work.set(scene, version);
    });
    let (mut n, mut is_again) = (0, false);
    for attempt in 0.. {
        assert!(attempt < 20 * count, "{}: it is never killed", work.name);
        if n == count {
            break;
        }
        let is_first = n % 2 == 1;
        if is_first {
            (work.clear)(scene);
        }
        version = version.other();
        work.set(scene, version);
        let (before, expected) = ((work.state)(scene), outcomes.of(version));
        let how = known.nth((n, count), is_again, random);
        let killed = kill(scene, &work.arguments(), &how);
        let after = (work.state)(scene);
        let what = format!("{}: {how:?}, killed: {killed}", work.name);
        // What is drawn too late is drawn again.
        n += usize::from(killed);
        tally.kills += usize::from(killed);
        is_again = !killed;
        if is_again {
            known.missed(&how);
        }
        if after.as_ref() == expected {
            tally.new += usize::from(killed);
        } else {
            assert!(killed && after == before, "{what}: {after:?}");
            *(if is_first {
                &mut tally.nothing
            } else {
                &mut tally.old
            }) += 1;
        }
        let start = Instant::now();
        assert_eq!(work.succeeds(scene).as_ref(), expected, "{what}");
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
    }
    println!("{}: {} calls, {:?}", work.name, known.calls.len(), known.time);
}

/// Kills `cache prune`, after which builds succeed.
fn killed_prunes(scene: &Scene, count: usize, random: &mut Random, tally: &mut Tally) {
    let arguments = ["cache", "prune", "--days", "0"];
    let build = &works(scene)[0];
    let outcomes: Outcomes = build.outcomes(scene);
    let expected = outcomes.of(Version::B);
    let fill = || {
        let _ = fs_err::remove_dir_all(scene.sandbox.path("image"));
        assert_eq!(build.succeeds(scene).as_ref(), expected);
    };
    let mut known = Known::of(scene, &arguments, fill);
    let (mut n, mut is_again) = (0, false);
    for attempt in 0.. {
        assert!(attempt < 20 * count, "cache prune is never killed");
        if n == count {
            break;
        }
        fill();
        let how = known.nth((n, count), is_again, random);
        is_again = !kill(scene, &arguments, &how);
        if is_again {
            known.missed(&how);
        } else {
            n += 1;
        }
        assert_eq!((build.state)(scene).as_ref(), expected);
    }
    tally.prunes += n;
    tally.kills += n;
    fill();
    let verified = scene.run(&["cache", "verify"]).succeeded();
    assert!(verified.stdout.ends_with(": 0 damaged\n"), "{}", verified.stdout);
}
