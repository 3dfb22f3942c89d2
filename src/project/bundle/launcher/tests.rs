use super::*;
use crate::paths::TreePath;
use crate::tree::{Content, Entry};

fn start(command: &[&str], files: &[(&str, &str)], first: (u32, u32)) -> (String, Directory) {
    let mut tree = Tree::new();
    for (path, text) in files {
        let entry = Entry::file(Content::bytes(text.as_bytes()), true);
        tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
    }
    let needs = Needs {
        first,
        last: None,
        architecture: None,
        libc: None,
    };
    let command: Vec<String> = command.iter().map(ToString::to_string).collect();
    let launcher = Launcher {
        needs: &needs,
        interpreter: "python3",
        command: &command,
        directory: None,
        env: &BTreeMap::new(),
        files: &tree,
        stamp: None,
    };
    (launcher.start(), launcher.directory())
}

#[test]
fn scripts_of_the_project_start_where_their_caller_is() {
    let (text, directory) = start(&["python3", "src/main.py"], &[("app/src/main.py", "")], (3, 9));
    assert_eq!(directory, Directory::Caller);
    assert_eq!(
        text,
        "set -- \"$pyoci_python\" \"$pyoci_here\"/app/src/main.py \"$@\"\nexec \"$@\"\n"
    );
    let script = "#!/usr/bin/env python3\n";
    let (text, directory) = start(&["greet"], &[("app/.pyoci/bin/greet", script)], (3, 9));
    assert_eq!(directory, Directory::Caller);
    assert!(text.starts_with("set -- \"$pyoci_python\" \"$pyoci_here\"/app/.pyoci/bin/greet"));
    let package = [("app/hello/__main__.py", "")];
    let (text, directory) = start(&["python3", "-m", "hello"], &package, (3, 11));
    assert_eq!(directory, Directory::Caller);
    assert!(text.contains(" -P -m hello "), "{text}");
    assert_eq!(
        start(&["python3", "-m", "hello"], &package, (3, 9)).1,
        Directory::App
    );
}

#[test]
fn servers_start_in_the_directory_of_the_project() {
    let command = [
        "A=1 2",
        "python3",
        "-m",
        "uvicorn",
        "main:app",
        "--port",
        "${PORT:-8000}",
    ];
    let (text, directory) = start(&command, &[("app/main.py", "")], (3, 13));
    assert_eq!(directory, Directory::App);
    assert_eq!(
        text,
        "set -- \"$pyoci_python\" -m uvicorn main:app --port \"${PORT:-8000}\" \"$@\"\n\
         A='1 2'\nexport A\ncd \"$pyoci_here/app\" || exit\nexec \"$@\"\n"
    );
    let gunicorn = [("python_deps/bin/gunicorn", "#!/usr/bin/env python3\n")];
    let (text, _) = start(&["gunicorn", "app:app"], &gunicorn, (3, 13));
    assert!(text.starts_with("set -- \"$pyoci_python\" \"$pyoci_here\"/python_deps/bin/gunicorn app:app"));
    let (text, _) = start(&["ruff"], &[("python_deps/bin/ruff", "\x7fELF")], (3, 13));
    assert!(text.starts_with("set -- \"$pyoci_here\"/python_deps/bin/ruff \"$@\""));
}

/// The image's entrypoint and the shells say what a word means: they must agree.
#[test]
fn words_mean_what_the_entrypoint_makes_of_them() {
    let environment = [("PORT", "80"), ("EMPTY", ""), ("Q", "a'b\"c $PORT `x` \\")];
    let words = [
        "$PORT",
        "${PORT}",
        "$$PORT",
        "$",
        "a$",
        "$1",
        "${",
        "${PORT",
        "${PORT-x}",
        "${}",
        "x${EMPTY:-y}z",
        "${NONE:-a b}",
        "${NONE:-${EMPTY:-${PORT}}}",
        "$NONE",
        "${NONE:-it's \"so\"}",
        "`id`\\\"$Q\"",
        "${NONE:-a\\b}",
        "'$Q'",
        "$PORT$PORT-$PORTX",
        "é${NONE:-ü}",
        "${NONE:-}",
        "~ * $NONE",
        "${NONE:-$$x}",
        "a\nb$PORT\n",
    ];
    let entrypoint = concat!(env!("CARGO_MANIFEST_DIR"), "/src/project/runtime/entrypoint.py");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(arguments).env_clear().envs(environment);
        let path = std::process::Command::new("sh")
            .args(["-c", "printf %s \"$PATH\""])
            .output();
        command.env("PATH", String::from_utf8(path.unwrap().stdout).unwrap());
        let output = command.output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    for word in words {
        let expected = run("python3", &[entrypoint, "--expand=3", "printf", "%s", word]).unwrap();
        let script = format!("printf %s {}", expanded(word));
        for shell in [&["sh"][..], &["dash"], &["bash", "--posix"], &["busybox", "sh"]] {
            let mut arguments = shell[1..].to_vec();
            arguments.extend(["-c", &script]);
            if let Some(found) = run(shell[0], &arguments) {
                assert_eq!(found, expected, "{word:?} as {script:?} in {shell:?}");
            }
        }
    }
}
