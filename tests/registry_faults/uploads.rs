//! Pushes: blobs all at once, wherever the registry wants them, and what happens when that breaks.

use super::scene::{LAYER, Scene, answer, clean_error, each, password, tokens};
use crate::support::{Fault, Habits, Location, TokenAccess, When, run};

#[test]
fn what_is_pushed_is_what_was_there_and_is_not_pushed_again() {
    each([Location::Relative, Location::Absolute], |location| {
        let scene = Scene::new(Habits {
            location,
            ..Habits::default()
        });
        scene.pushes();
        let puts = scene.registry.asked("PUT", "/blobs/uploads/");
        assert_eq!(puts.len(), 2, "{puts:?}");
        scene.registry.forget();
        scene.pushes();
        for method in ["POST", "PATCH"] {
            assert_eq!(scene.registry.asked(method, "").len(), 0);
        }
        let puts = scene.registry.asked("PUT", "");
        assert_eq!(puts.len(), 1, "the tag: {puts:?}");
        assert_eq!(scene.registry.asked("GET", "/blobs/").len(), 0);
        scene.pulls();
    });
}

#[test]
fn a_connection_that_breaks_anywhere_in_a_push_is_made_again() {
    let post = ("POST", "/blobs/uploads/");
    let put = ("PUT", "/blobs/uploads/");
    let manifest = ("PUT", "/manifests/");
    let lost = |done| Fault::Lost { done };
    each(
        [
            (("GET", "=/v2/"), lost(false)),
            (("HEAD", "/blobs/"), lost(true)),
            (post, lost(false)),
            (post, lost(true)),
            (put, Fault::ResetAfter(0)),
            (put, Fault::ResetAfter(1)),
            (put, Fault::ResetAfter(LAYER / 2)),
            (put, Fault::ResetAfter(LAYER - 1)),
            (put, lost(false)),
            (put, lost(true)),
            (manifest, Fault::ResetAfter(10)),
            (manifest, lost(false)),
            (manifest, lost(true)),
        ],
        |((method, path), fault)| {
            let scene = Scene::new(Habits::default());
            println!("{method} {path} {fault:?}");
            scene.registry.fault(method, path, When::First(1), fault);
            scene.pushes();
        },
    );
}

/// The registry has the blob, only its answer was lost: the bytes need not be sent again.
#[test]
fn a_blob_whose_answer_was_lost_is_looked_for_before_it_is_sent_again() {
    let scene = Scene::new(Habits::default());
    let path = format!("digest={}", scene.layer);
    scene
        .registry
        .fault("PUT", &path, When::Always, Fault::Lost { done: true });
    scene.pushes();
    assert_eq!(scene.registry.asked("PUT", &path).len(), 1);
}

#[test]
fn a_push_that_never_gets_through_ends_after_five_tries() {
    each(
        [
            Fault::ResetAfter(LAYER / 2),
            Fault::Lost { done: false },
            Fault::Answer(answer(503, &[])),
        ],
        |fault| {
            let scene = Scene::new(Habits::default());
            let path = format!("digest={}", scene.layer);
            println!("{fault:?}");
            scene.registry.fault("PUT", &path, When::Always, fault);
            scene.refuses_to_push();
            assert_eq!(scene.registry.asked("PUT", &path).len(), 5);
            assert_eq!(scene.registry.asked("PUT", "/manifests/").len(), 0);
        },
    );
}

#[test]
fn uploads_that_cannot_begin_end_after_five_tries() {
    each(
        [Fault::Lost { done: true }, Fault::Answer(answer(502, &[]))],
        |fault| {
            let scene = Scene::new(Habits::default());
            scene
                .registry
                .fault("POST", "/blobs/uploads/", When::Always, fault);
            scene.refuses_to_push();
            let posts = scene.registry.asked("POST", "").len();
            assert!((5..=10).contains(&posts), "five for each of two blobs: {posts}");
            assert_eq!(scene.registry.asked("PUT", "").len(), 0);
        },
    );
}

#[test]
fn a_tag_that_cannot_be_written_is_tried_five_times() {
    each(
        [
            Fault::Lost { done: false },
            Fault::ResetAfter(1),
            Fault::Answer(answer(500, &[])),
        ],
        |fault| {
            let scene = Scene::new(Habits::default());
            scene.registry.fault("PUT", "/manifests/", When::Always, fault);
            scene.refuses_to_push();
            assert_eq!(scene.registry.asked("PUT", "/manifests/").len(), 5);
        },
    );
}

#[test]
fn what_a_registry_refuses_is_not_tried_again_and_told_in_its_words() {
    each(
        [
            ("POST", "/blobs/uploads/", 403),
            ("POST", "/blobs/uploads/", 404),
            ("PUT", "/blobs/uploads/", 400),
            ("PUT", "/blobs/uploads/", 413),
            ("PUT", "/manifests/", 400),
            ("PUT", "/manifests/", 405),
        ],
        |(method, path, status)| {
            let scene = Scene::new(Habits::default());
            let words = r#"{"errors":[{"code":"DENIED","message":"quota of 5 \u001b[31m pears"}]}"#;
            let response = answer(status, &[("Content-Type", "application/json")]).body(words);
            scene
                .registry
                .fault(method, path, When::Always, Fault::Answer(response));
            let error = scene.refuses_to_push();
            assert!(error.contains("quota of 5"), "{error}");
            assert!(!error.contains('\u{1b}'), "{error:?}");
            let asked = scene.registry.asked(method, path).len();
            assert!(asked <= 2, "{method} {path} {status}: {asked}");
        },
    );
}

