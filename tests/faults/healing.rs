//! A damaged cache: never a wrong image; what is damaged is made or fetched again, or offline an error says what is missing.

use std::path::{Path, PathBuf};

use super::random::{Random, amount};
use super::scene::{Scene, layout};
use crate::support::{Run, Sandbox, contents, run};

/// A project whose cache is damaged.
struct Patient<'s> {
    sandbox: &'s Sandbox,
    arguments: Vec<String>,
    digest: String,
}

/// How often what came of a trial.
#[derive(Debug, Default)]
struct Tally {
    healed: usize,
    not_read: usize,
    offline_errors: usize,
}

impl<'s> Patient<'s> {
    /// Builds once, which fills the cache.
    fn new(sandbox: &'s Sandbox, arguments: Vec<String>) -> Self {
        let mut patient = Self {
            sandbox,
            arguments,
            digest: String::new(),
        };
        patient.digest = patient.build(false).succeeded().stdout;
        patient
    }

    fn build(&self, offline: bool) -> Run {
        let mut command = self.sandbox.pyoci();
        command.args(&self.arguments).args(offline.then_some("--offline"));
        run(&mut command)
    }

    /// Takes away what would keep a build from reading wheels: the image, and what is known of layers.
    fn forget(&self, but: &Path) {
        let _ = fs_err::remove_dir_all(self.image());
        for entry in self.entries() {
            if entry.components().any(|c| c.as_os_str() == "memos") && entry != but {
                fs_err::remove_file(entry).unwrap();
            }
        }
    }

    fn image(&self) -> PathBuf {
        self.sandbox.path("image")
    }

    /// The files of the cache that pyoci answers for.
    fn entries(&self) -> Vec<PathBuf> {
        let root = self.sandbox.path("cache/pyoci");
        let kinds = ["wheels", "downloads", "blobs", "programs", "packs", "memos"];
        let files = kinds.iter().flat_map(|kind| contents(&root.join(kind)));
        files.map(|(path, _)| path).collect()
    }

    fn damaged(&self, keep: bool) -> Vec<PathBuf> {
        let mut command = self.sandbox.pyoci();
        command.args(["cache", "verify"]).args(keep.then_some("--keep"));
        let verified = run(&mut command);
        let lines: Vec<&str> = verified.stdout.lines().collect();
        let (last, damaged) = lines.split_last().unwrap();
        assert!(last.ends_with(&format!(": {} damaged", damaged.len())), "{last}");
        assert_eq!(
            verified.status,
            Some(i32::from(!damaged.is_empty())),
            "{}",
            verified.stderr
        );
        damaged
            .iter()
            .map(|line| line.split_once(": ").unwrap().0.into())
            .collect()
    }

    /// Damages an entry and builds.
    fn trial(&self, random: &mut Random, tally: &mut Tally) {
        let entries = self.entries();
        let entry = &entries[random.below(entries.len())];
        let what = damage(entry, random);
        let removed = random.below(3);
        if removed > 0 {
            // So that layers are read.
            let _ = fs_err::remove_dir_all(self.image());
        }
        if removed > 1 {
            // So that bases and wheels are read.
            self.forget(entry);
        }
        let before = layout(&self.image());
        let offline = random.below(2) == 0;
        let what = format!(
            "{}: {what}, removed: {removed}, offline: {offline}",
            entry.display()
        );
        let built = self.build(offline);
        match built.status {
            Some(0) => {
                assert_eq!(built.stdout, self.digest, "{what}\n{}", built.stderr);
                layout(&self.image()).unwrap();
                // Damage that was not met is found when it is looked for.
                let found = self.damaged(random.below(2) == 0);
                assert!(found.is_empty() || found == [entry.clone()], "{what}: {found:?}");
                if found.is_empty() {
                    tally.healed += 1;
                } else {
                    tally.not_read += 1;
                }
            }
            Some(1) if offline => {
                assert!(built.stderr.contains("error: "), "{what}\n{}", built.stderr);
                assert_eq!(layout(&self.image()), before, "{what}\n{}", built.stderr);
                tally.offline_errors += 1;
            }
            _ => panic!("{what}\n{}", built.stderr),
        }
        self.damaged(false);
        assert_eq!(self.build(false).succeeded().stdout, self.digest, "{what}");
    }
}

/// Flips a bit of a file or cuts it off.
fn damage(path: &Path, random: &mut Random) -> String {
    let mut bytes = fs_err::read(path).unwrap();
    let at = random.below(bytes.len());
    let what = if random.below(2) == 0 {
        bytes[at] ^= 1 << random.below(8);
        format!("bit of byte {at} flipped")
    } else {
        bytes.truncate(at);
        format!("cut off at {at}")
    };
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, bytes).unwrap();
    what
}

