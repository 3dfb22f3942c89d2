//! Wheels that become a layer while they still arrive, from servers that give ranges and from those that do not.

use std::path::{Path, PathBuf};

use crate::support::{IndexHabits, PackageIndex, Run, Sandbox, contents, lock, wheel};
use pyoci::digest::Digest;

/// Text that hardly compresses.
fn noise(length: usize, mut seed: u64) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let [.., byte] = (seed >> 40).to_be_bytes();
        text.push(char::from(b'!' + byte % 90));
    }
    text
}

/// A project with a lock of two wheels larger than a part and a small one, all at a server; nothing is in the cache.
fn project(habits: IndexHabits) -> (Sandbox, PackageIndex) {
    let sandbox = Sandbox::with_base();
    let (one, two) = (noise(3_000_000, 1), noise(1_500_000, 2));
    let wheels = [
        wheel(
            &sandbox.path("wheels"),
            "one",
            "py3-none-any",
            &[("one/a.py", "1"), ("one/data.txt", &one)],
        ),
        wheel(
            &sandbox.path("wheels"),
            "two",
            "py3-none-any",
            &[("two/data.txt", &two), ("two/z.py", "2")],
        ),
        wheel(
            &sandbox.path("wheels"),
            "small",
            "py3-none-any",
            &[("small.py", "3")],
        ),
    ];
    let index = PackageIndex::start(sandbox.path("wheels"), habits);
    sandbox.write("project/main.py", "print(1)");
    lock_at(&sandbox, &index, &wheels);
    (sandbox, index)
}

/// Not in the project: it names the port, and would be in the image.
fn lock_at(sandbox: &Sandbox, index: &PackageIndex, wheels: &[PathBuf]) {
    let lock = lock(wheels).replace("path = \"wheels/", &format!("url = \"{}/files/", index.url));
    sandbox.write("pylock.toml", &lock);
}

fn build(sandbox: &Sandbox) -> Run {
    let arguments = [
        "build",
        "project",
        "--base",
        "oci:base:base",
        "-o",
        "out",
        "--lock",
        "pylock.toml",
    ];
    sandbox.run(&arguments)
}

/// No finished layer is in the cache.
fn has_no_layer(cache: &Path) -> bool {
    contents(&cache.join("pyoci/blobs")).is_empty()
}