#[test]
fn places_where_an_upload_cannot_go_on_are_told() {
    let place = |value: &str| Fault::Header("Location", Some(value.to_owned()));
    each(
        [
            Fault::Header("Location", None),
            place(""),
            place("http://["),
            place("ftp://127.0.0.1/x"),
            place("file:///etc/passwd"),
            place("http://127.0.0.1:1/x"),
            place("/v2/another/blobs/uploads/x"),
        ],
        |fault| {
            let scene = Scene::new(Habits::default());
            println!("{fault:?}");
            scene.registry.fault("POST", "/uploads/", When::Always, fault);
            let error = clean_error(scene.push());
            assert!(
                scene.registry.content().repository("a/b").tags.is_empty(),
                "{error}"
            );
        },
    );
}

#[test]
fn a_registry_that_stored_something_else_is_told() {
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    each(
        [("/blobs/uploads/", other), ("/manifests/", other)],
        |(path, digest)| {
            let scene = Scene::new(Habits::default());
            let fault = Fault::Header("Docker-Content-Digest", Some(digest.to_owned()));
            scene.registry.fault("PUT", path, When::Always, fault);
            let error = clean_error(scene.push());
            assert!(error.contains(other), "{error}");
            scene.registry.assert_obeyed();
        },
    );
}

/// What is to be sent is hashed on the way: nothing wrong arrives whole.
#[test]
fn a_layout_that_was_damaged_is_not_pushed() {
    let scene = Scene::new(Habits::default());
    let hex = scene.layer.strip_prefix("sha256:").unwrap();
    let blob = scene.sandbox.path("image/blobs/sha256").join(hex);
    let mut bytes = scene.layer_bytes().to_vec();
    for damage in 0..3 {
        match damage {
            0 => bytes[LAYER / 2] ^= 1,
            1 => bytes.truncate(LAYER - 1),
            _ => bytes.extend([0, 0]),
        }
        fs_err::write(&blob, &bytes).unwrap();
        let error = scene.refuses_to_push();
        assert!(error.contains(hex), "{error}");
        let content = scene.registry.content().repositories["a/b"]
            .blobs
            .contains_key(&scene.layer);
        assert!(!content);
    }
}

fn copies(scene: &Scene) {
    let (from, to) = (
        scene.registry.reference("a/b:1"),
        scene.registry.reference("c/d:1"),
    );
    run(&mut scene.pyoci(&["push", &from, &to])).succeeded();
    let mut content = scene.registry.content();
    let image = &scene.image;
    assert!(content.repository("c/d") == image);
    drop(content);
    scene.registry.assert_obeyed();
}

#[test]
fn blobs_of_another_repository_are_mounted() {
    each([Habits::default(), tokens(TokenAccess::default())], |habits| {
        let scene = Scene::filled(habits);
        scene.log_in(password());
        copies(&scene);
        let posts = scene.registry.asked("POST", "mount=");
        assert_eq!(posts.len(), 2, "{posts:?}");
        assert!(
            posts
                .iter()
                .all(|p| p.request.query("from").as_deref() == Some("a/b"))
        );
        assert!(posts.iter().all(|p| p.status == Some(201)));
        assert_eq!(scene.registry.asked("PUT", "/blobs/").len(), 0);
        assert_eq!(
            scene.registry.asked("GET", &scene.layer).len(),
            0,
            "no bytes are moved"
        );
    });
}

#[test]
fn blobs_that_are_not_mounted_are_sent_in_the_upload_that_was_begun() {
    each([Habits::default(), tokens(TokenAccess::default())], |habits| {
        let scene = Scene::filled(Habits {
            mounts: false,
            ..habits
        });
        scene.log_in(password());
        copies(&scene);
        assert_eq!(scene.registry.asked("POST", "").len(), 2);
        assert_eq!(scene.registry.asked("PUT", "/blobs/uploads/").len(), 2);
    });
}

#[test]
fn a_registry_that_does_not_want_to_hear_of_mounts_gets_the_bytes() {
    each([400, 403, 404, 405, 500], |status| {
        let scene = Scene::filled(Habits::default());
        let refusal = Fault::Answer(answer(status, &[]));
        scene.registry.fault("POST", "mount=", When::Always, refusal);
        if status == 500 {
            // Maybe the registry is only tired: a clean error after five tries is right as well.
            let (from, to) = (
                scene.registry.reference("a/b:1"),
                scene.registry.reference("c/d:1"),
            );
            let copied = run(&mut scene.pyoci(&["push", &from, &to]));
            if copied.status != Some(0) {
                clean_error(copied);
            }
            scene.registry.assert_obeyed();
        } else {
            copies(&scene);
        }
    });
}

#[test]
fn a_mount_of_which_the_answer_is_lost_is_made_again() {
    each([true, false], |done| {
        let scene = Scene::filled(Habits::default());
        scene
            .registry
            .fault("POST", "mount=", When::Nth(1), Fault::Lost { done });
        copies(&scene);
    });
}
