//! Manifests that are pulled: read whole, never too much, and checked against what names them.

use super::scene::{Scene, answer, each};
use crate::support::{Fault, Habits, When};

const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The image by its tag, and by its digest.
fn names(scene: &Scene) -> [String; 2] {
    ["a/b:1".to_owned(), format!("a/b@{}", scene.image.tags["1"])]
}

#[test]
fn a_tag_and_a_digest_name_the_same() {
    let scene = Scene::filled(Habits::default());
    for name in names(&scene) {
        scene.pull_as(&name).succeeded();
        scene.assert_out();
    }
    let both = format!("a/b:old@{}", scene.image.tags["1"]);
    scene.pull_as(&both).succeeded();
    scene.assert_out();
    scene.registry.assert_obeyed();
}

#[test]
fn a_manifest_with_another_digest_is_not_taken() {
    let scene = Scene::filled(Habits::default());
    scene
        .registry
        .fault("GET", "/manifests/", When::Always, Fault::Flipped);
    for name in names(&scene) {
        let error = scene.refuses_to_pull(&name);
        assert!(error.contains(&scene.image.tags["1"]), "{error}");
    }
}

#[test]
fn a_digest_in_a_header_is_compared_and_a_malformed_one_is_nothing() {
    each(
        [
            (Some(OTHER), false),
            (Some("sha256:xyz"), true),
            (Some("md5:00"), true),
            (Some(""), true),
            (None, true),
        ],
        |(digest, right)| {
            let scene = Scene::filled(Habits::default());
            let header = Fault::Header("Docker-Content-Digest", digest.map(str::to_owned));
            scene.registry.fault("GET", "/manifests/", When::Always, header);
            if right {
                scene.pulls();
            } else {
                let error = scene.refuses_to_pull("a/b:1");
                assert!(error.contains(OTHER), "{error}");
            }
            // The bytes are what counts where the digest is known.
            scene.pull_as(&names(&scene)[1]).succeeded();
        },
    );
}

#[test]
fn manifests_that_break_off_are_had_again() {
    each([0, 1, 50, 99], |percent| {
        let scene = Scene::filled(Habits::default());
        scene
            .registry
            .fault("GET", "/manifests/", When::Nth(1), Fault::Truncated(percent));
        scene.pulls();
        assert_eq!(scene.registry.asked("GET", "/manifests/").len(), 2);
    });
}

#[test]
fn manifests_that_always_break_off_are_told_after_five_tries() {
    each([0, 50, 99], |percent| {
        let scene = Scene::filled(Habits::default());
        scene
            .registry
            .fault("GET", "/manifests/", When::Always, Fault::Truncated(percent));
        scene.refuses_to_pull("a/b:1");
        assert_eq!(scene.registry.asked("GET", "/manifests/").len(), 5);
    });
}

#[test]
fn manifests_of_more_than_4_mib_are_refused() {
    each([None, Some(100)], |length| {
        let scene = Scene::filled(Habits::default());
        let (media_type, mut bytes) = scene.image.manifests.values().next().unwrap().clone();
        bytes.resize(4 * 1024 * 1024 + 1, b' ');
        let mut large = answer(200, &[("Content-Type", &media_type)]).body(bytes);
        large.length = length;
        scene
            .registry
            .fault("GET", "/manifests/", When::Always, Fault::Answer(large));
        for name in names(&scene) {
            scene.refuses_to_pull(&name);
        }
        if length.is_none() {
            let asked = scene.registry.asked("GET", "/manifests/").len();
            assert_eq!(asked, 2, "once for each name");
        }
    });
}

#[test]
fn a_manifest_whose_length_lies_is_not_taken() {
    each([1, -1, 1 << 40], |by| {
        let scene = Scene::filled(Habits::default());
        scene
            .registry
            .fault("GET", "/manifests/", When::Always, Fault::Length(by));
        for name in names(&scene) {
            scene.refuses_to_pull(&name);
            scene.registry.forget();
        }
    });
}

#[test]
fn what_is_no_manifest_is_told() {
    let manifest = pyoci::image::MANIFEST;
    each(
        [
            ("text/html", "<html>Welcome to the hotel's network</html>"),
            (manifest, ""),
            (manifest, "null"),
            (manifest, "[]"),
            (manifest, "{"),
            (manifest, "{}"),
            (manifest, r#"{"schemaVersion":2}"#),
            (manifest, r#"{"schemaVersion":2,"config":{},"layers":[{}]}"#),
            (manifest, r#"{"schemaVersion":2,"config":null,"layers":"x"}"#),
            (
                manifest,
                r#"{"schemaVersion":2,"mediaType":"application/x","layers":[]}"#,
            ),
            (
                pyoci::image::INDEX,
                r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x"}]}"#,
            ),
            (
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                r#"{"schemaVersion":1,"name":"a/b","tag":"1","fsLayers":[]}"#,
            ),
            ("application/json", "\u{0}\u{0}"),
        ],
        |(content_type, body)| {
            let scene = Scene::filled(Habits::default());
            println!("{content_type} {body}");
            let response = answer(200, &[("Content-Type", content_type)]).body(body);
            scene
                .registry
                .fault("GET", "/manifests/", When::Always, Fault::Answer(response));
            scene.refuses_to_pull("a/b:1");
        },
    );
}

/// An index that holds itself, or one in another without end.
#[test]
fn an_index_that_never_ends_is_told() {
    let scene = Scene::filled(Habits::default());
    let index = |digest: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{0}","manifests":[{{"mediaType":"{0}","digest":"{digest}","size":300}}]}}"#,
            pyoci::image::INDEX
        )
    };
    let itself = answer(200, &[("Content-Type", pyoci::image::INDEX)]).body(index(OTHER));
    scene
        .registry
        .fault("GET", "/manifests/", When::Always, Fault::Answer(itself));
    scene.refuses_to_pull("a/b:1");
}

#[test]
fn a_name_that_is_not_there_is_told() {
    let scene = Scene::filled(Habits::default());
    for name in ["a/b:2", "c:1", &format!("a/b@{OTHER}")] {
        let error = scene.refuses_to_pull(name);
        assert!(
            error.contains("does not exist") && error.contains("hint: "),
            "{error}"
        );
    }
    assert_eq!(scene.registry.asked("GET", "/manifests/").len(), 3);
}
