//! Archives for tests, the malformed ones included.

use std::io::Write;

use tar::{EntryType, Header};

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, EntryType::Regular, content, |_| {})
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, b"", |header| {
            header.set_mode(0o755);
        })
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(path, EntryType::Symlink, target)
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.link(path, EntryType::Link, target)
    }

    pub(crate) fn device(self, path: &str, major: u32, minor: u32) -> Self {
        self.entry(path, EntryType::Char, b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// An extended header for the entry that follows.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            body.extend_from_slice(&pax_line(key.as_bytes(), value));
        }
        self.entry("pax", EntryType::XHeader, &body, |_| {})
    }

    /// Any entry; names are written as they are, however hostile.
    pub(crate) fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Everything so far, without an end.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn link(self, path: &str, kind: EntryType, target: &str) -> Self {
        self.entry(path, kind, b"", |header| {
            header.set_link_name_literal(target).unwrap();
        })
    }
}

pub(crate) fn pax_line(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
