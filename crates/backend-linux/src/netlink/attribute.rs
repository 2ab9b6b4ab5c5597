//! Attributes: the type-length-value records that netlink messages consist of.
//!
//! Writing never fails: an attribute too long for its length field is announced
//! as longer than the message, which the kernel refuses. Reading never panics
//! and stops at the first record that does not fit.

const ALIGNMENT: usize = 4;
const HEADER_LEN: usize = 4;
const NESTED: u16 = 1 << 15;
const KIND_MASK: u16 = 0x3fff;

/// The body of a message while it is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    /// Starts with the fixed header of the message's family.
    pub(crate) fn new(header: &[u8]) -> Self {
        Self(header.to_vec())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Appends bytes without a header of their own.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self.pad()
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.header(kind, value.len());
        self.raw(value)
    }

    /// Appends text with the terminating zero that the kernel wants.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.header(kind, value.len() + 1);
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(0);
        self.pad()
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.header(kind | NESTED, 0);
        fill(self);
        let len = field(self.0.len() - start);
        self.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }

    fn header(&mut self, kind: u16, len: usize) {
        self.0
            .extend_from_slice(&field(len + HEADER_LEN).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
    }

    fn pad(&mut self) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
        self
    }
}

fn field(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// The attributes in `bytes`, in their order.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (header, _) = rest.split_first_chunk::<HEADER_LEN>()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK;
        let value = rest.get(HEADER_LEN..len)?;
        rest = rest
            .get(len.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of this kind.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// A number in the machine's own byte order.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// Text up to its terminating zero; `None` if it is not UTF-8.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let value = value.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(value).ok()
}

/// An address of either version.
pub(crate) fn address(value: &[u8]) -> Option<std::net::IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(value).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nested_attributes_are_read_as_they_were_written() {
        let mut body = Body::default();
        body.text(1, "table")
            .nest(2, |inner| {
                inner.u32(7, 99).bytes(8, &[1, 2, 3]);
            })
            .u32(3, 5);
        let bytes = body.as_slice();
        assert_eq!(find(bytes, 1).and_then(text), Some("table"));
        let inner = find(bytes, 2).unwrap();
        assert_eq!(find(inner, 7).and_then(number), Some(99));
        assert_eq!(find(inner, 8), Some(&[1u8, 2, 3][..]));
        assert_eq!(find(bytes, 3).and_then(number), Some(5));
        assert_eq!(attributes(bytes).count(), 3);
    }

    #[test]
    fn an_attribute_that_is_too_long_reaches_beyond_the_message() {
        let mut body = Body::default();
        body.bytes(1, &vec![0; 100_000]);
        let bytes = body.as_slice();
        assert_eq!(u16::from_ne_bytes([bytes[0], bytes[1]]), u16::MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_spin(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(attributes(&bytes).count() <= bytes.len() / HEADER_LEN);
        }
    }
}
