//! The credentials that a command holds, and the gate: whatever is written is scanned for them.

mod scanner;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use self::scanner::Scanner;

/// Shorter texts are found everywhere. In bytes.
const SHORTEST: usize = 6;
/// From this length on a text of one kind of characters is no word and no number.
const LONG: usize = 12;
/// What RFC 3986 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// User names that say which kind of password follows: no secrets where they stand alone.
const PUBLIC_USERS: [&str; 9] = [
    "__token__",
    "_json_key",
    "_json_key_base64",
    "anonymous",
    "git",
    "oauth2",
    "oauth2accesstoken",
    "x-access-token",
    "x-oauth-basic",
];

/// A credential in something that is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} holds {what}")]
pub struct Leak {
    /// The file or document.
    pub place: String,
    /// Which credential, in words that do not give it away.
    pub what: String,
}

impl Leak {
    /// What the user can do.
    pub fn hint(&self) -> String {
        "give it by netrc, a variable (`${NAME}` in requirements) or UV_INDEX_<NAME>_PASSWORD instead, or leave the file out with `ignore` or `exclude` of [tool.pyoci]".to_owned()
    }
}

/// All credentials that a command has read, wherever it read them. Cheap to clone; clones share what they hold.
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<Held>>);

#[derive(Default)]
struct Held {
    /// What is looked for, and what it is.
    forms: BTreeMap<String, String>,
    /// Made when it is asked for: credentials come one after another.
    scanner: Option<Arc<Scanner>>,
}

impl Secrets {
    /// Holds a password or token. `what` says which it is, e.g. `the password of index.example`; with the user that it
    /// belongs to it is known in the forms of HTTP and URLs too.
    ///
    /// A password of fewer than 6 characters, and one of fewer than 12 that are all lower case, all upper case or all
    /// digits, is a word or number that files have by chance: it is looked for only together with its user or as part
    /// of a URL.
    pub fn hold(&self, what: &str, user: Option<&str>, password: &str) {
        let forms: Vec<String> = forms(user, password)
            .into_iter()
            .filter(|form| form.len() >= SHORTEST)
            .collect();
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.forms.len();
        for form in forms {
            held.forms.entry(form).or_insert_with(|| what.to_owned());
        }
        if held.forms.len() > before {
            held.scanner = None;
        }
    }

    /// Holds the password of a URL, or its user where that is a token; `${NAME}` is no password yet.
    pub fn hold_url(&self, url: &Url) {
        let host = url.host_str().unwrap_or_default();
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decode(url.username());
        let is_variable = |text: &str| decode(text).contains("${");
        if is_variable(url.username()) || url.password().is_some_and(is_variable) {
            return;
        }
        match url.password().filter(|password| !password.is_empty()) {
            Some(password) => {
                let what = format!("the password of {host}");
                self.hold(&what, Some(&user), &decode(password));
                // As it is spelled there, which may be another way of encoding it.
                self.hold_text(&what, password);
            }
            None if user.is_empty() || PUBLIC_USERS.contains(&&*user) => {}
            None => self.hold(&format!("the token of {host}"), None, &user),
        }
    }

    /// Holds the passwords of all URLs in a text, parted by white space, commas, quotes or `NAME=`.
    pub fn hold_urls(&self, text: &str) {
        for word in text.split(|c: char| c.is_whitespace() || "\"'<>,;".contains(c)) {
            if !word.contains('@') {
                continue;
            }
            let Some(at) = word.find("://") else { continue };
            let is_before = |(_, c): &(usize, char)| !c.is_ascii_alphanumeric() && !"+-.".contains(*c);
            let before = word[..at].char_indices().rfind(is_before);
            let scheme = before.map_or(0, |(before, c)| before + c.len_utf8());
            if let Ok(url) = word[scheme..].parse() {
                self.hold_url(&url);
            }
        }
    }

    fn hold_text(&self, what: &str, text: &str) {
        self.hold(what, None, text);
    }

    /// Whether nothing is held: nothing needs to be scanned.
    pub fn is_empty(&self) -> bool {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.forms.is_empty()
    }

