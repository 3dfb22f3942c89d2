//! Private keys and tokens of well-known services among the files of an app: found by their shape, told by their place.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::tree::{Content, Tree};

/// Something that looks like a credential. The value itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// The file, at its path in the tree.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What it looks like, e.g. `a GitHub token`.
    pub what: &'static str,
}

/// What a credential looks like after the text that it begins with.
#[derive(Clone, Copy)]
enum Form {
    /// So many characters of base62 or more.
    Alphanumeric(usize),
    /// So many of base64 for URLs or more.
    UrlSafe(usize),
    /// Exactly so many of base64 for URLs.
    ExactlyUrlSafe(usize),
    /// Exactly so many of base32.
    ExactlyBase32(usize),
    /// The body of a PEM block (RFC 7468), perhaps quoted and escaped.
    Pem,
}

struct Shape(&'static str, Form, &'static str);

/// The shapes, as the services document them. No JWT: tests and documentation are full of worthless ones.
const SHAPES: [Shape; 40] = [
    Shape("-----BEGIN PRIVATE KEY-----", Form::Pem, "a private key"),
    Shape("-----BEGIN RSA PRIVATE KEY-----", Form::Pem, "a private key"),
    Shape("-----BEGIN EC PRIVATE KEY-----", Form::Pem, "a private key"),
    Shape("-----BEGIN DSA PRIVATE KEY-----", Form::Pem, "a private key"),
    Shape("-----BEGIN OPENSSH PRIVATE KEY-----", Form::Pem, "a private key"),
    Shape(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        Form::Pem,
        "a private key",
    ),
    Shape(
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        Form::Pem,
        "a private key",
    ),
    Shape("AGE-SECRET-KEY-1", Form::Alphanumeric(58), "a private key"),
    Shape("AKIA", Form::ExactlyBase32(16), "an AWS access key"),
    Shape("ASIA", Form::ExactlyBase32(16), "an AWS access key"),
    Shape("ghp_", Form::Alphanumeric(36), "a GitHub token"),
    Shape("gho_", Form::Alphanumeric(36), "a GitHub token"),
    Shape("ghu_", Form::Alphanumeric(36), "a GitHub token"),
    Shape("ghs_", Form::Alphanumeric(36), "a GitHub token"),
    Shape("ghr_", Form::Alphanumeric(36), "a GitHub token"),
    Shape("github_pat_", Form::UrlSafe(80), "a GitHub token"),
    Shape("glpat-", Form::UrlSafe(20), "a GitLab token"),
    Shape("gldt-", Form::UrlSafe(20), "a GitLab token"),
    Shape("glrt-", Form::UrlSafe(20), "a GitLab token"),
    Shape("xoxb-", Form::UrlSafe(24), "a Slack token"),
    Shape("xoxp-", Form::UrlSafe(24), "a Slack token"),
    Shape("xoxa-", Form::UrlSafe(24), "a Slack token"),
    Shape("xoxr-", Form::UrlSafe(24), "a Slack token"),
    Shape("xoxs-", Form::UrlSafe(24), "a Slack token"),
    Shape("xapp-1-", Form::UrlSafe(24), "a Slack token"),
    Shape("pypi-AgE", Form::UrlSafe(50), "a PyPI token"),
    Shape("npm_", Form::Alphanumeric(36), "an npm token"),
    Shape("dckr_pat_", Form::UrlSafe(24), "a Docker Hub token"),
    Shape("AIza", Form::ExactlyUrlSafe(35), "a Google API key"),
    Shape("GOCSPX-", Form::UrlSafe(28), "a Google client secret"),
    Shape("sk_live_", Form::Alphanumeric(24), "a Stripe key"),
    Shape("rk_live_", Form::Alphanumeric(24), "a Stripe key"),
    Shape("hf_", Form::Alphanumeric(34), "a Hugging Face token"),
    Shape("sk-ant-", Form::UrlSafe(60), "an Anthropic key"),
    Shape("sk-proj-", Form::UrlSafe(40), "an OpenAI key"),
    Shape("sk-svcacct-", Form::UrlSafe(40), "an OpenAI key"),
    Shape("dop_v1_", Form::Alphanumeric(64), "a DigitalOcean token"),
    Shape("shpat_", Form::Alphanumeric(32), "a Shopify token"),
    Shape("hvs.", Form::UrlSafe(80), "a Vault token"),
    Shape(
        "https://hooks.slack.com/services/T",
        Form::Alphanumeric(8),
        "a Slack webhook",
    ),
];

