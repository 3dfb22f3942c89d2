//! Registries that are tired: they are asked again, later, and not for long.

use std::time::{Duration, Instant};

use super::scene::{Scene, answer, each};
use crate::support::{Fault, Habits, Response, When};

/// The time that a pull takes of which the first request for the manifest gets an answer.
#[track_caller]
fn pull_after(response: Response) -> Duration {
    let scene = Scene::filled(Habits::default());
    scene
        .registry
        .fault("GET", "/manifests/", When::Nth(1), Fault::Answer(response));
    let start = Instant::now();
    scene.pulls();
    assert_eq!(scene.registry.asked("GET", "/manifests/").len(), 2);
    start.elapsed()
}

#[test]
fn a_wait_that_is_asked_for_is_kept() {
    let seconds = answer(429, &[("Retry-After", "2")]);
    let date = answer(
        503,
        &[
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Retry-After", "Sun, 06 Nov 1994 08:49:39 GMT"),
        ],
    );
    each([seconds, date], |response| {
        let waited = pull_after(response);
        assert!(waited >= Duration::from_secs(2), "{waited:?}");
        assert!(waited < Duration::from_secs(12), "{waited:?}");
    });
}

#[test]
fn a_wait_that_makes_no_sense_is_a_short_one() {
    each(
        [
            "",
            "0",
            "-5",
            "soon",
            "1.5",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 99 Nov 1994 99:99:99 GMT",
        ],
        |value| {
            let waited = pull_after(answer(429, &[("Retry-After", value)]));
            assert!(waited < Duration::from_secs(10), "{value}: {waited:?}");
        },
    );
    let waited = pull_after(answer(429, &[]));
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

#[test]
fn nobody_waits_for_years() {
    let far = ("Retry-After", "Sun, 06 Nov 2994 08:49:37 GMT");
    let all = [
        &[("Retry-After", "1000000000")][..],
        &[("Retry-After", "99999999999999999999999999")],
        &[("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), far],
    ];
    std::thread::scope(|scope| {
        for headers in all {
            scope.spawn(move || {
                let waited = pull_after(answer(429, headers));
                assert!(waited < Duration::from_secs(40), "{headers:?}: {waited:?}");
            });
        }
    });
}

#[test]
fn statuses_that_pass_are_waited_for_everywhere() {
    each([408, 429, 500, 502, 503, 504], |status| {
        for (method, path) in [
            ("GET", "=/v2/"),
            ("HEAD", "/blobs/"),
            ("POST", "/blobs/uploads/"),
            ("PUT", "/blobs/uploads/"),
            ("PUT", "/manifests/"),
        ] {
            let scene = Scene::new(Habits::default());
            let response = Fault::Answer(answer(status, &[]));
            scene.registry.fault(method, path, When::Nth(1), response);
            scene.pushes();
        }
        let scene = Scene::filled(Habits::default());
        let path = scene.blob_path();
        let response = Fault::Answer(answer(status, &[]));
        scene.registry.fault("GET", &path, When::Nth(1), response);
        scene.pulls();
    });
}

#[test]
fn a_registry_that_stays_tired_is_asked_five_times() {
    each(
        [
            (429, "=/v2/"),
            (429, "/manifests/"),
            (503, "/manifests/"),
            (500, "/blobs/"),
        ],
        |(status, path)| {
            let scene = Scene::filled(Habits::default());
            let response = Fault::Answer(answer(status, &[]));
            scene.registry.fault("GET", path, When::Always, response);
            let error = scene.refuses_to_pull("a/b:1");
            assert!(error.contains(&status.to_string()), "{error}");
            assert!(status != 429 || error.contains("hint: "), "{error}");
            let path = path.trim_start_matches('=');
            let asked = scene.registry.asked("GET", path);
            let tries = asked.iter().filter(|r| r.status == Some(status)).count();
            assert!((5..=10).contains(&tries), "{asked:#?}");
        },
    );
}

#[test]
fn statuses_that_mean_it_are_not_asked_again() {
    each([400, 403, 405, 410, 418, 451, 501, 505], |status| {
        let scene = Scene::filled(Habits::default());
        let response = Fault::Answer(answer(status, &[]));
        scene.registry.fault("GET", "/manifests/", When::Always, response);
        scene.refuses_to_pull("a/b:1");
        assert_eq!(scene.registry.asked("GET", "/manifests/").len(), 1);
    });
}

#[test]
fn a_registry_that_nobody_runs_is_told_at_once() {
    let scene = Scene::filled(Habits::default());
    let start = Instant::now();
    let reference = format!("127.0.0.1:{}/a:1", crate::support::free_port());
    let pulled = crate::support::run(&mut scene.pyoci(&["pull", &reference, "-o", "out"]));
    super::scene::clean_error(pulled);
    assert!(start.elapsed() < Duration::from_secs(10));
}
