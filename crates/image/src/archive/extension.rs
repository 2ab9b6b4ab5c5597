//! Extension records: what does not fit into a tar header.
//!
//! Reads PAX records and GNU's long names. Keys that say nothing about an entry
//! of an image are skipped; those that change what the content means (sparse
//! files) are refused, as skipping them would damage the file in silence.

use super::{Mtime, WHAT};
use crate::error::ImageError;

/// Longest record, in bytes. Attributes are the largest part; Linux takes
/// 64 KiB of each.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// What the extension records before an entry say about it.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extensions {
    /// GNU's way to give a long path; the record ends with a NUL byte.
    pub(super) fn set_path(&mut self, record: &[u8]) {
        self.path = Some(without_nul(record));
    }

    /// GNU's way to give a long link target.
    pub(super) fn set_link(&mut self, record: &[u8]) {
        self.link = Some(without_nul(record));
    }

    /// Reads lines of the form `length key=value`.
    pub(super) fn read_pax(&mut self, mut record: &[u8]) -> Result<(), ImageError> {
        while !record.is_empty() {
            let (line, rest) = split_line(record).ok_or_else(malformed)?;
            let cut = line.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            self.set(&line[..cut], &line[cut + 1..])?;
            record = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), ImageError> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"mtime" => self.mtime = Some(parse_mtime(value)?),
            _ => return self.set_other(key, value),
        }
        Ok(())
    }

    fn set_other(&mut self, key: &[u8], value: &[u8]) -> Result<(), ImageError> {
        if key.starts_with(b"GNU.sparse.") {
            return Err(ImageError::Unsupported {
                what: "a sparse file in a layer".to_owned(),
                instead: "pack the layer anew, without options such as --sparse",
            });
        }
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.push((name.to_vec(), value.to_vec()));
        }
        Ok(())
    }
}

fn malformed() -> ImageError {
    ImageError::malformed(WHAT, "an extension record in it cannot be read")
}

fn without_nul(record: &[u8]) -> Vec<u8> {
    record.strip_suffix(b"\0").unwrap_or(record).to_vec()
}

/// Splits off one line; the number at its front counts the whole line.
fn split_line(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = record.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&record[..space]).ok()?.parse().ok()?;
    if length <= space + 1 || length > record.len() {
        return None;
    }
    let line = record[space + 1..length].strip_suffix(b"\n")?;
    Some((line, &record[length..]))
}

fn number(value: &[u8]) -> Result<u64, ImageError> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(malformed)
}

/// Reads a decimal number of seconds with an optional sign and fraction.
fn parse_mtime(value: &[u8]) -> Result<Mtime, ImageError> {
    let text = std::str::from_utf8(value).map_err(|_| malformed())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| malformed())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().map_err(|_| malformed())?;
    if whole.starts_with('-') && nanoseconds > 0 {
        // The fraction counts away from zero, the kernel's upwards.
        return Ok(Mtime {
            seconds: seconds.checked_sub(1).ok_or_else(malformed)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Ok(Mtime {
        seconds,
        nanoseconds,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pax(record: &[u8]) -> Result<Extensions, ImageError> {
        let mut extensions = Extensions::default();
        extensions.read_pax(record).map(|()| extensions)
    }

    #[test]
    fn lines_are_read_with_values_that_hold_anything() {
        let record = b"12 uid=1000\n30 SCHILY.xattr.user.a=x\n=y\0z\n13 comment=x\n";
        let extensions = pax(record).unwrap();
        assert_eq!(extensions.uid, Some(1000));
        assert_eq!(
            extensions.xattrs,
            [(b"user.a".to_vec(), b"x\n=y\0z".to_vec())]
        );
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for record in [
            &b"99 uid=1\n"[..],
            b"3 uid=1\n",
            b"x uid=1\n",
            b"8 uid=1",
            b"9 uid=1 \n",
        ] {
            assert!(pax(record).is_err(), "{record:?}");
        }
    }

    #[test]
    fn sparse_files_are_refused_rather_than_damaged() {
        assert!(matches!(
            pax(b"22 GNU.sparse.major=1\n"),
            Err(ImageError::Unsupported { .. })
        ));
    }

    #[test]
    fn times_keep_their_fraction_and_their_sign() {
        let time = |text: &str| {
            parse_mtime(text.as_bytes())
                .ok()
                .map(|t| (t.seconds, t.nanoseconds))
        };
        assert_eq!(time("5"), Some((5, 0)));
        assert_eq!(time("5.25"), Some((5, 250_000_000)));
        assert_eq!(time("-0.25"), Some((-1, 750_000_000)));
        assert_eq!(time("-1.5"), Some((-2, 500_000_000)));
        assert_eq!(time("1.-5"), None);
        assert_eq!(time(""), None);
    }

    proptest! {
        #[test]
        fn no_record_makes_the_reader_panic(record in any::<Vec<u8>>()) {
            let _ = pax(&record);
        }
    }
}
