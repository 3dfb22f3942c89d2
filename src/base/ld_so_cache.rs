//! `/etc/ld.so.cache`, which `ldconfig` would write: without it `ctypes.util.find_library` finds nothing, and the loader
//! searches. The format is glibc's own, `sysdeps/generic/dl-cache.h`, `struct cache_file_new`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::native::{Elf, Provided};
use crate::platform::Architecture;
use crate::tree::{Kind, Tree};

/// `CACHEMAGIC_VERSION_NEW`
const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
/// `cache_file_new_flags_endian_little`
const LITTLE_ENDIAN: u8 = 2;
/// `sizeof (struct cache_file_new)` and `sizeof (struct file_entry_new)`
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// No library of a base is larger.
const LIBRARY_LIMIT: u64 = 256 << 20;

/// `FLAG_ELF_LIBC6` with `FLAG_X8664_LIB64` or `FLAG_AARCH64_LIB64`
fn flags(architecture: Architecture) -> i32 {
    match architecture {
        Architecture::Amd64 => 0x0303,
        Architecture::Arm64 => 0x0a03,
    }
}

/// The cache for the libraries of a tree with merged `/usr`.
pub fn ld_so_cache(tree: &Tree, architecture: Architecture) -> std::io::Result<Vec<u8>> {
    let mut entries = Vec::new();
    let mut seen = Vec::new();
    for directory in directories(tree, architecture) {
        let place = physical(&directory);
        if seen.contains(&place) {
            continue;
        }
        for soname in libraries(tree, &place, architecture)? {
            let path = format!("/{directory}/{soname}");
            entries.push((soname, path));
        }
        seen.push(place);
    }
    // The loader's binary search wants descending order; of one name the directory that comes first stays first.
    entries.sort_by(|(one, _), (other, _)| compare(other, one));
    Ok(encode(&entries, flags(architecture)))
}

/// The cache for a base and the libraries of a tree that is laid over it.
pub fn extended_cache(tree: &Tree, below: &Provided, architecture: Architecture) -> std::io::Result<Vec<u8>> {
    let mut entries = Vec::new();
    let mut seen = Vec::new();
    for directory in directories(tree, architecture) {
        let place = physical(&directory);
        if !seen.contains(&place) {
            for soname in libraries(tree, &place, architecture)? {
                entries.push((soname.clone(), format!("/{directory}/{soname}")));
            }
            seen.push(place);
        }
    }
    // The base's own come after: what is added may be in front of them, as a newer package would be.
    for library in &below.libraries {
        if !entries.iter().any(|(_, path)| *path == library.path) {
            entries.push((library.soname.clone(), library.path.clone()));
        }
    }
    entries.sort_by(|(one, _), (other, _)| compare(other, one));
    Ok(encode(&entries, flags(architecture)))
}

/// The directories that `ldconfig` looks into, without leading slash: those of `/etc/ld.so.conf.d`, then its own.
fn directories(tree: &Tree, architecture: Architecture) -> Vec<String> {
    let multiarch = architecture.multiarch();
    let own = [
        format!("lib/{multiarch}"),
        format!("usr/lib/{multiarch}"),
        "lib".to_owned(),
        "usr/lib".to_owned(),
    ];
    let files = tree.iter().filter(|(path, _)| {
        path.strip_prefix("etc/ld.so.conf.d").is_some_and(|f| {
            !f.contains('/') && f.rsplit_once('.').is_some_and(|(_, ending)| ending == "conf")
        })
    });
    let text = files.filter_map(|(_, entry)| entry.content()?.read(64 * 1024).ok());
    let text: Vec<String> = text
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let configured = text
        .iter()
        .flat_map(|t| t.lines())
        .map(str::trim)
        .filter(|line| line.starts_with('/'));
    configured
        .map(|line| line.trim_matches('/').to_owned())
        .chain(own)
        .collect()
}

/// Where a directory is once `lib` is a link to `usr/lib`.
fn physical(directory: &str) -> String {
    if directory == "lib" || directory.starts_with("lib/") {
        format!("usr/{directory}")
    } else {
        directory.to_owned()
    }
}

