//! Layers: those of others read, ours written with streams carried over, and the ELF files in both.

use std::io::{self, Cursor, Read as _};
use std::sync::Arc;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use pyoci::base::files::{Files, Found};
use pyoci::blob::{Blob, RandomFile};
use pyoci::digest::Digest;
use pyoci::layer::{self, Compression, Dialect, Layer, LayerReader, Options};
use pyoci::native::{Elf, Scan, scan};
use pyoci::paths::TreePath;
use pyoci::store::Store;
use pyoci::tree::{Content, Entry, Member, Method, Tree};

use super::scene;

/// No more of a stream is looked at: what is longer is a bomb, and is met as a stream.
const MOST: u64 = 16 << 20;

/// A layer of a base, compressed or not: read as a stream, taken as the only layer of a base, and, as an archive of images,
/// read alike as a stream and as a file.
///
/// The fuzzer cannot guess check sums: what is no tar because of them is tried again with right ones.
pub fn base_layer(data: &[u8]) {
    for bytes in [data.to_vec(), with_sums(data)] {
        let stream = layer::decompress(Box::new(Cursor::new(bytes.clone())));
        let _ = stream.and_then(|stream| members(LayerReader::new(Box::new(stream.take(MOST)))));
        if layer::compression(&bytes).is_none() {
            let stream = Box::new(Cursor::new(bytes.clone()));
            let streamed = members(Ok(LayerReader::of(stream, Dialect::ImageArchive)));
            let directory = scene::directory();
            let path = directory.path().join("layer.tar");
            scene::write(&path, &bytes);
            let file = Arc::new(RandomFile::open(&path).expect("a file"));
            let in_file = members(Ok(LayerReader::in_file(file)));
            assert_eq!(streamed.as_ref().ok(), in_file.as_ref().ok(), "stream and file");
        }
        as_base(bytes);
    }
}

/// All members, and the bytes of those that are small.
fn members(reader: io::Result<LayerReader>) -> io::Result<Vec<(layer::Found, Option<Vec<u8>>)>> {
    let mut reader = reader?;
    let mut members = Vec::new();
    while let Some(found) = reader.next_member()? {
        let content = match found.size {
            1..=4096 => Some(reader.read_content(4096)?),
            _ => None,
        };
        members.push((found, content));
    }
    Ok(members)
}

/// What a base with this layer is found to hold.
fn as_base(bytes: Vec<u8>) {
    let directory = scene::directory();
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let layer = Layer {
        blob: Blob::from_bytes(pyoci::image::LAYER_TAR, bytes),
        diff_id: Digest::of(b""),
        created_by: String::new(),
    };
    let config = serde_json::json!({ "config": { "Env": ["LD_LIBRARY_PATH=/opt/lib:lib"] } });
    let platform = scene::target().platform;
    let layers = [layer.clone(), layer];
    if let Ok(files) = Files::read(&layers) {
        for (path, _) in files.iter() {
            let is_directory = |parent: TreePath| files.get(&parent) == Some(&Found::Directory);
            assert!(path.parents().all(is_directory), "{path} is below no directory");
        }
    }
    let _ = pyoci::base::inventory(&layers, &config, platform, &store);
}

/// The tar with the right check sum in each of its headers.
pub fn with_sums(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + 512) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        if block.iter().any(|b| *b != 0) {
            block.copy_from_slice(header.as_bytes());
        }
        let size = header.entry_size().unwrap_or(0).min(MOST);
        at += 512 + usize::try_from(size.next_multiple_of(512)).expect("a small number");
    }
    bytes
}

/// An ELF file: read whole, and found while the layer that holds it is written.
pub fn elf(data: &[u8]) {
    let whole = Elf::read(data);
    let mut tree = Tree::new();
    let path = "lib/x.so".parse().expect("a path");
    let entry = Entry::file(Content::bytes(data), false);
    tree.insert(path, entry).expect("a tree");
    let mut seen = Scan::new(&tree);
    layer::write_seen(&tree, &OPTIONS, None, &mut io::sink(), &mut |bytes| {
        seen.feed(bytes);
    })
    .expect("a layer");
    let passing = seen.finish().expect("nothing to read again fails");
    let again = scan(&tree).expect("nothing to read fails");
    assert_eq!(passing, again, "in passing and again");
    assert_eq!(whole.is_some(), !passing.is_empty(), "read whole and in pieces");
}

const OPTIONS: Options = Options {
    mtime: 315_532_800,
    compression: Compression::Gzip,
    threads: 1,
};

