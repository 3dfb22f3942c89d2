//! With the host's own interpreter, whatever its version.

use std::time::SystemTime;

use super::*;
use crate::environment::Environment;

fn host() -> Interpreter {
    #[allow(clippy::disallowed_methods, reason = "the test needs the host's python3")]
    let path = std::env::var("PATH").unwrap();
    let variables = [("PATH".to_owned(), path)];
    Interpreter::of_program(
        "python3",
        &Environment::new(variables, "/".into(), SystemTime::UNIX_EPOCH),
    )
    .unwrap()
    .0
}

fn sources() -> Tree {
    let mut tree = Tree::new();
    for (path, text) in [
        (
            "deps/a/__init__.py",
            "x = {'a', 'b', 'c'}\nassert 'q' in {'p', 'q'}\n",
        ),
        ("deps/a/broken.py", "def f(:\n"),
        ("deps/a/tests/t.py", "y = 1\n"),
        ("deps/b.py", "z = __file__\n"),
        ("deps/data.txt", "no code"),
    ] {
        let entry = Entry::file(Content::bytes(text.as_bytes()), false);
        tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
    }
    tree
}

#[test]
fn every_source_that_compiles_gets_byte_code_and_threads_make_no_difference() {
    let interpreter = host();
    let one = compile(sources(), &interpreter, 1).unwrap();
    let four = compile(sources(), &interpreter, 4).unwrap();
    assert_eq!(one.digest().unwrap(), four.digest().unwrap());
    let added: Vec<_> = one
        .iter()
        .map(|(p, _)| p.as_str().to_owned())
        .filter(|p| p.contains("__pycache__/"))
        .collect();
    let tag = &interpreter.cache_tag;
    let expected = [
        format!("deps/__pycache__/b.{tag}.pyc"),
        format!("deps/a/__pycache__/__init__.{tag}.pyc"),
    ];
    assert_eq!(added, expected);
    let code = one
        .get(&expected[0])
        .unwrap()
        .content()
        .unwrap()
        .read(10_000)
        .unwrap();
    // PEP 552: the flags say "hash-based, not checked".
    assert_eq!(code[4..8], [1, 0, 0, 0]);
    // The path of the source in the image, and nothing of this machine.
    assert!(code.windows(10).any(|w| w == b"/deps/b.py"));
}
