//! Many at once: on one cache, on one output, on one layout with many tags, and beside `cache prune`.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use super::random::amount;
use super::scene::{Scene, layout};

fn start(scene: &Scene, arguments: &[String]) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = scene.pyoci(&arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Starts all of them and waits; what each printed.
#[track_caller]
fn at_once(scene: &Scene, all: &[Vec<String>]) -> Vec<String> {
    let children: Vec<Child> = all.iter().map(|arguments| start(scene, arguments)).collect();
    let finish = |(child, arguments): (Child, &Vec<String>)| {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}\n{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    children.into_iter().zip(all).map(finish).collect()
}

/// How many run at once and how often: `PYOCI_ROUNDS` asks for the large numbers.
fn size(large: usize, small: usize) -> (usize, usize) {
    let rounds = amount("PYOCI_ROUNDS", 2);
    (if rounds > 2 { large } else { small }, rounds)
}

#[test]
fn builds_that_share_a_cache_all_give_the_same_image() {
    let scene = Scene::new();
    let (count, rounds) = size(32, 8);
    let outputs: Vec<_> = (0..count).map(|n| scene.build(&format!("many/{n}"))).collect();
    let mut digests = BTreeSet::new();
    for round in 0..rounds {
        // With an empty cache, which all of them fill, and with a full one.
        if round % 2 == 0 {
            scene.cool();
        }
        let _ = fs_err::remove_dir_all(scene.sandbox.path("many"));
        digests.extend(at_once(&scene, &outputs));
        for n in 0..count {
            layout(&scene.sandbox.path(&format!("many/{n}"))).unwrap();
        }
        scene.assert_clean("");
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
    println!("{rounds} rounds of {count} builds on one cache");
}

#[test]
fn commands_that_write_to_one_output_take_turns() {
    let scene = Scene::new();
    let (count, rounds) = size(16, 6);
    let bundle = |output: &str| ["bundle", "app", "-o", output].map(str::to_owned).to_vec();
    let works = [
        (scene.build("image"), "image"),
        (scene.build("oci-archive:image.tar"), "image.tar"),
        (bundle("out"), "out"),
        (bundle("out.tar.gz"), "out.tar.gz"),
        (bundle("out.deb"), "out.deb"),
    ];
    for (arguments, output) in works {
        // xz takes seconds.
        let (count, rounds) = match output {
            "out.deb" if rounds <= 2 => (3, 1),
            _ => (count, rounds),
        };
        let mut printed = BTreeSet::new();
        for _ in 0..rounds {
            // All find nothing there.
            let path = scene.sandbox.path(output);
            let _ = fs_err::remove_dir_all(&path);
            let _ = fs_err::remove_file(&path);
            printed.extend(at_once(&scene, &vec![arguments.clone(); count]));
            scene.assert_clean("");
        }
        assert_eq!(printed.len(), 1, "{printed:?}");
    }
    layout(&scene.sandbox.path("image")).unwrap();
    println!("{rounds} rounds of {count} commands on each of 5 outputs");
}

#[test]
fn no_tag_is_lost_when_many_write_to_one_layout() {
    let scene = Scene::new();
    let (count, rounds) = size(16, 8);
    for _ in 0..rounds {
        let _ = fs_err::remove_dir_all(scene.sandbox.path("many"));
        let outputs: Vec<_> = (0..count)
            .map(|n| scene.build(&format!("oci:many:tag{n}")))
            .collect();
        at_once(&scene, &outputs);
        let tags = layout(&scene.sandbox.path("many")).unwrap();
        for n in 0..count {
            assert!(tags.contains(&format!("\"tag{n}\"")), "{tags}");
        }
    }
    println!("{rounds} rounds of {count} tags in one layout");
}

#[test]
fn pruning_takes_nothing_that_running_builds_use() {
    let scene = Scene::new();
    let (count, rounds) = size(16, 5);
    let prune: Vec<String> = ["cache", "prune", "--days", "0"].map(str::to_owned).to_vec();
    for _ in 0..rounds {
        let mut all: Vec<_> = (0..count).map(|n| scene.build(&format!("many/{n}"))).collect();
        for at in (0..count).step_by(3).rev() {
            all.insert(at, prune.clone());
        }
        let printed: BTreeSet<_> = at_once(&scene, &all)
            .into_iter()
            .filter(|line| line.starts_with("sha256:"))
            .collect();
        assert_eq!(printed.len(), 1, "{printed:?}");
    }
    let verified = scene.run(&["cache", "verify"]).succeeded();
    assert!(verified.stdout.ends_with(": 0 damaged\n"), "{}", verified.stdout);
    println!(
        "{rounds} rounds of {count} builds beside {} prunes",
        count.div_ceil(3)
    );
}

/// Who waits says for what.
#[test]
fn who_waits_for_another_says_so() {
    let scene = Scene::new();
    scene.run(&as_text(&scene.build("image"))).succeeded();
    let lock = |path: &str| {
        let file = fs_err::File::open(scene.sandbox.path(path))
            .unwrap()
            .into_parts()
            .0;
        file.lock().unwrap();
        file
    };
    for (path, arguments, expected) in [
        ("image", scene.build("image"), "another pyoci that writes to"),
        (
            "cache/pyoci/lock",
            scene.build("image"),
            "the pruning of the cache",
        ),
        (
            "cache/pyoci/lock",
            vec!["cache".to_owned(), "prune".to_owned()],
            "commands that use the cache",
        ),
    ] {
        let held = lock(path);
        let mut child = start(&scene, &arguments);
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        while !said.contains("Waiting") {
            assert!(
                std::io::BufRead::read_line(&mut stderr, &mut said).unwrap() > 0,
                "{said}"
            );
        }
        assert!(said.contains(expected), "{said}");
        drop(held);
        assert!(child.wait().unwrap().success());
    }
}

fn as_text(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
