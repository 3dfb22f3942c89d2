//! Blobs that are pulled: gone on with where they break off, and never taken for right unless they are.

use super::scene::{LAYER, Scene, answer, each};
use crate::support::{Fault, Habits, When, run, small_base};

#[test]
fn blobs_that_break_off_are_gone_on_with() {
    each([0, 1, 50, 99], |percent| {
        let scene = Scene::filled(Habits::default());
        let path = scene.blob_path();
        scene
            .registry
            .fault("GET", &path, When::Nth(1), Fault::Truncated(percent));
        scene.pulls();
        let asked = scene.registry.asked("GET", &scene.layer);
        assert_eq!(asked.len(), 2, "{asked:?}");
        let range = (percent > 0).then(|| format!("bytes={}-", LAYER * percent / 100));
        assert_eq!(asked[1].request.header("range"), range.as_deref());
    });
}

#[test]
fn blobs_that_always_break_off_are_told_after_five_tries() {
    each([0, 1, 50, 99], |percent| {
        let scene = Scene::filled(Habits {
            ranges: false,
            ..Habits::default()
        });
        let path = scene.blob_path();
        scene
            .registry
            .fault("GET", &path, When::Always, Fault::Truncated(percent));
        let error = scene.refuses_to_pull("a/b:1");
        assert!(error.contains(&scene.layer), "{error}");
        assert_eq!(scene.registry.asked("GET", &scene.layer).len(), 5);
    });
}

#[test]
fn a_blob_that_comes_bit_by_bit_comes() {
    let scene = Scene::filled(Habits::default());
    let path = scene.blob_path();
    scene
        .registry
        .fault("GET", &path, When::First(4), Fault::Truncated(50));
    scene.pulls();
    let asked = scene.registry.asked("GET", &scene.layer);
    let ranges: Vec<_> = asked.iter().filter_map(|r| r.request.header("range")).collect();
    assert_eq!(
        ranges,
        ["bytes=150000-", "bytes=225000-", "bytes=262500-", "bytes=281250-"]
    );
}

/// After half of the blob something else than the other half comes.
#[test]
fn answers_to_a_range_are_looked_at() {
    let range = |text: &str| Fault::Header("Content-Range", Some(text.to_owned()));
    each(
        [
            Fault::RangeIgnored,
            range("bytes 0-149999/300000"),
            range("bytes 149999-299999/300000"),
            range("bytes 150001-299999/300000"),
            range("bytes 150000-299999/300001"),
            range("bytes 150000-300000/300000"),
            range("bytes 299999-150000/300000"),
            range("bytes */300000"),
            range("bytes 150000-299999/99999999999999999999999"),
            range("150000-299999"),
            range(""),
            Fault::Header("Content-Range", None),
            Fault::Answer(answer(416, &[("Content-Range", "bytes */300000")])),
            Fault::Answer(answer(206, &[])),
            Fault::Truncated(0),
            Fault::Answer(answer(503, &[])),
        ],
        |fault| {
            for always in [false, true] {
                let scene = Scene::filled(Habits::default());
                let path = scene.blob_path();
                println!("{fault:?} {always}");
                scene
                    .registry
                    .fault("GET", &path, When::Nth(1), Fault::Truncated(50));
                let when = if always { When::Always } else { When::Nth(1) };
                scene.registry.fault("GET", &path, when, fault.clone());
                // Where it comes to the whole blob again, this server gives that too.
                let pulled = scene.pull();
                if pulled.status == Some(0) {
                    scene.assert_out();
                    scene.registry.assert_obeyed();
                } else {
                    assert!(always, "{}", pulled.stderr);
                    super::scene::clean_error(pulled);
                }
                assert!(scene.registry.asked("GET", &scene.layer).len() <= 5);
            }
        },
    );
}

