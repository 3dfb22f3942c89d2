//! The commands besides `build`: where the cache is and how it gets smaller, which bases there are, help.

use crate::support::{Sandbox, contents, small_base};

#[test]
fn the_cache_is_shown_pruned_and_emptied() {
    let sandbox = Sandbox::cold();
    let cache = sandbox.path("cache/pyoci");
    let said = sandbox.run(&["cache", "dir"]).succeeded().stdout;
    assert_eq!(said, format!("{}\n", cache.display()));
    assert_eq!(
        sandbox.run(&["cache", "clean"]).succeeded().stdout,
        "removed 0 files, 0 B\n"
    );
    assert!(!cache.exists(), "emptying what is not there makes nothing");

    small_base(&sandbox.path("base"), true);
    sandbox.write("app/main.py", "");
    sandbox.build("app", &["--base", "oci:base:base"]);
    sandbox.write("cache/pyoci/uv/wheels/x", "kept by uv");
    let before = contents(&cache);
    assert_eq!(
        sandbox.run(&["cache", "prune"]).succeeded().stdout,
        "removed 0 files, 0 B\n"
    );
    assert!(before == contents(&cache), "what was just used stays");
    let cleaned = sandbox.run(&["cache", "clean"]).succeeded().stdout;
    assert!(
        cleaned.starts_with("removed ") && !cleaned.starts_with("removed 0"),
        "{cleaned}"
    );
    let left: Vec<_> = contents(&cache)
        .into_keys()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(left, ["CACHEDIR.TAG", "lock"]);
    assert_eq!(fs_err::read_dir(cache.join("uv")).unwrap().count(), 0);
    sandbox.build("app", &["--base", "oci:base:base"]);
}

#[test]
fn bases_version_and_help_go_to_stdout() {
    let sandbox = Sandbox::cold();
    let bases = sandbox.run(&["base", "list"]).succeeded().stdout;
    assert!(
        bases
            .lines()
            .any(|line| line.starts_with("recipe:trixie ") && line.contains("Python 3.13"))
    );
    assert!(
        bases
            .lines()
            .any(|line| line.starts_with("recipe:bookworm ") && line.contains("Python 3.11"))
    );
    let version = sandbox.run(&["--version"]).succeeded().stdout;
    assert_eq!(version, format!("pyoci {}\n", env!("CARGO_PKG_VERSION")));
    let help = sandbox.run(&["build", "--help"]).succeeded().stdout;
    for flag in [
        "--output",
        "--base",
        "--lock",
        "--entrypoint",
        "--platform",
        "--offline",
    ] {
        assert!(help.contains(flag), "{flag} is not in\n{help}");
    }
    let nothing = sandbox.run(&[]).failed_with(2);
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.contains("Usage: pyoci"));
}
