//! Debian: packages, control data, signed releases.

use std::sync::OnceLock;

use pyoci::debian::{
    Deb, Index, Keyring, ListedPackage, Package, Relation, Release, Stanzas, Version, relations,
};

use super::{layers, scene};

/// A `.deb`: as it is, and, where it is a tar, as the files or the control data of one.
pub fn deb(data: &[u8]) {
    let leave = |path: &str| path.starts_with("usr/share/doc/");
    let _ = Deb::read(data, &leave);
    let tar = layers::with_sums(data);
    let control = control_archive();
    for members in [
        [("control.tar", &control[..]), ("data.tar", &tar)],
        [("control.tar", &tar), ("data.tar", &control)],
    ] {
        let package = archive(&members);
        if let Ok(read) = Deb::read(&package[..], &leave) {
            for (path, entry) in read.tree.iter() {
                let bytes = entry.content().map(|content| content.read(u64::MAX));
                assert!(bytes.is_none_or(|bytes| bytes.is_ok()), "{path}");
            }
        }
    }
}

/// An `ar` archive in the form of `deb(5)`.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", &b"2.0\n"[..])].iter().chain(members) {
        let length = bytes.len();
        out.extend(format!("{name:<16}0           0     0     100644  {length:<10}`\n").bytes());
        out.extend(*bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

/// A tar with a control file.
fn control_archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let text = b"Package: a\nVersion: 1\nArchitecture: all\n";
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "./control", &text[..])
        .expect("memory");
    builder.into_inner().expect("memory")
}

/// Control data: stanzas, an index of packages, the text of a release file, relations, versions, lines of a locked list.
pub fn deb822(data: &[u8]) {
    for stanza in Stanzas::new(data).map_while(Result::ok) {
        let mut text = String::new();
        stanza.write(&mut text);
        let again = Stanzas::new(text.as_bytes()).next();
        assert!(
            matches!(again, Some(Ok(again)) if again == stanza),
            "written and read"
        );
        let field = |name| stanza.get(name).unwrap_or_default();
        if let Some(package) = Package::installed(field("Package"), field("Version"), field("Provides")) {
            for relation in relations(field("Depends")).into_iter().flatten().flatten() {
                package.satisfies(&relation);
            }
        }
    }
    let mut index = Index::default();
    let is_index = index.read(data, "debian").is_ok();
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Release::parse(text, "trixie", scene::NOW);
    let mut versions = Vec::new();
    for line in text.lines().take(64) {
        versions.extend(Version::parse(line.trim()));
        let _ = line.parse::<ListedPackage>();
        for relation in relations(line).into_iter().flatten().flatten() {
            let written = relation.to_string();
            assert_eq!(
                Relation::parse(&written).ok().as_ref(),
                Some(&relation),
                "{written}"
            );
            if is_index {
                let _ = index.find(&relation);
            }
        }
    }
    // An order that is none would be noticed by the sort.
    versions.sort();
    for pair in versions.windows(2) {
        assert!(pair[0] <= pair[1], "{} {}", pair[0], pair[1]);
    }
}

/// A signed release file: whether any key signed it or not, and with it as the keyring.
pub fn in_release(data: &[u8]) {
    static KEYS: OnceLock<Keyring> = OnceLock::new();
    let keys = KEYS.get_or_init(|| Keyring::debian().expect("Debian's keys"));
    let _ = Release::read(data, "trixie", keys, scene::NOW);
    if let Ok(keys) = Keyring::from_bytes(data) {
        let _ = keys.verify("-----BEGIN PGP SIGNED MESSAGE-----\n", scene::NOW);
    }
}
