//! What the items of a PEM file are (RFC 7468).

use ureq::tls::{Certificate, PemItem, PrivateKey};

/// The certificate of an item, if it is one.
pub fn certificate(item: PemItem<'static>) -> Option<Certificate<'static>> {
    match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    }
}

/// The private key of an item, if it is one.
pub fn key(item: PemItem<'static>) -> Option<PrivateKey<'static>> {
    match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    }
}
