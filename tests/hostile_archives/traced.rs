//! Runs of `pyoci` under strace, and what they did to the file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, Sandbox, run};

/// Every system call that makes, changes, moves or removes a name.
const CALLS: &str = "trace=open,openat,openat2,creat,mkdir,mkdirat,symlink,symlinkat,link,linkat,rename,renameat,renameat2,\
                     mknod,mknodat,truncate,unlink,unlinkat,rmdir,chmod,fchmodat,chown,lchown,fchownat,execve";

/// Runs `pyoci` in the sandbox, and fails if it wrote anywhere but to the output (`out` or `copy`), the store and the
/// directory for temporary files.
#[track_caller]
pub fn traced(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let trace = sandbox.path("trace.txt");
    let plain = sandbox.pyoci();
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-y",
            "-s",
            "4096",
            "-e",
            CALLS,
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(&trace)
        .arg(plain.get_program())
        .args(arguments)
        .env_clear()
        .current_dir(sandbox.path(""));
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    fs_err::create_dir_all(sandbox.path("tmp")).unwrap();
    // Without uv nothing is built of the sdists that are taken.
    command
        .env("TMPDIR", sandbox.path("tmp"))
        .env("PATH", "/usr/bin:/bin");
    let done = run(&mut command);
    let text = fs_err::read_to_string(&trace).unwrap();
    let calls = calls(&text);
    assert!(calls > 0, "nothing was traced: {}", done.stderr);
    let root = sandbox.path("");
    let stray: Vec<_> = text.lines().filter(|line| is_stray(line, &root)).collect();
    assert!(
        stray.is_empty(),
        "{arguments:?} wrote elsewhere:\n{}",
        stray.join("\n")
    );
    assert!(
        !done.stderr.contains("panicked"),
        "{arguments:?}: {}",
        done.stderr
    );
    done
}

fn calls(text: &str) -> usize {
    text.lines().filter(|line| line.contains("openat(")).count()
}

/// Whether a line of a trace is a write to where nothing may be written.
fn is_stray(line: &str, root: &Path) -> bool {
    let Some((call, rest)) = line.split_once('(') else {
        return false;
    };
    let call = call.rsplit(' ').next().unwrap_or_default();
    let reads = call.starts_with("open")
        && !["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
            .iter()
            .any(|f| rest.contains(f));
    let is_call = CALLS.split(['=', ',']).any(|name| name == call);
    if !is_call || reads || call == "execve" {
        return false;
    }
    let paths = paths(rest, root);
    assert!(!paths.is_empty(), "a call without a path: {line}");
    let mut allowed = ["out", "copy", "cache", "tmp"]
        .map(|name| root.join(name))
        .to_vec();
    // Locks and temporary files of an output are beside it.
    allowed.extend([PathBuf::from("/dev/null"), PathBuf::from("/dev/tty")]);
    let own = |path: &PathBuf| {
        let beside = path.parent() == Some(root)
            && path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.starts_with(".out") || name.starts_with(".copy") || name.starts_with(".pyoci")
            });
        beside || allowed.iter().any(|place| path.starts_with(place))
    };
    // What a symbolic link says is no place that is written to.
    let count = if call.starts_with("symlink") {
        paths.len().min(1)
    } else {
        0
    };
    !paths.iter().skip(count).all(own)
}

/// The paths among a call's arguments, absolute, `..` resolved by text.
fn paths(arguments: &str, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = arguments;
    let mut directory = root.to_owned();
    loop {
        let quote = rest.find('"');
        let angle = rest.find('<').filter(|at| quote.is_none_or(|quote| *at < quote));
        if let Some(at) = angle {
            let Some(end) = rest[at..].find('>') else { break };
            directory = PathBuf::from(&rest[at + 1..at + end]);
            rest = &rest[at + end + 1..];
            continue;
        }
        let Some(at) = quote else { break };
        let Some(end) = rest[at + 1..].find('"') else {
            break;
        };
        let name = &rest[at + 1..at + 1 + end];
        let mut path = PathBuf::new();
        for component in directory.join(name).components() {
            match component {
                std::path::Component::ParentDir => {
                    path.pop();
                }
                other => path.push(other),
            }
        }
        found.push(path);
        rest = &rest[at + end + 2..];
        // What comes after the result is no argument.
        if rest.starts_with(") = ") {
            break;
        }
    }
    found
}

#[test]
fn a_stray_write_is_seen() {
    let root = Path::new("/box");
    for line in [
        "12 openat(AT_FDCWD</box>, \"/etc/x\", O_WRONLY|O_CREAT, 0644) = 3</etc/x>",
        "12 openat(AT_FDCWD</box>, \"evil\", O_RDWR) = 3",
        "12 openat(AT_FDCWD</box>, \"out/../evil\", O_RDWR) = 3",
        "12 openat(7</etc>, \"x\", O_RDWR) = -1 ENOENT",
        "12 mkdir(\"app/x\", 0777) = 0",
        "12 symlink(\"/etc\", \"/box/l\") = 0",
        "12 rename(\"/box/out/x\", \"/usr/x\") = 0",
        "12 unlink(\"/box/app/main.py\") = 0",
    ] {
        assert!(is_stray(line, root), "{line}");
    }
    for line in [
        "12 openat(AT_FDCWD</box>, \"/etc/x\", O_RDONLY|O_CLOEXEC) = 3</etc/x>",
        "12 openat(AT_FDCWD</box>, \"out/x\", O_WRONLY|O_CREAT, 0644) = 3</box/out/x>",
        "12 symlink(\"/etc\", \"/box/out/l\") = 0",
        "12 openat(7</box/cache>, \"x\", O_RDWR) = 3",
        "12 execve(\"/usr/bin/git\", [\"git\"], 0x7 /* 4 vars */) = 0",
        "12 +++ exited with 0 +++",
    ] {
        assert!(!is_stray(line, root), "{line}");
    }
}