#[test]
fn the_image_is_the_same_however_its_wheels_arrive() {
    let ranges = IndexHabits {
        ranges: true,
        ..IndexHabits::default()
    };
    let breaks = IndexHabits {
        breaks: 3,
        ..ranges.clone()
    };
    let digests = [IndexHabits::default(), ranges, breaks].map(|habits| {
        let gives_ranges = habits.ranges;
        let (sandbox, index) = project(habits);
        let run = build(&sandbox).succeeded();
        let large = |path: &str| path.contains("one-1.0") || path.contains("two-1.0");
        let asked = index.asked();
        let parts = asked.iter().filter(|asked| large(&asked.path)).count();
        // The end of each, then its parts; or all of it at once.
        assert!(if gives_ranges { parts > 4 } else { parts == 2 }, "{asked:?}");
        let small = asked.iter().find(|asked| asked.path.contains("small")).unwrap();
        assert_eq!(small.range, "");
        run.stdout.trim().to_owned()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn a_wheel_that_turns_out_to_be_another_leaves_no_layer() {
    for (ranges, offset) in [(true, 100), (true, 2_000_000), (false, 2_000_000)] {
        let (sandbox, _index) = project(IndexHabits {
            ranges,
            ..IndexHabits::default()
        });
        let path = sandbox.path("wheels/one-1.0-py3-none-any.whl");
        let right = fs_err::read(&path).unwrap();
        let mut wrong = right.clone();
        wrong[offset] ^= 1;
        fs_err::write(&path, &wrong).unwrap();
        let run = build(&sandbox);
        let run = run.failed_with(1);
        let expected = Digest::of(&right).to_string();
        assert!(
            run.stderr.contains("one 1.0") && run.stderr.contains(&expected),
            "{}",
            run.stderr
        );
        assert!(!sandbox.path("out").exists());
        assert!(has_no_layer(&sandbox.path("cache")));
        // What was right of it is taken the next time.
        fs_err::write(&path, &right).unwrap();
        build(&sandbox).succeeded();
    }
}

#[test]
fn what_was_read_of_a_wheel_stays_what_it_was_though_the_server_sends_the_right_one_later() {
    let (sandbox, _) = project(IndexHabits::default());
    let right = sandbox.path("wheels/one-1.0-py3-none-any.whl");
    let data = noise(3_000_000, 1);
    // Of the same size: nothing but its hashes tells it apart.
    let mut other = ('a'..='z').map(|text| {
        let files = [("one/a.py", &*text.to_string()), ("one/data.txt", &data)];
        wheel(&sandbox.path("other"), "one", "py3-none-any", &files)
    });
    let size = |path: &Path| fs_err::metadata(path).unwrap().len();
    other
        .find(|other| size(other) == size(&right))
        .expect("a wheel of the same size");
    for name in ["two", "small"] {
        let file = format!("{name}-1.0-py3-none-any.whl");
        fs_err::copy(
            sandbox.path(&format!("wheels/{file}")),
            sandbox.path(&format!("other/{file}")),
        )
        .unwrap();
    }
    let index = PackageIndex::start(
        sandbox.path("wheels"),
        IndexHabits {
            ranges: true,
            lies: Some(sandbox.path("other")),
            ..IndexHabits::default()
        },
    );
    let lock = fs_err::read_to_string(sandbox.path("pylock.toml")).unwrap();
    let (before, after) = lock.split_once("http://").unwrap();
    let old = format!("http://{}", after.split("/files/").next().unwrap());
    sandbox.write(
        "pylock.toml",
        &format!("{before}http://{after}").replace(&old, &index.url),
    );
    let run = build(&sandbox).failed_with(1);
    assert!(run.stderr.contains("one 1.0"), "{}", run.stderr);
    assert!(!sandbox.path("out").exists());
    assert!(has_no_layer(&sandbox.path("cache")));
}

#[test]
fn a_server_that_falls_silent_is_told_by_its_name() {
    let (sandbox, index) = project(IndexHabits {
        ranges: true,
        breaks: 12,
        ..IndexHabits::default()
    });
    // Many answers break off half-way, but each brings some: it is asked for the rest until all is there.
    build(&sandbox).succeeded();
    assert!(index.asked().len() > 12);
    fs_err::remove_file(sandbox.path("wheels/two-1.0-py3-none-any.whl")).unwrap();
    fs_err::remove_dir_all(sandbox.path("cache")).unwrap();
    let run = build(&sandbox).failed_with(1);
    assert!(
        run.stderr.contains("two-1.0-py3-none-any.whl") && run.stderr.contains("404"),
        "{}",
        run.stderr
    );
    assert!(has_no_layer(&sandbox.path("cache")));
}

/// The same archive with a data descriptor behind each member, of which only the header in front of the data tells, as some
/// writers do it (APPNOTE.TXT 4.4.4, bit 3).
fn with_descriptors(archive: &[u8]) -> Vec<u8> {
    let number = |at: usize, bytes: usize| {
        let field = archive[at..at + bytes].iter().rev();
        field.fold(0, |all, byte| all << 8 | usize::from(*byte))
    };
    let (mut out, mut offsets, mut at) = (Vec::new(), Vec::new(), 0);
    while archive[at..].starts_with(b"PK\x03\x04") {
        let data = at + 30 + number(at + 26, 2) + number(at + 28, 2);
        let end = data + number(at + 18, 4);
        offsets.push(u32::try_from(out.len()).unwrap());
        out.extend_from_slice(&archive[at..end]);
        out[*offsets.last().unwrap() as usize + 6] |= 1 << 3;
        out.extend_from_slice(b"PK\x07\x08");
        out.extend_from_slice(&archive[at + 14..at + 26]);
        at = end;
    }
    let directory = u32::try_from(out.len()).unwrap();
    for offset in offsets {
        let next = at + 46 + number(at + 28, 2) + number(at + 30, 2) + number(at + 32, 2);
        out.extend_from_slice(&archive[at..at + 42]);
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&archive[at + 46..next]);
        at = next;
    }
    out.extend_from_slice(&archive[at..at + 16]);
    out.extend_from_slice(&directory.to_le_bytes());
    out.extend_from_slice(&archive[at + 20..]);
    out
}

#[test]
fn a_wheel_whose_directory_does_not_tell_all_is_read_again_when_it_is_whole() {
    let digests = [true, false].map(|ranges| {
        let (sandbox, index) = project(IndexHabits {
            ranges,
            ..IndexHabits::default()
        });
        let paths = ["one", "two"].map(|name| sandbox.path(&format!("wheels/{name}-1.0-py3-none-any.whl")));
        let odd = with_descriptors(&fs_err::read(&paths[0]).unwrap());
        fs_err::write(&paths[0], odd).unwrap();
        lock_at(&sandbox, &index, &paths);
        build(&sandbox).succeeded().stdout
    });
    assert_eq!(digests[0], digests[1]);
}