/// Words that stand in documentation and tests where a value would be.
const STAND_INS: [&str; 7] = [
    "example",
    "placeholder",
    "redacted",
    "your",
    "dummy",
    "fake",
    "xxxx",
];
/// The bytes after the head of a PEM block in which its body begins.
const PEM_WINDOW: usize = 400;
/// A line of a PEM block has 64 characters; whoever breaks them otherwise breaks them later.
const PEM_RUN: usize = 40;
/// The bytes at the start of a file that tell whether it is text.
const START: usize = 1024;

/// From so many bytes on the automaton that is searched by faster is worth the time that it takes to be made.
const MANY: u64 = 1 << 20;

/// What finds the beginnings of all shapes in few bytes, and what in many.
static FEW: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| search(AhoCorasickKind::ContiguousNFA));
static FAST: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| search(AhoCorasickKind::DFA));

fn search(kind: AhoCorasickKind) -> Option<AhoCorasick> {
    let starts = SHAPES.iter().map(|shape| shape.0);
    let builder = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(kind))
        .build(starts);
    builder.ok()
}

/// The text files of a tree that hold what looks like a credential, each with the first line that does. Only contents that
/// are in memory are looked at.
pub fn exposed(tree: &Tree) -> Vec<Exposed> {
    let files = tree.iter().filter_map(|(path, entry)| match entry.content() {
        Some(Content::Bytes(bytes)) => Some((path, bytes)),
        _ => None,
    });
    let search = if tree.size() < MANY { &FEW } else { &FAST };
    files
        .filter_map(|(path, bytes)| {
            let (line, what) = first_by(search.as_ref()?, bytes)?;
            let path = path.to_string();
            Some(Exposed { path, line, what })
        })
        .collect()
}

/// The line and kind of the first thing in a text that looks like a credential.
pub fn first(bytes: &[u8]) -> Option<(usize, &'static str)> {
    first_by(FEW.as_ref()?, bytes)
}

fn first_by(search: &AhoCorasick, bytes: &[u8]) -> Option<(usize, &'static str)> {
    if bytes[..bytes.len().min(START)].contains(&0) {
        return None;
    }
    let found = search.find_iter(bytes).find_map(|found| {
        let Shape(start, form, what) = &SHAPES[found.pattern().as_usize()];
        let begins = start.starts_with('-')
            || found.start() == 0
            || !(bytes[found.start() - 1].is_ascii_alphanumeric() || bytes[found.start() - 1] == b'_');
        (begins && form.fits(&bytes[found.end()..])).then_some((found.start(), *what))
    });
    let (at, what) = found?;
    let line = bytes[..at].split(|byte| *byte == b'\n').count();
    Some((line, what))
}

impl Form {
    /// Whether what follows completes a credential.
    fn fits(self, rest: &[u8]) -> bool {
        let run = |is_part: fn(&u8) -> bool| {
            let length = rest.iter().take_while(|byte| is_part(byte)).count();
            &rest[..length]
        };
        let url_safe: fn(&u8) -> bool = |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match self {
            Self::Alphanumeric(least) => {
                let text = run(u8::is_ascii_alphanumeric);
                text.len() >= least && is_random(text)
            }
            Self::UrlSafe(least) => {
                let text = run(url_safe);
                text.len() >= least && is_random(text)
            }
            Self::ExactlyUrlSafe(length) => {
                let text = run(url_safe);
                text.len() == length && is_random(text)
            }
            Self::ExactlyBase32(length) => {
                let text = run(u8::is_ascii_alphanumeric);
                let is_base32 = |byte: &u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(byte);
                text.len() == length && text.iter().all(is_base32) && is_random(text)
            }
            Self::Pem => holds_body(&rest[..rest.len().min(PEM_WINDOW)]),
        }
    }
}

/// Whether the body of a PEM block begins here, behind line ends, escapes, quotes and the headers of RFC 1421.
fn holds_body(window: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let end = window.windows(5).position(|five| five == b"-----");
    let body = &window[..end.unwrap_or(window.len())];
    // `\n` as JSON and Python spell it ends a run too: the `n` of it belongs to none.
    let mut runs = body.split(|byte| !is_part(byte));
    runs.any(|run| run.len() >= PEM_RUN && is_random(run))
}

