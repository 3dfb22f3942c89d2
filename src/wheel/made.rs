//! Wheels made for tests: right unless told otherwise.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;
use zip::write::SimpleFileOptions;

/// A wheel to be written. Files keep their order; WHEEL, METADATA and RECORD are added where they are not given.
pub struct MadeWheel {
    /// As in the file name, e.g. `demo_package`.
    name: &'static str,
    files: Vec<(String, Vec<u8>, u32)>,
    record: Vec<(String, Option<String>)>,
    file_name: String,
}

impl MadeWheel {
    /// Version 1.0 of a pure-Python distribution.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            files: Vec::new(),
            record: Vec::new(),
            file_name: format!("{name}-1.0-py3-none-any.whl"),
        }
    }

    /// Adds a file; `{info}` and `{data}` at the start stand for the `.dist-info` and `.data` directories.
    pub fn file(self, path: &str, content: &str) -> Self {
        self.file_with_mode(path, content, 0o100_644)
    }

    /// Adds a file with a Unix mode.
    pub fn file_with_mode(mut self, path: &str, content: &str, mode: u32) -> Self {
        let path = self.expand(path);
        self.files.push((path, content.as_bytes().to_vec(), mode));
        self
    }

    /// Replaces the row that RECORD has about a file, or adds one; `None` leaves it out.
    pub fn row(mut self, path: &str, row: Option<&str>) -> Self {
        let path = self.expand(path);
        self.record.push((path, row.map(str::to_owned)));
        self
    }

    fn expand(&self, path: &str) -> String {
        path.replace("{info}", &format!("{}-1.0.dist-info", self.name))
            .replace("{data}", &format!("{}-1.0.data", self.name))
    }

    /// Writes it into a directory; gives its path.
    pub fn write(mut self, directory: &Path) -> PathBuf {
        let defaults = [
            (
                "{info}/METADATA",
                format!("Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n", self.name),
            ),
            (
                "{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
            ),
        ];
        for (path, content) in defaults {
            let path = self.expand(path);
            let ours = path.split('/').next().unwrap_or_default().to_owned();
            let other_info = self
                .files
                .iter()
                .filter_map(|(p, ..)| p.split('/').next())
                .any(|top| top.ends_with(".dist-info") && top != ours);
            if !other_info && !self.files.iter().any(|(p, ..)| *p == path) {
                self.files.push((path, content.into_bytes(), 0o100_644));
            }
        }
        let record = self.expand("{info}/RECORD");
        if !self.record.contains(&(record.clone(), None)) {
            let text = self.record_text(&record);
            self.files.push((record, text.into_bytes(), 0o100_644));
        }
        let path = directory.join(&self.file_name);
        let mut writer = zip::ZipWriter::new(fs_err::File::create(&path).unwrap());
        for (name, content, mode) in &self.files {
            let options = SimpleFileOptions::default().unix_permissions(*mode);
            writer.start_file(name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn record_text(&self, record: &str) -> String {
        let mut text = String::new();
        let given = |path: &str| {
            self.record
                .iter()
                .find(|(p, _)| p == path)
                .map(|(_, row)| row.clone())
        };
        for (path, content, _) in &self.files {
            let hash = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(content));
            let quoted = path.replace('"', "\"\"");
            let made = format!("\"{quoted}\",sha256={hash},{}", content.len());
            text.extend(given(path).unwrap_or(Some(made)).map(|row| row + "\n"));
        }
        let others = self
            .record
            .iter()
            .filter(|(path, _)| !self.files.iter().any(|(p, ..)| p == path));
        text.extend(others.filter_map(|(_, row)| row.clone()).map(|row| row + "\n"));
        text + &format!("{record},,\n")
    }
}
