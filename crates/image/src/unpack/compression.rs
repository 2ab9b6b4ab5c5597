//! Seeing how content is packed, and unpacking it.
//!
//! The first bytes decide, not the media type: several tools write a wrong one,
//! and the digests tell in the end whether the content is the one that was
//! meant. How much may come out is not bounded here but by the reader.

use std::io::{self, BufRead, BufReader, Read};

use crate::error::ImageError;

/// Larger windows than 128 MiB would let an archive choose our memory use.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Bytes that are read from the source at once.
const BUFFER_BYTES: usize = 128 << 10;

/// How content is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Looks at the first bytes of some content.
    pub(crate) fn of(start: &[u8]) -> Result<Self, ImageError> {
        let other = match start {
            [0x1f, 0x8b, ..] => return Ok(Self::Gzip),
            // The second is a frame that zstd skips; some tools begin with one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                return Ok(Self::Zstd);
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => "bzip2",
            [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
            _ => return Ok(Self::None),
        };
        Err(ImageError::Unsupported {
            what: format!("content packed with {other}"),
            instead: "pack it with gzip or zstd, or not at all",
        })
    }
}

/// Unpacks `packed` while it is read.
pub(crate) fn unpacked<'a>(packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>, ImageError> {
    let mut packed = BufReader::with_capacity(BUFFER_BYTES, packed);
    let failed = |error: io::Error| ImageError::store("reading packed content", error);
    let compression = Compression::of(packed.fill_buf().map_err(failed)?)?;
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => {
            let decoder = flate2::bufread::MultiGzDecoder::new(packed);
            Box::new(Decoding(decoder))
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(failed)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(failed)?;
            Box::new(Decoding(decoder))
        }
    })
}

/// Tells damage in the content from failures of the disk and our own refusals.
struct Decoding<R>(R);

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let is_ours = error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync + 'static>::is::<ImageError>);
            if is_ours || error.raw_os_error().is_some() {
                return error;
            }
            ImageError::malformed("packed content", "its compression is damaged").into()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        unpacked(packed)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn content_comes_out_however_it_was_packed() {
        let content = b"hello".repeat(1000);
        assert_eq!(read(&content).unwrap(), content);
        assert_eq!(read(&gzip(&content)).unwrap(), content);
        assert_eq!(
            read(&zstd::encode_all(&content[..], 1).unwrap()).unwrap(),
            content
        );
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn parts_that_were_packed_one_by_one_are_one_content() {
        assert_eq!(read(&[gzip(b"a"), gzip(b"b")].concat()).unwrap(), b"ab");
    }

    #[test]
    fn damage_is_an_error_and_not_an_end() {
        let whole = gzip(&b"hello".repeat(1000));
        assert!(read(&whole[..whole.len() - 4]).is_err());
        let mut flipped = whole.clone();
        flipped[whole.len() - 6] ^= 1;
        assert!(read(&flipped).is_err());
    }

    #[test]
    fn a_zstd_window_beyond_the_bound_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(b"x").unwrap();
        assert!(read(&encoder.finish().unwrap()).is_err());
    }

    #[test]
    fn packers_that_we_do_not_have_are_named() {
        let error = Compression::of(b"\xfd7zXZ\0").unwrap_err();
        assert!(error.to_string().contains("xz"), "{error}");
    }
}
