//! Readers around readers: one that counts against a limit, one that can be
//! told to stop. Neither changes a byte.

use std::io::{self, Read};

use tokio_util::sync::CancellationToken;

use crate::error::ImageError;
use crate::limits::Allowance;

/// Takes every byte from an allowance: what a bomb expands to does not matter,
/// only that it is not read to its end.
pub(crate) struct Charged<'a, R> {
    inner: R,
    allowance: &'a Allowance,
}

impl<'a, R> Charged<'a, R> {
    pub(crate) fn new(inner: R, allowance: &'a Allowance) -> Self {
        Self { inner, allowance }
    }
}

impl<R: Read> Read for Charged<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.allowance.take(count as u64)?;
        Ok(count)
    }
}

/// Ends in an error once it is cancelled, and tells how much it has read.
pub(crate) struct Watched<'a, R> {
    inner: R,
    cancel: &'a CancellationToken,
    on_read: &'a dyn Fn(u64),
    count: u64,
}

impl<'a, R> Watched<'a, R> {
    pub(crate) fn new(inner: R, cancel: &'a CancellationToken, on_read: &'a dyn Fn(u64)) -> Self {
        Self {
            inner,
            cancel,
            on_read,
            count: 0,
        }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(ImageError::Cancelled.into());
        }
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        (self.on_read)(self.count);
        Ok(count)
    }
}
