//! Descriptors that were inherited by number, as owned ones.
//!
//! Nothing in the standard library turns a number into an owned descriptor
//! without `unsafe`. A message over a socket pair does: the kernel looks the
//! numbers up, and hands out new descriptors that are closed on exec. The
//! inherited ones are closed.

use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Takes over what was inherited as these numbers.
///
/// Fails if one of them is not open.
pub(crate) fn take<const N: usize>(numbers: [RawFd; N]) -> io::Result<[OwnedFd; N]> {
    for number in numbers {
        // Or else the socket pair below could become one of them.
        std::fs::read_link(format!("/proc/self/fd/{number}"))?;
    }
    let (sender, receiver) = UnixStream::pair()?;
    sendmsg::<UnixAddr>(
        sender.as_raw_fd(),
        &[IoSlice::new(b"d")],
        &[ControlMessage::ScmRights(&numbers)],
        MsgFlags::empty(),
        None,
    )?;
    let taken = receive(&receiver)?;
    for number in numbers {
        nix::unistd::close(number)?;
    }
    <[OwnedFd; N]>::try_from(taken).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Closes what was inherited beyond what was agreed on: children would get it.
pub(crate) fn close_above(last: RawFd) -> io::Result<()> {
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers.into_iter().filter(|number| *number > last) {
        // The one that the list was read from is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn receive(receiver: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        receiver,
        &mut [io::IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut taken = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            taken.extend(descriptors);
        }
    }
    Ok(taken)
}
