//! Pushes in pieces, for registries that want them: in order, gone on with where they broke off.

use super::scene::{Scene, answer, each};
use crate::support::{Fault, Habits, Location, When};

/// Pieces are of 8 MiB: three of them.
const LARGE: usize = 20 * 1024 * 1024;

fn scene(location: Location) -> Scene {
    let habits = Habits {
        piece: Some(1024 * 1024),
        location,
        ..Habits::default()
    };
    Scene::sized(habits, LARGE)
}

/// The ranges of all pieces of the layer, in the order in which they were sent.
fn ranges(scene: &Scene) -> Vec<String> {
    let pieces = scene.registry.asked("PATCH", "/blobs/uploads/");
    let ranges = pieces
        .iter()
        .map(|p| p.request.header("content-range").unwrap().to_owned());
    ranges.collect()
}

#[test]
fn pieces_come_in_order_and_follow_the_location() {
    each([Location::Relative, Location::Absolute], |location| {
        let scene = scene(location);
        scene.pushes();
        assert_eq!(
            ranges(&scene),
            ["0-8388607", "8388608-16777215", "16777216-20971519"]
        );
        let puts = scene.registry.asked("PUT", &scene.layer);
        assert!(puts.len() == 1 && puts[0].request.body.is_empty(), "{puts:?}");
        scene.pulls();
    });
}

#[test]
fn pieces_that_break_off_are_gone_on_with() {
    let lost = |done| Fault::Lost { done };
    each(
        [
            ("PATCH", 1, Fault::ResetAfter(3_000_000)),
            ("PATCH", 2, Fault::ResetAfter(3_000_000)),
            ("PATCH", 2, lost(true)),
            ("PATCH", 3, lost(true)),
            ("PATCH", 2, lost(false)),
            ("PATCH", 2, Fault::Answer(answer(503, &[]))),
            ("PATCH", 2, Fault::Answer(answer(429, &[("Retry-After", "1")]))),
            ("PUT", 2, lost(true)),
            ("PUT", 2, lost(false)),
            ("PUT", 2, Fault::Answer(answer(500, &[]))),
        ],
        |(method, nth, fault)| {
            let scene = scene(Location::Relative);
            println!("{method} {nth} {fault:?}");
            scene
                .registry
                .fault(method, "/blobs/uploads/", When::Nth(nth), fault);
            scene.pushes();
            let sent: usize = scene
                .registry
                .asked("PATCH", "")
                .iter()
                .map(|p| p.request.body.len())
                .sum();
            assert!(sent <= LARGE + 16 * 1024 * 1024 || method == "PUT", "{sent}");
        },
    );
}

/// > 416 Range Not Satisfiable: the client asks where the upload stands and goes on from there.
#[test]
fn a_registry_that_kept_only_some_of_a_piece_gets_the_rest() {
    let scene = scene(Location::Relative);
    let refusal = answer(416, &[("Range", "0-8388607")]);
    scene
        .registry
        .fault("PATCH", "/blobs/uploads/", When::Nth(2), Fault::Answer(refusal));
    scene.pushes();
    assert_eq!(scene.registry.asked("GET", "/blobs/uploads/").len(), 1);
}

#[test]
fn pieces_that_never_get_through_end_after_five_tries() {
    each(
        [
            Fault::Answer(answer(503, &[])),
            Fault::Answer(answer(416, &[("Range", "0-0")])),
            Fault::Header("Range", Some("0-0".to_owned())),
            Fault::Header("Range", Some("bytes".to_owned())),
            Fault::Header("Location", None),
        ],
        |fault| {
            let scene = scene(Location::Relative);
            println!("{fault:?}");
            scene
                .registry
                .fault("PATCH", "/blobs/uploads/", When::Always, fault);
            let pushed = scene.push();
            // Where only the answer is wrong, asking where the upload stands helps.
            if pushed.status == Some(0) {
                assert!(*scene.registry.content().repository("a/b") == scene.image);
            } else {
                super::scene::clean_error(pushed);
            }
            scene.registry.assert_obeyed();
        },
    );
}

#[test]
fn what_is_smaller_than_a_piece_comes_at_once() {
    let scene = Scene::new(Habits {
        piece: Some(8 * 1024 * 1024),
        ..Habits::default()
    });
    scene.pushes();
    assert_eq!(scene.registry.asked("PATCH", "").len(), 0);
}
