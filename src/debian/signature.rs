//! The signature of an `InRelease` file: a cleartext-signed message (RFC 9580, section 7), nothing around it.

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{Tag, VerifyingKey};

/// Debian's archive keys (bullseye, bookworm, trixie), the content of its package `debian-archive-keyring`.
const DEBIAN_KEYS: &[u8] = include_bytes!("keys/debian-archive-keyring.gpg");

/// Why a message is not trusted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The keyring itself cannot be read.
    #[error("the keyring is not a list of OpenPGP public keys: {0}")]
    Keyring(String),
    /// The text is not exactly one cleartext-signed message.
    #[error("not a cleartext-signed message: {0}")]
    Form(&'static str),
    /// The signature block cannot be read.
    #[error("its signature block is malformed: {0}")]
    Malformed(String),
    /// No signature is one of a known key that may sign now.
    #[error("no good signature by a trusted key (signed by {})", .0.join(", "))]
    Untrusted(Vec<String>),
}

/// Keys that may sign a release.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Debian's own keys, as this program carries them.
    pub fn debian() -> Result<Self, Error> {
        Self::from_bytes(DEBIAN_KEYS)
    }

    /// Keys in binary form, one after the other, as in `/usr/share/keyrings`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let keyring = |e: pgp::errors::Error| Error::Keyring(e.to_string());
        let keys = SignedPublicKey::from_bytes_many(bytes).map_err(keyring)?;
        keys.collect::<Result<_, _>>().map(Self).map_err(keyring)
    }

    /// Checks a message and gives its text, the signed lines only, if any of its signatures is good at `now` (seconds since 1970).
    pub fn verify(&self, message: &str, now: u64) -> Result<String, Error> {
        let (text, armor) = divide(message)?;
        let malformed = |e: pgp::errors::Error| Error::Malformed(e.to_string());
        let (signatures, _headers) = DetachedSignature::from_string_many(armor).map_err(malformed)?;
        let mut signers = Vec::new();
        for signature in signatures {
            let signature = signature.map_err(malformed)?.signature;
            if self.0.iter().any(|key| is_good(key, &signature, &text, now)) {
                return Ok(text);
            }
            let issuers = signature.issuer_fingerprint();
            signers.push(
                issuers
                    .first()
                    .map_or_else(|| "an unnamed key".to_owned(), |f| format!("{f:X}")),
            );
        }
        if signers.is_empty() {
            return Err(Error::Form("no signature in the signature block"));
        }
        Err(Error::Untrusted(signers))
    }
}

/// Divides a message into its text (dash-escapes undone, trailing white space gone, as it was signed) and its signature.
///
/// gpgv calls a message good that has text before or after the signed part; here it is refused.
fn divide(message: &str) -> Result<(String, &str), Error> {
    let rest = message
        .strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----\n")
        .ok_or(Error::Form("it does not begin with the signed message"))?;
    // > One or more "Hash" Armor Headers that are allowed; exactly one empty line not included into the message digest
    let (headers, rest) = rest
        .split_once("\n\n")
        .ok_or(Error::Form("its header does not end"))?;
    if !headers.lines().all(|line| line.starts_with("Hash: ")) {
        return Err(Error::Form("its header has something else than `Hash:`"));
    }
    let (body, signature) = rest
        .split_once("\n-----BEGIN PGP SIGNATURE-----\n")
        .ok_or(Error::Form("it has no signature"))?;
    let end = "\n-----END PGP SIGNATURE-----\n";
    if signature.find(end).map(|at| at + end.len()) != Some(signature.len()) {
        return Err(Error::Form("it does not end with the signature"));
    }
    let mut text = String::with_capacity(body.len());
    for line in body.split('\n') {
        // > the line ending and any trailing whitespace is not signed
        let line = line.trim_end_matches([' ', '\t', '\r']);
        // > When reversing dash-escaping, an implementation MUST strip the string "- "
        let line = match line.strip_prefix("- ") {
            Some(escaped) => escaped,
            None if line.starts_with('-') => return Err(Error::Form("a line begins with an unescaped dash")),
            None => line,
        };
        text.push_str(line);
        text.push('\n');
    }
    // > the line ending before the signature is not signed
    text.pop();
    let armor = &rest[body.len() + 1..];
    Ok((text, armor))
}

/// Whether a signature is of this key or one of its subkeys, over this text, with a strong hash, and valid now.
fn is_good(key: &SignedPublicKey, signature: &Signature, text: &str, now: u64) -> bool {
    let strong = matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    );
    let expired = match (signature.created(), signature.signature_expiration_time()) {
        (None, _) => true,
        (Some(made), Some(valid)) if valid.as_secs() > 0 => {
            u64::from(made.as_secs()) + u64::from(valid.as_secs()) < now
        }
        _ => false,
    };
    if !strong || expired || signature.typ() != Some(SignatureType::Text) {
        return false;
    }
    // Cheap refusal first: most keys did not make this signature.
    let good = |candidate: &dyn Fn() -> bool| candidate();
    let by_primary =
        || signature.verify(&key.primary_key, text.as_bytes()).is_ok() && primary_may_sign(key, now, true);
    let by_subkey = || {
        key.public_subkeys.iter().any(|subkey| {
            signature.verify(&subkey.key, text.as_bytes()).is_ok()
                && subkey_may_sign(key, subkey, now)
                && primary_may_sign(key, now, false)
        })
    };
    good(&by_primary) || good(&by_subkey)
}

/// Whether the primary key is not revoked and not expired, by its newest valid self-signature; and, where that is
/// asked, whether it may itself sign data.
fn primary_may_sign(key: &SignedPublicKey, now: u64, sign: bool) -> bool {
    let own = key.details.users.iter().flat_map(|user| {
        let valid = |s: &&Signature| {
            s.verify_certification(&key.primary_key, Tag::UserId, &user.id)
                .is_ok()
        };
        user.signatures.iter().filter(valid)
    });
    let Some(newest) = own.max_by_key(|s| s.created()) else {
        return false;
    };
    key.details.revocation_signatures.is_empty()
        && (!sign || newest.key_flags().sign())
        && is_current(&key.primary_key, newest, now)
}

fn subkey_may_sign(key: &SignedPublicKey, subkey: &pgp::composed::SignedPublicSubKey, now: u64) -> bool {
    let revoked = subkey
        .signatures
        .iter()
        .any(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
    let bindings = subkey.signatures.iter().filter(|s| {
        // The subkey must say too that it belongs to the primary key, else anyone could adopt a foreign signing key.
        s.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok()
            && s.embedded_signature().is_some_and(|back| {
                back.verify_primary_key_binding(&subkey.key, &key.primary_key)
                    .is_ok()
            })
    });
    bindings
        .max_by_key(|s| s.created())
        .is_some_and(|newest| !revoked && newest.key_flags().sign() && is_current(&subkey.key, newest, now))
}

/// Whether a key is within the time that a self-signature gives it.
fn is_current(key: &impl VerifyingKey, signature: &Signature, now: u64) -> bool {
    let made = u64::from(key.created_at().as_secs());
    match signature.key_expiration_time() {
        Some(valid) if valid.as_secs() > 0 => now <= made + u64::from(valid.as_secs()),
        _ => true,
    }
}
