//! A cursor over the text of a requirement or marker.

/// Reads a text from the left; every step is a method that takes something or leaves the cursor where it is.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the cursor is, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes this many bytes of what was seen in [`Self::rest`].
    pub(super) fn skip(&mut self, length: usize) {
        self.at += length;
    }

    /// Takes spaces and tabs.
    pub(super) fn skip_space(&mut self) -> bool {
        !self.take_while(|c| c == ' ' || c == '\t').is_empty()
    }

    /// Takes characters as long as they are wanted.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Takes this text, if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let comes = self.rest().starts_with(text);
        if comes {
            self.at += text.len();
        }
        comes
    }

    /// Takes this word, if it comes next and is not the beginning of a longer one.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let after = self.rest().strip_prefix(word);
        let whole = after.is_some_and(|rest| !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()));
        whole && self.take(word)
    }
}