#[test]
fn a_registry_without_ranges_sends_the_whole_again() {
    let scene = Scene::filled(Habits {
        ranges: false,
        ..Habits::default()
    });
    let path = scene.blob_path();
    scene
        .registry
        .fault("GET", &path, When::Nth(1), Fault::Truncated(99));
    scene.pulls();
}

#[test]
fn wrong_bytes_are_never_taken() {
    let scene = Scene::filled(Habits::default());
    let path = scene.blob_path();
    scene.registry.fault("GET", &path, When::Always, Fault::Flipped);
    let error = scene.refuses_to_pull("a/b:1");
    assert!(error.contains(&scene.layer), "{error}");
}

/// The first half comes from one server, the other from one that has something else.
#[test]
fn two_halves_that_are_no_whole_are_not_taken() {
    let scene = Scene::filled(Habits::default());
    let path = scene.blob_path();
    scene
        .registry
        .fault("GET", &path, When::Nth(1), Fault::Truncated(50))
        .fault("GET", &path, When::Always, Fault::Flipped);
    scene.refuses_to_pull("a/b:1");
}

#[test]
fn a_content_length_that_lies_is_found_out() {
    each(
        [
            (1, When::Always),
            (-1, When::Always),
            (1 << 40, When::Always),
            (-300_000, When::Always),
        ],
        |(by, when)| {
            let scene = Scene::filled(Habits::default());
            let path = scene.blob_path();
            scene.registry.fault("GET", &path, when, Fault::Length(by));
            scene.refuses_to_pull("a/b:1");
        },
    );
}

#[test]
fn a_blob_longer_or_shorter_than_said_is_found_out() {
    each([LAYER - 1, LAYER + 1], |change| {
        let scene = Scene::filled(Habits::default());
        let mut wrong = scene.layer_bytes().to_vec();
        wrong.resize(change, 0);
        let layer = scene.layer.clone();
        scene
            .registry
            .content()
            .repository("a/b")
            .blobs
            .insert(layer, wrong);
        scene.refuses_to_pull("a/b:1");
    });
}

#[test]
fn a_blob_that_is_not_there_is_told() {
    let scene = Scene::filled(Habits::default());
    let layer = scene.layer.clone();
    scene.registry.content().repository("a/b").blobs.remove(&layer);
    let error = scene.refuses_to_pull("a/b:1");
    assert!(
        error.contains("does not exist") && error.contains("hint: "),
        "{error}"
    );
    assert_eq!(scene.registry.asked("GET", &layer).len(), 1);
}

/// Bases go into the cache on their way: nothing wrong is left there.
#[test]
fn a_base_that_broke_off_or_was_wrong_is_right_the_next_time() {
    each(
        [Fault::Truncated(50), Fault::Flipped, Fault::Lost { done: true }],
        |fault| {
            let scene = Scene::new(Habits::default());
            small_base(&scene.sandbox.path("small"), true);
            let base = scene.registry.reference("small/base:1");
            run(&mut scene.pyoci(&["push", "oci:small:base", &base])).succeeded();
            scene.sandbox.write("app/main.py", "");
            println!("{fault:?}");
            let wrong = matches!(fault, Fault::Flipped);
            let when = if wrong { When::Always } else { When::Nth(1) };
            scene.registry.fault("GET", "/small/base/blobs/", when, fault);
            let first = run(&mut scene.pyoci(&["build", "app", "--base", &base, "-o", "image.1"]));
            scene.registry.assert_obeyed();
            if wrong {
                let error = super::scene::clean_error(first);
                assert!(error.contains("sha256:"), "{error}");
                assert!(!scene.sandbox.path("image.1").exists());
            } else {
                first.succeeded();
            }
            // The same cache, and a registry that is right.
            let right = scene.registry.twin(std::net::Ipv4Addr::LOCALHOST);
            let base = right.reference("small/base:1");
            run(&mut scene.pyoci(&["build", "app", "--base", &base, "-o", "image.2"])).succeeded();
            run(&mut scene.pyoci(&["pull", "image.2", "-o", "image.3"])).succeeded();
        },
    );
}
