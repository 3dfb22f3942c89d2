//! What looks like a credential among the app's files or variables is told by file and line, and fails a strict build.

use crate::support::{Run, Sandbox, contents, run};

/// Looks made by a machine, and stands in no file of this repository.
fn token() -> String {
    ["gh", "p_"].concat() + "R4nd0mLqZk83vXwTjB6YsN1mPd5HcU9fGeA2"
}

struct Told {
    sandbox: Sandbox,
}

impl Told {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        sandbox.write("app/main.py", "print(1)\n");
        Self { sandbox }
    }

    fn build(&self, options: &[&str]) -> Run {
        let base = ["build", "app", "--base", "oci:base:base", "-o", "image"];
        run(self.sandbox.pyoci().args(base).args(options))
    }
}

#[test]
fn what_looks_like_a_credential_is_told_by_file_and_line_and_fails_a_strict_build() {
    let told = Told::new();
    let clean = told.build(&["--strict"]).succeeded().stdout;
    told.sandbox
        .write("app/settings.py", &format!("A = 1\nTOKEN = \"{}\"\n", token()));
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    let key = format!("KEY = '''-----BEGIN {}-----\n{body}\n'''\n", "PRIVATE KEY");
    told.sandbox.write("app/tests/keys.py", &key);
    told.sandbox
        .write("app/tests/public.pem", &key.replace("PRIVATE", "PUBLIC"));
    let warned = told.build(&[]).succeeded();
    for line in [
        "warning: settings.py:2 holds what looks like a GitHub token: leave the file out with `ignore = [\"/settings.py\"]`",
        "warning: tests/keys.py:1 holds what looks like a private key: ",
    ] {
        assert!(warned.stderr.contains(line), "{}", warned.stderr);
    }
    assert!(
        !warned.stderr.contains("R4nd0m") && !warned.stderr.contains(body),
        "{}",
        warned.stderr
    );
    assert!(!warned.stderr.contains("public.pem"), "{}", warned.stderr);
    let image = contents(&told.sandbox.path("image"));
    let strict = told.build(&["--strict"]).failed_with(1);
    let expected =
        "error: the project holds what looks like a credential, in 2 places\nhint: the warnings say where";
    assert!(strict.stderr.contains(expected), "{}", strict.stderr);
    assert_eq!(
        contents(&told.sandbox.path("image")),
        image,
        "the earlier image was touched"
    );
    let mut bundle = told.sandbox.pyoci();
    let bundled = run(bundle
        .args(["bundle", "app", "-o", "out"])
        .env("PYOCI_STRICT", "1"))
    .failed_with(1);
    assert!(bundled.stderr.contains(expected), "{}", bundled.stderr);
    // Kept on purpose, or left out: as the warning says.
    told.sandbox.write(
        "app/pyproject.toml",
        "[tool.pyoci]\ninclude = [\"/settings.py\"]\nignore = [\"/tests/keys.py\"]\n",
    );
    let kept = told.build(&["--strict"]).succeeded();
    assert!(!kept.stderr.contains("looks like"), "{}", kept.stderr);
    assert_ne!(kept.stdout, clean);
}

#[test]
fn a_variable_of_the_image_that_looks_like_a_credential_is_told() {
    let told = Told::new();
    let setting = format!("API={}", token());
    let warned = told.build(&["--env", &setting]).succeeded();
    let expected = "warning: the variable API holds what looks like a GitHub token, which everybody can read who has the image";
    assert!(
        warned.stderr.contains(expected) && !warned.stderr.contains("R4nd0m"),
        "{}",
        warned.stderr
    );
    told.build(&["--env", &setting, "--strict"]).failed_with(1);
}
