//! The text of a requirements file as logical lines: decoded, joined, without comments, variables expanded.

/// Decodes a file as pip does: by its byte order mark, by a PEP 263 line, else as UTF-8. The error is the name of the
/// encoding that it does not have.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
    let wrong = |encoding: &str| encoding.to_owned();
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return decode_utf8(rest).ok_or(wrong("UTF-8"));
    }
    // UTF-32's little-endian mark begins with UTF-16's.
    for (mark, big) in [(b"\xff\xfe\0\0", false), (b"\0\0\xfe\xff", true)] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            return decode_utf32(rest, big).ok_or(wrong("UTF-32"));
        }
    }
    for (mark, big) in [(b"\xff\xfe", false), (b"\xfe\xff", true)] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            return decode_utf16(rest, big).ok_or(wrong("UTF-16"));
        }
    }
    let declared = bytes.split(|b| *b == b'\n').take(2).find_map(declared_encoding);
    let encoding = declared.unwrap_or_else(|| "utf-8".to_owned());
    let decoded = match encoding.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "utf-8-sig" | "u8" => decode_utf8(bytes),
        "ascii" | "us-ascii" => decode_utf8(bytes).filter(|t| t.is_ascii()),
        "latin-1" | "latin1" | "iso-8859-1" | "l1" => Some(bytes.iter().map(|b| char::from(*b)).collect()),
        _ => None,
    };
    decoded.ok_or(encoding)
}

fn decode_utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn decode_utf16(bytes: &[u8], big: bool) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| {
        if big {
            u16::from_be_bytes(*unit)
        } else {
            u16::from_le_bytes(*unit)
        }
    });
    let text = char::decode_utf16(units).collect::<Result<String, _>>().ok();
    text.filter(|_| rest.is_empty())
}

fn decode_utf32(bytes: &[u8], big: bool) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<4>();
    let units = units.iter().map(|unit| {
        if big {
            u32::from_be_bytes(*unit)
        } else {
            u32::from_le_bytes(*unit)
        }
    });
    let text = units.map(char::from_u32).collect::<Option<String>>();
    text.filter(|_| rest.is_empty())
}

/// The name after `coding:` or `coding=` in a comment (PEP 263).
fn declared_encoding(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok().filter(|l| l.starts_with('#'))?;
    line.match_indices("coding").find_map(|(at, word)| {
        let rest = line[at + word.len()..].strip_prefix([':', '='])?.trim_start();
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
        let name = &rest[..length.unwrap_or(rest.len())];
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// The logical lines that are not empty, with the number of their first physical line.
pub(super) fn logical_lines(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<(usize, String)> {
    let joined = join(&split(text)).into_iter();
    joined
        .filter_map(|(number, line)| {
            let line = without_comment(&line).trim();
            (!line.is_empty()).then(|| (number, expand(line, variable)))
        })
        .collect()
}

/// Physical lines as Python's `str.splitlines` gives them.
fn split(text: &str) -> Vec<&str> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ENDS) {
        let (line, ending) = rest.split_at(at);
        lines.push(line);
        let length = if ending.starts_with("\r\n") {
            2
        } else {
            ending.chars().next().map_or(0, char::len_utf8)
        };
        rest = &ending[length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// > A line ending in an unescaped `\` is treated as a line continuation and the newline following it is effectively
/// > ignored. [...] comments are stripped after line continuations are processed.
fn join(lines: &[&str]) -> Vec<(usize, String)> {
    let mut joined = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in lines.iter().enumerate() {
        let comment = line.trim_start().starts_with('#');
        let (number, mut text) = open.take().unwrap_or((index + 1, String::new()));
        if line.ends_with('\\') && !comment {
            text.push_str(line.trim_matches('\\'));
            open = Some((number, text));
            continue;
        }
        if comment {
            // So that it is still seen as a comment after what it is joined to.
            text.push(' ');
        }
        text.push_str(line);
        joined.push((number, text));
    }
    joined.extend(open);
    joined
}

/// > A line beginning with `#` is treated as a comment and ignored. Whitespace followed by a `#` causes the `#` and
/// > the remainder of the line to be treated as a comment.
fn without_comment(line: &str) -> &str {
    let starts = line.match_indices('#').map(|(at, _)| &line[..at]);
    let mut comments = starts.filter(|before| before.is_empty() || before.ends_with(char::is_whitespace));
    comments.next().unwrap_or(line)
}

/// > `${MY_VARIABLE}`: the only form, upper-case letters, digits and `_`; a variable that is not set stays as it is.
fn expand(line: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let name = after.split('}').next().filter(|name| {
            let valid = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            after.len() > name.len() && !name.is_empty() && name.bytes().all(valid)
        });
        let value = name.and_then(|n| Some((n, variable(n).filter(|v| !v.is_empty())?)));
        if let Some((name, value)) = value {
            text.push_str(&value);
            rest = &after[name.len() + 1..];
        } else {
            text.push_str("${");
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Vec<(usize, String)> {
        logical_lines(text, &|name| (name == "A_1").then(|| "value".to_owned()))
    }

    #[test]
    fn lines_are_joined_and_comments_are_left_out() {
        let text = "# c\na \\\n  b \\\r\n# no \\\nc # d\ne#f\n\n  #\\\ng\\";
        let expected = [(2, "a   b"), (5, "c"), (6, "e#f"), (9, "g")];
        assert_eq!(lines(text), expected.map(|(n, t)| (n, t.to_owned())));
    }

    #[test]
    fn variables_are_expanded_in_one_form_only() {
        let text = "${A_1} $A_1 ${a_1} ${B} ${${A_1}} ${A_1";
        assert_eq!(
            lines(text),
            [(1, "value $A_1 ${a_1} ${B} ${value} ${A_1".to_owned())]
        );
    }

    #[test]
    fn text_is_decoded_by_its_mark_or_its_first_lines() {
        let utf16: Vec<u8> = "é\u{1f40d}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(
            decode(&[&b"\xfe\xff"[..], &utf16].concat()).unwrap(),
            "é\u{1f40d}"
        );
        assert_eq!(decode(b"\xff\xfe\0\0a\0\0\0").unwrap(), "a");
        assert_eq!(decode(b"\xef\xbb\xbfa").unwrap(), "a");
        assert_eq!(
            decode(b"\n# -*- coding: latin-1 -*-\n\xe9").unwrap(),
            "\n# -*- coding: latin-1 -*-\né"
        );
        assert_eq!(decode(b"\xe9"), Err("utf-8".to_owned()));
        assert_eq!(decode(b"# coding=klingon\na"), Err("klingon".to_owned()));
        assert_eq!(decode(b"\xff\xfea"), Err("UTF-16".to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_become_lines_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(text) = decode(&bytes) {
                let _ = lines(&text);
            }
        }

        #[test]
        fn any_text_becomes_lines_without_ends(text in "([a#\\\\$ {}A_1\n\r]|\\PC){0,60}") {
            for (_, line) in lines(&text) {
                prop_assert!(!line.contains('\n') && !line.trim().is_empty());
            }
        }
    }
}