/// DEFLATE streams carried over into a layer: whatever they are, what the layer inflates to is the tar of the files that
/// they stand for, as another inflater sees them.
///
/// The input is a list of members, each a byte that says what it is, two with its length, and its bytes.
pub fn splice(data: &[u8]) {
    let mut parts = Vec::new();
    let mut rest = data;
    while let [kind, low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (bytes, after) = tail.split_at(length);
        parts.push(Part::of(*kind, bytes));
        rest = after;
        if parts.len() == 16 {
            break;
        }
    }
    let directory = scene::directory();
    let place = directory.path().join("archive");
    let archive: Vec<u8> = parts.iter().flat_map(|part| part.raw.clone()).collect();
    scene::write(&place, &archive);
    let archive = Arc::new(RandomFile::open(&place).expect("a file"));
    let (mut carried, mut plain) = (Tree::new(), Tree::new());
    let is_good = parts.iter().all(|part| part.is_good);
    let mut offset = 0;
    for (number, part) in parts.into_iter().enumerate() {
        let path: TreePath = format!("d{}/f{number}", number % 3).parse().expect("a path");
        let member = Content::Member(Box::new(part.member(&archive, offset)));
        offset += part.raw.len() as u64;
        let content = Content::bytes(part.plain);
        let inserted = plain.insert(path.clone(), Entry::file(content, false));
        inserted
            .and_then(|()| carried.insert(path, Entry::file(member, false)))
            .expect("a tree");
    }
    let expected = written(&plain).expect("what is in memory can be written");
    match written(&carried) {
        Ok(found) => {
            assert!(is_good, "a stream that is none was carried over");
            assert!(found == expected, "the layer is another than its files");
        }
        Err(error) => assert!(!is_good, "a stream was refused: {error:?}"),
    }
}

/// The tar that a layer inflates to.
fn written(tree: &Tree) -> Result<Vec<u8>, layer::Error> {
    let mut blob = Vec::new();
    let mut seen = Vec::new();
    let mut see = |bytes: &[u8]| seen.extend_from_slice(bytes);
    let written = layer::write_seen(tree, &OPTIONS, None, &mut blob, &mut see)?;
    assert_eq!(
        (written.size, &written.digest),
        (blob.len() as u64, &Digest::of(&blob))
    );
    // One member, and one that every reader takes: flate2 checks its CRC-32 and its length.
    let mut tar = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(&blob[..]);
    decoder.read_to_end(&mut tar).expect("a gzip stream");
    assert!(decoder.into_inner().is_empty(), "one member");
    assert!(tar == seen, "what was shown is what was written");
    assert_eq!(Digest::of(&tar), written.diff_id);
    // The same by an inflater that shares nothing with the one that wrote it; its header has ten bytes, its trailer eight.
    let other = miniz_oxide::inflate::decompress_to_vec(&blob[10..blob.len() - 8]);
    assert!(other.is_ok_and(|other| other == tar), "another inflater");
    Ok(tar)
}

/// A member of an archive, and what it stands for.
struct Part {
    raw: Vec<u8>,
    method: Method,
    plain: Vec<u8>,
    /// Whether the stream is one, and ends where it should.
    is_good: bool,
}

impl Part {
    /// A member of these bytes, as they are or made longer: short streams are not carried over.
    fn of(kind: u8, bytes: &[u8]) -> Self {
        let noise = noise(usize::from(kind >> 4) * 1024);
        let raw = match kind % 4 {
            0 | 1 => bytes.to_vec(),
            // A stored block in front, which is not the last.
            2 => {
                let length = u16::try_from(noise.len()).expect("at most 15 KiB");
                let head = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
                [&[0], &head[..], &noise, bytes].concat()
            }
            _ => {
                let text = [bytes, &noise, bytes].concat();
                miniz_oxide::deflate::compress_to_vec(&text, kind / 4 % 4 * 3)
            }
        };
        let (method, (plain, is_good)) = match kind % 4 {
            0 => (Method::Stored, (raw.clone(), true)),
            _ => (Method::Deflated, inflated(&raw)),
        };
        Self {
            raw,
            method,
            plain,
            is_good,
        }
    }

    fn member(&self, archive: &Arc<RandomFile>, offset: u64) -> Member {
        let mut crc = flate2::Crc::new();
        crc.update(&self.plain);
        Member {
            archive: Arc::clone(archive),
            offset,
            compressed_size: self.raw.len() as u64,
            size: self.plain.len() as u64,
            crc32: crc.sum(),
            digest: None,
            method: self.method,
        }
    }
}

/// Bytes that no compressor makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// What a raw DEFLATE stream stands for, as far as it is one; and whether it is one and ends with the bytes.
fn inflated(raw: &[u8]) -> (Vec<u8>, bool) {
    let mut plain = vec![0; 64 * 1024];
    loop {
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut inflater = DecompressorOxide::new();
        let (status, read, made) = decompress(&mut inflater, raw, &mut plain, 0, flags);
        if status != TINFLStatus::HasMoreOutput || plain.len() as u64 >= MOST {
            plain.truncate(made);
            return (plain, status == TINFLStatus::Done && read == raw.len());
        }
        plain.resize(plain.len() * 8, 0);
    }
}
