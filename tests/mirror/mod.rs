//! A Debian mirror on loopback: packages made here, indexes of them, a release file signed with a test key.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use pgp::composed::{
    CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::ser::Serialize as _;
use pgp::types::Password;
use pyoci::digest::Digest;
use rand::SeedableRng as _;

const RELEASE: &str = "dists/test/InRelease";
const INDEX: &str = "dists/test/main/binary-amd64/Packages";

/// A signing key; the same number gives the same secret.
pub fn key(number: u64) -> SignedSecretKey {
    let mut random = rand::rngs::StdRng::seed_from_u64(number);
    let mut parameters = SecretKeyParamsBuilder::default();
    parameters
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id(format!("Test {number} <test@example.invalid>"));
    parameters.build().unwrap().generate(&mut random).unwrap()
}

/// The public half, as it is in a keyring.
pub fn public(key: &SignedSecretKey) -> Vec<u8> {
    SignedPublicKey::from(key.clone()).to_bytes().unwrap()
}

/// Files by their path below the archive's root.
#[derive(Default)]
pub struct Mirror {
    files: BTreeMap<String, Vec<u8>>,
}

impl Mirror {
    /// Adds a package, version 1, to pool and index.
    pub fn package(&mut self, name: &str, depends: &str, deb: Vec<u8>) {
        let filename = format!("pool/{name}.deb");
        let (size, sha256) = (deb.len(), Digest::of(&deb));
        let stanza = format!(
            "Package: {name}\nVersion: 1\nArchitecture: amd64\nDepends: {depends}\nFilename: {filename}\nSize: {size}\nSHA256: {}\n\n",
            sha256.hex()
        );
        self.files.entry(INDEX.to_owned()).or_default().extend(
            stanza
                .replace("libc6\nVersion: 1", "libc6\nVersion: 2.41")
                .bytes(),
        );
        self.files.insert(filename, deb);
    }

    /// Writes the release file of all that is there, with these fields.
    pub fn release(&mut self, fields: &str, key: &SignedSecretKey) {
        let index = &self.files[INDEX];
        let mut text = format!("Origin: Test\n{fields}SHA256:\n");
        writeln!(
            text,
            " {} {} main/binary-amd64/Packages",
            Digest::of(index).hex(),
            index.len()
        )
        .unwrap();
        let random = rand::rngs::StdRng::seed_from_u64(3);
        let signed =
            CleartextSignedMessage::sign(random, text.trim_end(), &key.primary_key, &Password::empty())
                .unwrap();
        let armored = signed
            .to_armored_string(pgp::composed::ArmorOptions::default())
            .unwrap();
        self.files
            .insert(RELEASE.to_owned(), armored.replace("\r\n", "\n").into_bytes());
    }

    /// Changes the file whose path ends so.
    #[allow(dead_code, reason = "not every test that has a mirror needs it")]
    pub fn edit(&mut self, ending: &str, change: impl FnOnce(&str) -> String) {
        let (_, bytes) = self
            .files
            .iter_mut()
            .find(|(path, _)| path.ends_with(ending))
            .unwrap();
        let changed = change(std::str::from_utf8(bytes).unwrap());
        assert_ne!(changed.as_bytes(), bytes, "the change must change something");
        *bytes = changed.into_bytes();
    }

    /// Adds a file at a path.
    #[allow(dead_code, reason = "not every test that has a mirror needs it")]
    pub fn put(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(path.to_owned(), bytes.to_vec());
    }

    /// Removes a package from the pool, and gives its bytes.
    #[allow(dead_code, reason = "not every test that has a mirror needs it")]
    pub fn drop_package(&mut self, package: &str) -> Vec<u8> {
        self.files.remove(&format!("pool/{package}.deb")).unwrap()
    }

    /// Flips a bit of a package.
    #[allow(dead_code, reason = "not every test that has a mirror needs it")]
    pub fn damage(&mut self, package: &str) {
        let bytes = self.files.get_mut(&format!("pool/{package}.deb")).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
    }

    /// Serves the files as they are now, until the test ends; gives the URL of the archive.
    pub fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/debian", listener.local_addr().unwrap());
        let files = self.files.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut request).unwrap() > 2 {}
                let path = request.split(' ').nth(1).and_then(|p| p.strip_prefix("/debian/"));
                let (status, body) = match path.and_then(|p| files.get(p)) {
                    Some(body) => ("200 OK", &body[..]),
                    None => ("404 Not Found", &b""[..]),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), body].concat());
            }
        });
        url
    }
}

/// A `.deb` with these files.
pub fn deb(name: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: 1\n");
    let mut archive = b"!<arch>\n".to_vec();
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar(&[("./control", control.as_bytes())])),
        ("data.tar.xz", xz(&tar(files))),
    ];
    for (name, bytes) in members {
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            "100644",
            bytes.len()
        );
        archive.extend(header.bytes());
        archive.extend(&bytes);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