/// A scene whose index is no part of this machine, as far as `--offline` knows.
fn scene_with_a_far_index() -> Scene {
    let scene = Scene::new();
    let lock = fs_err::read_to_string(scene.sandbox.path("app/pylock.toml")).unwrap();
    let far = lock.replace("http://127.0.0.1:", "http://0.0.0.0:");
    assert_ne!(lock, far);
    scene.sandbox.write("app/pylock.toml", &far);
    scene
}

#[test]
fn offline_a_damaged_wheel_is_an_error_that_names_it_and_online_it_is_fetched_again() {
    let mut random = Random::new();
    let scene = scene_with_a_far_index();
    let patient = Patient::new(&scene.sandbox, scene.build("image"));
    let wheels = |patient: &Patient| {
        let mut entries = patient.entries();
        entries.retain(|entry| entry.components().any(|c| c.as_os_str() == "wheels"));
        entries
    };
    for wheel in wheels(&patient) {
        let what = damage(&wheel, &mut random);
        patient.forget(&wheel);
        let failed = patient.build(true).failed_with(1);
        let said = failed.stderr.contains("offline: http://0.0.0.0:") && failed.stderr.contains("1.0");
        assert!(said, "{what}\n{}", failed.stderr);
        assert_eq!(layout(&patient.image()), None);
        assert_eq!(patient.build(false).succeeded().stdout, patient.digest, "{what}");
        patient.forget(&wheel);
        assert_eq!(patient.build(true).succeeded().stdout, patient.digest, "{what}");
    }
    assert_eq!(wheels(&patient).len(), 3);
}

#[test]
fn a_damaged_entry_never_gives_a_wrong_image() {
    let mut random = Random::new();
    let scene = scene_with_a_far_index();
    let patient = Patient::new(&scene.sandbox, scene.build("image"));
    let mut tally = Tally::default();
    for _ in 0..amount("PYOCI_HEALS", 30) {
        patient.trial(&mut random, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.healed > 0 && tally.not_read > 0);
}

/// The same with what a real project has: Debian packages, wheels of PyPI, uv. By hand only, as it takes minutes.
#[test]
#[ignore = "needs the network; runs where PYOCI_HEALS is set"]
fn a_damaged_entry_of_a_real_project_never_gives_a_wrong_image() {
    let trials = amount("PYOCI_HEALS", 0);
    if trials == 0 {
        return;
    }
    let mut random = Random::new();
    let sandbox = Sandbox::cold();
    sandbox.example("flask");
    let arguments = ["build", "flask", "-o", "image", "-t", "1"].map(str::to_owned);
    let patient = Patient::new(&sandbox, arguments.to_vec());
    let kinds = |kind: &str| {
        patient
            .entries()
            .iter()
            .any(|path| path.to_string_lossy().contains(kind))
    };
    for kind in ["wheels", "downloads", "blobs", "programs", "memos"] {
        assert!(kinds(&format!("/pyoci/{kind}/")), "{kind}");
    }
    let mut tally = Tally::default();
    for _ in 0..trials {
        patient.trial(&mut random, &mut tally);
    }
    println!("{tally:?}");
}

#[test]
fn verify_tells_each_damaged_entry_and_removes_it_unless_it_is_to_be_kept() {
    let mut random = Random::new();
    let scene = Scene::new();
    let nothing = run(scene
        .pyoci(&["cache", "verify"])
        .env("PYOCI_CACHE_DIR", scene.sandbox.path("none")));
    assert_eq!(nothing.succeeded().stdout, "read 0 entries, 0 B: 0 damaged\n");
    assert!(!scene.sandbox.path("none").exists());
    let patient = Patient::new(&scene.sandbox, scene.build("image"));
    assert_eq!(patient.damaged(false), [] as [PathBuf; 0]);
    let entries = patient.entries();
    for entry in &entries[..2] {
        damage(entry, &mut random);
    }
    for _ in 0..2 {
        assert_eq!(patient.damaged(true), entries[..2]);
    }
    let told = scene.run(&["cache", "verify"]).failed_with(1);
    assert!(
        told.stderr
            .starts_with("error: 2 entries of the cache were damaged\nhint: they were removed"),
        "{}",
        told.stderr
    );
    assert!(entries[..2].iter().all(|entry| !entry.exists()));
    assert_eq!(patient.damaged(false), [] as [PathBuf; 0]);
}