/// The sonames that can be loaded from a directory, sorted.
fn libraries(tree: &Tree, directory: &str, architecture: Architecture) -> std::io::Result<Vec<String>> {
    let mut sonames = BTreeSet::new();
    for (path, entry) in tree.iter() {
        let Some(name) = path.strip_prefix(directory) else {
            continue;
        };
        // > only files that look like libraries: lib*.so* and ld-*.so*
        let candidate = !name.contains('/')
            && (name.starts_with("lib") || name.starts_with("ld-"))
            && name.contains(".so");
        let Kind::File(content) = &entry.kind else {
            continue;
        };
        if !candidate {
            continue;
        }
        let Some(elf) = Elf::read(&content.read(LIBRARY_LIMIT)?) else {
            continue;
        };
        if elf.machine != architecture.elf_machine() {
            continue;
        }
        let soname = elf.soname.unwrap_or_else(|| name.to_owned());
        // Packages bring the link `soname -> file`; where one does not, the file cannot be found by that name.
        if tree.get(&format!("{directory}/{soname}")).is_some() {
            sonames.insert(soname);
        }
    }
    Ok(sonames.into_iter().collect())
}

fn encode(entries: &[(String, String)], flags: i32) -> Vec<u8> {
    let mut strings = Vec::new();
    let start = HEADER + entries.len() * ENTRY;
    let mut place = |text: &str| {
        let offset = start + strings.len();
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        number(offset)
    };
    let mut table = Vec::with_capacity(entries.len() * ENTRY);
    for (soname, path) in entries {
        table.extend_from_slice(&flags.to_le_bytes());
        table.extend_from_slice(&place(soname).to_le_bytes());
        table.extend_from_slice(&place(path).to_le_bytes());
        // osversion_unused and hwcap
        table.extend_from_slice(&[0; 12]);
    }
    let mut cache = MAGIC.to_vec();
    cache.extend_from_slice(&number(entries.len()).to_le_bytes());
    cache.extend_from_slice(&number(strings.len()).to_le_bytes());
    // flags, three bytes of padding, no extensions, three unused numbers
    cache.push(LITTLE_ENDIAN);
    cache.resize(HEADER, 0);
    cache.extend_from_slice(&table);
    cache.extend_from_slice(&strings);
    cache
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// glibc's `_dl_cache_libcmp`: byte by byte, but runs of digits by their value, and a digit after anything else.
fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        match (one.first(), other.first()) {
            (None, None) => return Ordering::Equal,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (left, right) = (take_number(&mut one), take_number(&mut other));
                if left != right {
                    return left.cmp(&right);
                }
            }
            (Some(a), _) if a.is_ascii_digit() => return Ordering::Greater,
            (_, Some(b)) if b.is_ascii_digit() => return Ordering::Less,
            (Some(a), Some(b)) if a == b => (one, other) = (&one[1..], &other[1..]),
            (a, b) => return a.cmp(&b),
        }
    }
}

fn take_number(text: &mut &[u8]) -> u64 {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits.iter().fold(0, |value: u64, digit| {
        value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_the_loader_orders_them() {
        for pair in ["libc.so.6", "libc.so.10", "libc1.so"].windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("libz.so.1", "libz.so.1"), Ordering::Equal);
        assert_eq!(compare("libz.so", "libz.so.1"), Ordering::Less);
        assert_eq!(compare("libm.so.6", "libmvec.so.1"), Ordering::Less);
    }

    #[test]
    fn the_cache_has_the_layout_of_glibc() {
        let entries = [("libz.so.1".to_owned(), "/lib/libz.so.1".to_owned())];
        let cache = encode(&entries, flags(Architecture::Amd64));
        assert_eq!(&cache[..28], b"glibc-ld.so.cache1.1\x01\0\0\0\x19\0\0\0");
        assert_eq!(cache[28], 2);
        assert_eq!(&cache[48..60], b"\x03\x03\0\0\x48\0\0\0\x52\0\0\0");
        assert_eq!(&cache[72..], b"libz.so.1\0/lib/libz.so.1\0");
    }
}