    fn scanner(&self) -> Option<Arc<Scanner>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if held.forms.is_empty() || held.scanner.is_some() {
            return held.scanner.clone();
        }
        drop(held);
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.scanner.is_none() {
            held.scanner = Some(Arc::new(Scanner::of(&held.forms)));
        }
        held.scanner.clone()
    }

    /// Fails if bytes hold a credential; `place` names them.
    pub fn check(&self, place: &str, bytes: &[u8]) -> Result<(), Leak> {
        match self.watch().and_then(|mut watch| watch.push(bytes)) {
            Some(hit) => Err(hit.leak(place)),
            None => Ok(()),
        }
    }

    /// The text with `****` in the place of every credential.
    pub fn redacted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.scanner() {
            Some(scanner) => scanner.redacted(text),
            None => Cow::Borrowed(text),
        }
    }

    /// A scan of bytes that come in pieces; none if nothing is held.
    pub fn watch(&self) -> Option<Watch> {
        Some(Watch {
            scanner: self.scanner()?,
            tail: Vec::new(),
            seen: 0,
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(****)")
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({} bytes seen)", self.seen)
    }
}

/// A scan under way: what is split between two pieces is found too.
#[derive(Clone)]
pub struct Watch {
    scanner: Arc<Scanner>,
    /// The last bytes seen: one fewer than the longest form has.
    tail: Vec<u8>,
    seen: u64,
}

/// Where a credential was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which one, in words that do not give it away.
    pub what: String,
    /// Where its first byte is, counted from the first that was seen.
    pub offset: u64,
}

impl Hit {
    /// The error that names a place.
    pub fn leak(self, place: &str) -> Leak {
        Leak {
            place: place.to_owned(),
            what: self.what,
        }
    }
}

impl Watch {
    /// Scans the next bytes; gives the first credential found.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Hit> {
        let keep = self.scanner.longest - 1;
        let hit = self.across(&bytes[..bytes.len().min(keep)]).or_else(|| {
            let found = self.scanner.find(bytes)?;
            Some((found.0, self.seen + found.1))
        });
        if bytes.len() >= keep {
            self.tail.clear();
        }
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(keep)..]);
        let extra = self.tail.len().saturating_sub(keep);
        self.tail.drain(..extra);
        self.seen += bytes.len() as u64;
        hit.map(|(what, offset)| Hit { what, offset })
    }

    /// Looks where the last piece ends and this one begins.
    fn across(&self, begin: &[u8]) -> Option<(String, u64)> {
        if self.tail.is_empty() || begin.is_empty() {
            return None;
        }
        let joined = [&self.tail, begin].concat();
        let (what, at) = self.scanner.find(&joined)?;
        Some((what, self.seen - self.tail.len() as u64 + at))
    }
}

/// Whether a text is found nowhere by chance.
fn is_telling(text: &str) -> bool {
    let kinds = [
        text.bytes().any(|b| b.is_ascii_lowercase()),
        text.bytes().any(|b| b.is_ascii_uppercase()),
        text.bytes().any(|b| b.is_ascii_digit()),
        text.bytes().any(|b| !b.is_ascii_alphanumeric()),
    ];
    let kinds = kinds.into_iter().filter(|found| *found).count();
    text.len() >= SHORTEST && (kinds > 1 || text.len() >= LONG)
}

/// The texts in which a credential may turn up: as it is, percent-encoded (RFC 3986), in JSON and TOML strings, in Base64 with and
/// without its user (RFC 7617).
fn forms(user: Option<&str>, password: &str) -> Vec<String> {
    let mut forms = Vec::new();
    let encoded = utf8_percent_encode(password, ENCODED).to_string();
    let spelled = [
        password.to_owned(),
        encoded.clone(),
        encoded_in_lower_case(&encoded),
        serde_json::Value::from(password)
            .to_string()
            .trim_matches('"')
            .to_owned(),
    ];
    if is_telling(password) {
        forms.extend(spelled.iter().cloned());
        forms.push(STANDARD_NO_PAD.encode(password));
        forms.push(URL_SAFE_NO_PAD.encode(password));
    }
    if !password.is_empty()
        && let Some(user) = user
    {
        let pair = format!("{user}:{password}");
        forms.push(STANDARD_NO_PAD.encode(&pair));
        forms.push(URL_SAFE_NO_PAD.encode(&pair));
        forms.push(pair);
        forms.extend(spelled.iter().map(|text| format!(":{text}@")));
    }
    forms
}

