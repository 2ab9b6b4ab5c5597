//! Loop devices, which make a block device of a file.
//!
//! Every one that is made here goes by itself when nothing uses it any more.
//! None is remembered: one is found again by the file that lies behind it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode};

const MAJOR: u32 = 7;
const CONTROL: &str = "/dev/loop-control";
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LOOP_GET_STATUS64: libc::Ioctl = 0x4c05;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
/// It goes when its last user does.
const AUTOCLEAR: u32 = 4;
/// How often another one is tried if somebody else was quicker.
const TRIES_MAX: u32 = 64;

/// A device with a file behind it, kept open.
#[derive(Debug)]
pub(super) struct LoopDevice {
    path: PathBuf,
    /// Without a user the device would go at once.
    file: File,
}

/// As the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// As the kernel lays it out.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const EMPTY: Info = Info {
    device: 0,
    inode: 0,
    rdevice: 0,
    offset: 0,
    size_limit: 0,
    number: 0,
    encrypt_type: 0,
    encrypt_key_size: 0,
    flags: 0,
    file_name: [0; 64],
    crypt_name: [0; 64],
    encrypt_key: [0; 32],
    init: [0; 2],
};

impl LoopDevice {
    /// Makes a device of a file.
    pub(super) fn attach(backing: &File) -> io::Result<Self> {
        let control = File::options().read(true).write(true).open(CONTROL)?;
        let config = Config {
            fd: backing.as_raw_fd().unsigned_abs(),
            block_size: 0,
            info: Info {
                flags: AUTOCLEAR,
                ..EMPTY
            },
            reserved: [0; 8],
        };
        for _ in 0..TRIES_MAX {
            let number = free_number(&control)?;
            let device = Self::open(number)?;
            match configure(device.file.as_raw_fd(), &config) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                done => return done.map(|()| device),
            }
        }
        Err(io::Error::other(
            "every free loop device was taken by others",
        ))
    }

    /// The device that was made of this file, if there is one.
    pub(super) fn of(backing: &File) -> io::Result<Option<Self>> {
        let wanted = backing.metadata()?;
        for entry in fs::read_dir("/sys/block")? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("loop"));
            let Some(number) = number.and_then(|number| number.parse().ok()) else {
                continue;
            };
            let is_used = fs::exists(format!("/sys/block/loop{number}/loop"))?;
            if !is_used {
                continue;
            }
            let device = Self::open(number)?;
            let info = status(device.file.as_raw_fd());
            if info.is_some_and(|info| (info.device, info.inode) == (wanted.dev(), wanted.ino())) {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    fn open(number: u32) -> io::Result<Self> {
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let open = || File::options().read(true).write(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Where nobody else makes them.
                let device = rustix::fs::makedev(MAJOR, number);
                let mode = Mode::RUSR | Mode::WUSR;
                let kind = FileType::BlockDevice;
                match rustix::fs::mknodat(CWD, &path, kind, mode, device) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                open()?
            }
            opened => opened?,
        };
        Ok(Self { path, file })
    }
}

#[expect(unsafe_code, reason = "asking for a loop device has no safe wrapper")]
fn free_number(control: &File) -> io::Result<u32> {
    // SAFETY: the call takes no pointer and the descriptor is open.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

#[expect(unsafe_code, reason = "setting up a loop device has no safe wrapper")]
fn configure(device: RawFd, config: &Config) -> io::Result<()> {
    // SAFETY: the kernel reads one structure of this layout, which lives
    // throughout the call, and the descriptors are open.
    let done = unsafe { libc::ioctl(device, LOOP_CONFIGURE, &raw const *config) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What is behind a device; `None` if nothing is any more.
#[expect(unsafe_code, reason = "asking a loop device has no safe wrapper")]
fn status(device: RawFd) -> Option<Info> {
    let mut info = EMPTY;
    // SAFETY: the kernel writes one structure of this layout, which lives
    // throughout the call, and the descriptor is open.
    let done = unsafe { libc::ioctl(device, LOOP_GET_STATUS64, &raw mut info) };
    (done == 0).then_some(info)
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);
