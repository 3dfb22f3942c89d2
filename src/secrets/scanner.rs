//! Many credentials looked for at once, whatever their number and length, in bounded memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

/// Longer texts are found by so many bytes of their beginning: enough that nothing else begins so, and little to look for.
const LOOKED_FOR: usize = 512;
/// From so many bytes to look for on they are looked for in less memory, and slower.
const MANY: usize = 8 * 1024;
/// No command has more bytes of credentials to look for, in all their forms.
const MOST: usize = 1024 * 1024;
/// What stands for a text that may hold any of more credentials than that.
pub(super) const NOT_SHOWN: &str =
    "**** (not shown: the project holds more credentials than can be looked for in it)";

/// Looks for credentials in bytes and texts.
pub(super) struct Scanner {
    /// None where there is too much to look for: then everything may hold a credential.
    search: Option<AhoCorasick>,
    /// What is looked for, in the order of the patterns.
    patterns: Vec<Pattern>,
    /// The most bytes that are looked for at once.
    pub longest: usize,
}

/// The beginning of one or more forms.
struct Pattern {
    /// What it is.
    what: String,
    /// How the forms that are longer than what is looked for go on.
    rests: Vec<String>,
}

impl Scanner {
    /// What looks for these forms, each with what it is.
    pub fn of(forms: &BTreeMap<String, String>) -> Self {
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut texts: Vec<&str> = Vec::new();
        // Sorted: those that begin alike follow each other.
        for (form, what) in forms {
            let (begin, rest) = form.split_at(form.floor_char_boundary(LOOKED_FOR));
            if texts.last() != Some(&begin) {
                texts.push(begin);
                let (what, rests) = (what.clone(), Vec::new());
                patterns.push(Pattern { what, rests });
            }
            if let Some(pattern) = patterns.last_mut().filter(|_| !rest.is_empty()) {
                pattern.rests.push(rest.to_owned());
            }
        }
        let size: usize = texts.iter().map(|text| text.len()).sum();
        let search = || {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .kind((size > MANY).then_some(AhoCorasickKind::ContiguousNFA))
                .build(&texts)
        };
        Self {
            search: (size <= MOST).then(|| search().ok()).flatten(),
            longest: texts.iter().map(|text| text.len()).max().unwrap_or(1),
            patterns,
        }
    }

    /// The first credential in the bytes: what it is, and where.
    pub fn find(&self, bytes: &[u8]) -> Option<(String, u64)> {
        let Some(search) = &self.search else {
            let what =
                "perhaps one of the credentials that were found, which are too many to look for".to_owned();
            return (!bytes.is_empty()).then_some((what, 0));
        };
        let found = search.find(bytes)?;
        let what = self.patterns.get(found.pattern().as_usize());
        let what = what.map(|pattern| pattern.what.clone());
        Some((what.unwrap_or_default(), found.start() as u64))
    }

    /// The text with `****` in the place of every credential.
    pub fn redacted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(search) = &self.search else {
            return Cow::Borrowed(NOT_SHOWN);
        };
        let mut out = String::new();
        let mut at = 0;
        while let Some(found) = search.find(Input::new(text).range(at..)) {
            out.push_str(&text[at..found.start()]);
            out.push_str("****");
            let pattern = self.patterns.get(found.pattern().as_usize());
            let rests = pattern.map(|pattern| &pattern.rests).into_iter().flatten();
            let more = rests.map(|rest| in_common(rest, &text[found.end()..])).max();
            at = text.ceil_char_boundary(found.end() + more.unwrap_or(0));
        }
        if at == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[at..]);
        Cow::Owned(out)
    }
}

/// How many bytes two texts have in common at their beginning.
fn in_common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}