/// Whether a text was made by a machine and not typed by somebody who had to write something: `xxxxxxxx`, `12345678`,
/// `EXAMPLE`.
fn is_random(text: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in text {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let repeats = text
        .windows(5)
        .any(|five| five.iter().all(|byte| *byte == five[0]));
    let climbs = text
        .windows(6)
        .any(|six| six.windows(2).all(|two| two[1] == two[0].wrapping_add(1)));
    let lower = text.to_ascii_lowercase();
    let stands_in = STAND_INS.iter().any(|word| {
        let word = word.as_bytes();
        lower.windows(word.len()).any(|part| part == word)
    });
    distinct >= 8 && !repeats && !climbs && !stands_in
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::TreePath;
    use crate::tree::Entry;

    /// Text that looks made by a machine; written so, no file of this repository holds what it looks for.
    fn random(length: usize) -> String {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length)
            .map(|_| char::from(letters[next() as usize % letters.len()]))
            .collect()
    }

    fn base32(length: usize) -> String {
        random(400)
            .chars()
            .filter(|c| c.is_ascii_uppercase() || ('2'..='7').contains(c))
            .take(length)
            .collect()
    }

    fn found(text: &str) -> Option<&'static str> {
        first(text.as_bytes()).map(|(_, what)| what)
    }

    #[test]
    fn every_shape_is_found_in_the_middle_of_a_line() {
        for Shape(start, form, what) in &SHAPES {
            let rest = match form {
                Form::Alphanumeric(length) | Form::UrlSafe(length) | Form::ExactlyUrlSafe(length) => {
                    random(*length)
                }
                Form::ExactlyBase32(length) => base32(*length),
                Form::Pem => format!("\n{}\n{}", random(64), start.replace("BEGIN", "END")),
            };
            let text = format!("# one\nKEY = \"{start}{rest}\"\n");
            assert_eq!(first(text.as_bytes()), Some((2, *what)), "{start}");
        }
    }

    #[test]
    fn private_keys_are_found_however_they_are_quoted() {
        let (head, foot) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
        let line = random(64);
        for text in [
            format!("{head}\r\n{line}\r\n{foot}"),
            format!("{{\"private_key\": \"{head}\\n{line}\\n{foot}\\n\"}}"),
            format!("KEY = (\"{head}\\n\"\n    \"{line}\\n\"\n    \"{foot}\")"),
            format!(
                "{head}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{}\n\n{line}\n",
                "0A1B2C3D"
            ),
            format!("  key: |\n    {head}\n    {line}\n    {foot}"),
        ] {
            assert_eq!(found(&text), Some("a private key"), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        let line = random(64);
        for text in [
            format!("-----BEGIN CERTIFICATE-----\n{line}\n"),
            format!("-----BEGIN PUBLIC KEY-----\n{line}\n"),
            format!("ssh-ed25519 {line} me@host"),
            "if b\"-----BEGIN RSA PRIVATE KEY-----\" in text:\n    raise ValueError".to_owned(),
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n".to_owned() + &line,
            format!("-----BEGIN PRIVATE KEY-----\n{}\n", "x".repeat(64)),
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            format!("AKIA{}", "A".repeat(16)),
            format!("x{}", ["AK", "IA"].concat() + &base32(16)),
            ["AK", "IA"].concat() + &base32(17),
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
            ["gh", "p_"].concat() + &random(20),
            "from huggingface_hub import hf_hub_download_and_verify_everything".to_owned(),
            ["AI", "za"].concat() + &random(60),
            ["sk_", "test_"].concat() + &random(24),
            "glpat-YOUR-TOKEN-GOES-IN-HERE".to_owned(),
        ] {
            assert_eq!(found(&text), None, "{text}");
        }
        let binary = [&[0][..], ["gh", "p_"].concat().as_bytes(), random(36).as_bytes()].concat();
        assert_eq!(first(&binary), None);
        assert_eq!(first(b""), None);
    }

    #[test]
    fn each_file_is_told_once_with_its_first_line() {
        let token = ["gh", "p_"].concat() + &random(36);
        let mut tree = Tree::new();
        let mut put = |path: &str, text: String| {
            let entry = Entry::file(Content::bytes(text.into_bytes()), false);
            tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
        };
        put("a/b.py", format!("\n\nT = '{token}'\nU = '{token}'\n"));
        put("a/c.py", "print()\n".to_owned());
        let exposed = exposed(&tree);
        assert_eq!(exposed.len(), 1);
        assert_eq!((exposed[0].path.as_str(), exposed[0].line), ("a/b.py", 3));
    }
}