/// `%2F` as `%2f`.
fn encoded_in_lower_case(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at(part.len().min(2));
        out.push('%');
        out.push_str(&hex.to_ascii_lowercase());
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::scanner::NOT_SHOWN;
    use super::*;

    fn held(user: &str, password: &str) -> Secrets {
        let secrets = Secrets::default();
        secrets.hold("the password of h", Some(user), password);
        secrets
    }

    #[test]
    fn every_form_of_a_password_is_found_and_named_without_it() {
        let secrets = held("me", "s3/cr\"t+x");
        for text in [
            "x s3/cr\"t+x y",
            "https://me:s3%2Fcr%22t%2Bx@h/",
            "https://me:s3%2fcr%22t%2bx@h/",
            r#"{"p": "s3/cr\"t+x"}"#,
            &format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode("me:s3/cr\"t+x")
            ),
        ] {
            let leak = secrets.check("a file", text.as_bytes()).unwrap_err();
            assert_eq!(leak.to_string(), "a file holds the password of h", "{text}");
            assert!(secrets.redacted(text).contains("****"));
            assert_eq!(secrets.check("a file", secrets.redacted(text).as_bytes()), Ok(()));
        }
        assert_eq!(secrets.check("a file", b"s3/cr"), Ok(()));
        assert!(!format!("{secrets:?}").contains("s3"));
    }

    #[test]
    fn a_password_that_is_a_word_is_found_only_where_it_is_one() {
        for word in ["password", "123456", "a", "SECRET"] {
            let secrets = held("me", word);
            assert_eq!(
                secrets.check("f", format!("def {word}(): 123456").as_bytes()),
                Ok(())
            );
            if word.len() > 3 {
                assert!(
                    secrets
                        .check("f", format!("http://you:{word}@h").as_bytes())
                        .is_err()
                );
                assert!(
                    secrets
                        .check("f", STANDARD_NO_PAD.encode(format!("me:{word}")).as_bytes())
                        .is_err()
                );
            }
        }
    }

    #[test]
    fn urls_give_passwords_and_tokens_and_no_public_users() {
        let secrets = Secrets::default();
        for url in ["https://git@h/x", "https://__token__@h/", "https://me:${P}@h/"] {
            secrets.hold_url(&url.parse().unwrap());
        }
        assert!(secrets.is_empty());
        secrets.hold_url(&"https://ghp_0123abc@github.example/x".parse().unwrap());
        secrets.hold_url(&"https://me:p%40ss-w0rd@h/".parse().unwrap());
        for text in ["ghp_0123abc", "p@ss-w0rd", "p%40ss-w0rd"] {
            assert!(secrets.check("f", text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_is_found_behind_any_character() {
        let secrets = Secrets::default();
        secrets.hold_urls("é\u{fffd}https://u:pass-word-1@h/x");
        assert!(secrets.check("x", b"pass-word-1").is_err());
    }

    /// A text without any pattern.
    fn long(length: usize) -> String {
        let hash = |n: usize| crate::digest::Digest::of(&n.to_le_bytes()).hex();
        let text: String = (0..=length / 64).map(hash).collect();
        text[..length].to_owned()
    }

    #[test]
    fn a_long_password_is_found_by_its_beginning_and_goes_as_a_whole() {
        for length in [511, 512, 513, 5000, 100_000] {
            let password = long(length);
            let secrets = held("me", &password);
            let other = format!("{}é{}", &password[..length / 2], long(60));
            secrets.hold("another", None, &other);
            for text in [format!("a {password} b"), format!("https://me:{password}@h/é")] {
                assert!(secrets.check("f", text.as_bytes()).is_err(), "{length}");
                let shown = secrets.redacted(&text);
                assert!(
                    shown.contains("****") && !shown.contains(&password[length - 8..]),
                    "{shown}"
                );
                assert!(shown.ends_with(" b") || shown.ends_with("é"), "{shown}");
            }
            let text = format!("é{other}{password}");
            assert_eq!(secrets.redacted(&text), "é********");
            assert_eq!(secrets.check("f", &password.as_bytes()[1..]), Ok(()), "{length}");
        }
    }

    #[test]
    fn where_there_is_too_much_to_look_for_nothing_is_shown_or_written() {
        let secrets = Secrets::default();
        let text: Vec<String> = (0..2000)
            .map(|n| format!("https://u:{n}{}@h/", &long(300)[..299]))
            .collect();
        secrets.hold_urls(&text.join(" "));
        assert!(
            secrets
                .check("f", b"anything")
                .unwrap_err()
                .to_string()
                .contains("too many to look for")
        );
        assert_eq!(secrets.redacted("anything"), NOT_SHOWN);
    }

    #[test]
    fn nothing_held_is_nothing_watched() {
        assert!(Secrets::default().watch().is_none());
        assert!(matches!(Secrets::default().redacted("x"), Cow::Borrowed("x")));
    }

    proptest! {
        #[test]
        fn what_is_split_between_pieces_is_found_where_it_begins(
            before in "[a-z]{0,40}", after in "[a-z]{0,40}", sizes in proptest::collection::vec(1_usize..12, 1..40),
        ) {
            let text = format!("{before}T0k3n-of-me{after}");
            let mut watch = held("me", "T0k3n-of-me").watch().unwrap();
            let (mut rest, mut hit) = (text.as_bytes(), None);
            let mut sizes = sizes.into_iter().cycle();
            while !rest.is_empty() {
                let (piece, left) = rest.split_at(rest.len().min(sizes.next().unwrap()));
                hit = hit.or(watch.push(piece));
                rest = left;
            }
            prop_assert_eq!(hit.unwrap().offset, before.len() as u64);
        }
    }
}
