//! The commands that are disturbed, and how what they leave behind is looked at.

use std::path::Path;

use super::random::{Random, is_asked_for};
use super::scene::{Scene, Version, content, layout, unreferenced, whole};
use crate::support::run;

/// A command that makes one thing out of the project.
pub struct Work {
    pub name: &'static str,
    pub arguments: Vec<String>,
    /// Whether it begins with an empty cache.
    pub cold: bool,
    /// What is done undisturbed after the project was changed.
    pub before: fn(&Scene),
    /// What is there: `None` is nothing. Fails if it is neither nothing nor whole.
    pub state: fn(&Scene) -> Option<String>,
    /// Puts back what was there before any run.
    pub clear: fn(&Scene),
}

/// All of them; the one with a mount point only for root, in a directory that [`Mount`] holds.
pub fn works(scene: &Scene) -> Vec<Work> {
    let mut works = layouts(scene);
    works.extend(files(scene));
    works.extend(pushes(scene));
    works
}

fn layouts(scene: &Scene) -> Vec<Work> {
    let image = |scene: &Scene| layout(&scene.sandbox.path("image"));
    let clear_image: fn(&Scene) = |scene| remove(&scene.sandbox.path("image"));
    vec![
        Work {
            name: "build -o image",
            arguments: scene.build("image"),
            cold: false,
            before: nothing,
            state: image,
            clear: clear_image,
        },
        Work {
            name: "build -o image, empty cache",
            arguments: scene.build("image"),
            cold: true,
            before: nothing,
            state: image,
            clear: clear_image,
        },
        Work {
            name: "build -o oci:many:1",
            arguments: scene.build("oci:many:1"),
            cold: false,
            before: nothing,
            state: |scene| {
                let tags = layout(&scene.sandbox.path("many")).unwrap();
                assert!(tags.contains("kept"), "{tags}");
                Some(tags)
            },
            clear: |scene| {
                remove(&scene.sandbox.path("many"));
                scene
                    .run(&["pull", "oci:base:base", "-o", "oci:many:kept"])
                    .succeeded();
            },
        },
        Work {
            name: "build -o mount point",
            arguments: scene.build("mount"),
            cold: false,
            before: nothing,
            state: |scene| layout(&scene.sandbox.path("mount")),
            clear: |scene| {
                for entry in fs_err::read_dir(scene.sandbox.path("mount")).unwrap() {
                    remove(&entry.unwrap().path());
                }
            },
        },
    ]
}

fn files(scene: &Scene) -> Vec<Work> {
    let bundle = |output: &str| ["bundle", "app", "-o", output].map(str::to_owned).to_vec();
    vec![
        Work {
            name: "build -o oci-archive:image.tar",
            arguments: scene.build("oci-archive:image.tar"),
            cold: false,
            before: nothing,
            state: |scene| content(&scene.sandbox.path("image.tar")),
            clear: |scene| remove(&scene.sandbox.path("image.tar")),
        },
        Work {
            name: "bundle -o out/",
            arguments: bundle("out"),
            cold: false,
            before: nothing,
            state: |scene| content(&scene.sandbox.path("out")),
            clear: |scene| remove(&scene.sandbox.path("out")),
        },
        Work {
            name: "bundle -o out.tar.gz, empty cache",
            arguments: bundle("out.tar.gz"),
            cold: true,
            before: nothing,
            state: |scene| content(&scene.sandbox.path("out.tar.gz")),
            clear: |scene| remove(&scene.sandbox.path("out.tar.gz")),
        },
        Work {
            name: "bundle -o out.deb",
            arguments: bundle("out.deb"),
            cold: false,
            before: nothing,
            state: |scene| content(&scene.sandbox.path("out.deb")),
            clear: |scene| remove(&scene.sandbox.path("out.deb")),
        },
    ]
}

fn pushes(scene: &Scene) -> Vec<Work> {
    let clear: fn(&Scene) = |scene| {
        *scene.registry.content().repository("a/b") = crate::support::Repository::default();
    };
    vec![
        Work {
            name: "build --push",
            arguments: scene.build(&format!("docker://{}", scene.registry.reference("a/b:1"))),
            cold: false,
            before: nothing,
            state: pushed,
            clear,
        },
        Work {
            name: "push oci:ready:1",
            arguments: ["push", "oci:ready:1", &scene.registry.reference("a/b:1")]
                .map(str::to_owned)
                .to_vec(),
            cold: false,
            before: |scene| {
                let arguments = scene.build("ready");
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                scene.run(&arguments).succeeded();
            },
            state: pushed,
            clear,
        },
    ]
}

fn nothing(_: &Scene) {}

/// So many of them, chosen at random; where not all are wanted none of those that take seconds (xz).
pub fn some(scene: &Scene, count: usize, random: &mut Random) -> Vec<Work> {
    let mut all = works(scene);
    all.retain(|work| is_asked_for(work.name));
    if count < all.len() {
        all.retain(|work| !work.name.contains("deb"));
    }
    random.some(count, all)
}

/// What the tag of the registry stands for; all of it is there.
fn pushed(scene: &Scene) -> Option<String> {
    let mut content = scene.registry.content();
    let repository = content.repository("a/b");
    let digest = repository.tags.get("1")?.clone();
    let blob = |digest: &str| {
        let manifest = repository.manifests.get(digest).map(|(_, bytes)| bytes);
        manifest
            .or(repository.blobs.get(digest))
            .cloned()
            .unwrap_or_default()
    };
    whole(&serde_json::json!({ "digest": digest }), &blob);
    Some(digest)
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs_err::remove_dir_all(path).unwrap();
    } else if path.exists() {
        fs_err::remove_file(path).unwrap();
    }
}

impl Work {
    pub fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// Makes the project a version, and the cache what the command begins with.
    pub fn set(&self, scene: &Scene, version: Version) {
        scene.set(version);
        if self.cold {
            scene.cool();
        }
        (self.before)(scene);
    }

    /// Runs it undisturbed, and looks that nothing is left over; what is there then.
    #[track_caller]
    pub fn succeeds(&self, scene: &Scene) -> Option<String> {
        let done = run(&mut scene.pyoci(&self.arguments())).succeeded();
        assert!(!done.stderr.contains("Waiting"), "{}", done.stderr);
        scene.assert_clean(&done.stderr);
        for name in ["image", "mount"] {
            let directory = scene.sandbox.path(name);
            if self.arguments.iter().any(|argument| argument == name) {
                assert_eq!(unreferenced(&directory), 0, "{}", self.name);
            }
        }
        (self.state)(scene)
    }

    /// What is there after a run with each version.
    #[track_caller]
    pub fn outcomes(&self, scene: &Scene) -> Outcomes {
        (self.clear)(scene);
        let outcomes = [Version::A, Version::B].map(|version| {
            self.set(scene, version);
            self.succeeds(scene)
        });
        assert_ne!(outcomes[0], outcomes[1]);
        Outcomes(outcomes)
    }
}

/// What is there after a run with each version.
pub struct Outcomes([Option<String>; 2]);

impl Outcomes {
    pub fn of(&self, version: Version) -> Option<&String> {
        self.0[usize::from(version == Version::B)].as_ref()
    }
}

/// A small file system of its own at a path, which needs root.
pub struct Mount(std::path::PathBuf);

impl Mount {
    pub fn new(path: std::path::PathBuf, size: &str) -> Self {
        fs_err::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=755");
        let mut mount = std::process::Command::new("mount");
        run(mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path)).succeeded();
        Self(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}
