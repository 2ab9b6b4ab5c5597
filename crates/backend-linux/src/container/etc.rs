//! The three files that tell a sandbox its name and its network.
//!
//! They are written into the root as files of the sandbox, in place of those of
//! the image. The image is foreign: its links are resolved inside of its root,
//! and a link in the place of a file is replaced, not followed.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, fchown, mkdirat, openat, openat2, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::StartError;
use crate::network::Addresses;

/// What to write.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The root of the container.
    pub(super) root: &'a Path,
    /// Root inside of it.
    pub(super) owner: u32,
    pub(super) hostname: &'a str,
    pub(super) addresses: Addresses,
    /// Where names are looked up; `None` where they are not.
    pub(super) resolver: Option<Addresses>,
}

/// Writes the files.
pub(super) fn write(plan: &Plan<'_>) -> Result<(), StartError> {
    let written = || -> io::Result<()> {
        let etc = directory(plan)?;
        replace(&etc, "hosts", &hosts(plan), plan.owner)?;
        replace(
            &etc,
            "hostname",
            &format!("{}\n", plan.hostname),
            plan.owner,
        )?;
        replace(&etc, "resolv.conf", &resolv_conf(plan), plan.owner)
    };
    written().map_err(|source| StartError::Image {
        what: "its /etc cannot be written to",
        source,
    })
}

fn directory(plan: &Plan<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, plan.root, flags, Mode::empty())?;
    let open = || openat2(&root, "etc", flags, Mode::empty(), ResolveFlags::IN_ROOT);
    match open() {
        Err(Errno::NOENT) => {
            mkdirat(&root, "etc", Mode::from_raw_mode(0o755))?;
            let etc = openat(
                &root,
                "etc",
                OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            own(&etc, plan.owner)?;
            Ok(open()?)
        }
        other => Ok(other?),
    }
}

fn replace(etc: &OwnedFd, name: &str, content: &str, owner: u32) -> io::Result<()> {
    match unlinkat(etc, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(etc, name, flags, Mode::from_raw_mode(0o644))?;
    own(&file, owner)?;
    // The umask of the runner is no business of the sandbox.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(content.as_bytes())
}

fn own(file: &OwnedFd, owner: u32) -> io::Result<()> {
    Ok(fchown(
        file,
        Some(Uid::from_raw(owner)),
        Some(Gid::from_raw(owner)),
    )?)
}

fn hosts(plan: &Plan<'_>) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for address in plan.addresses.iter() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address} {}", plan.hostname);
    }
    text
}

fn resolv_conf(plan: &Plan<'_>) -> String {
    let Some(resolver) = plan.resolver else {
        // Without a server, programs ask their own machine, which refuses at
        // once: better than to wait for an answer that never comes.
        return "# This sandbox may not look names up.\n".to_owned();
    };
    let servers = resolver
        .iter()
        .map(|address| format!("nameserver {address}\n"));
    servers
        .chain(["options edns0 timeout:3 attempts:2\n".to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use tempfile::TempDir;

    use super::*;

    const OWNER: u32 = 1 << 30;

    fn write_into(root: &Path) -> Result<(), StartError> {
        write(&Plan {
            root,
            owner: OWNER,
            hostname: "box",
            addresses: Addresses {
                v4: [10, 1, 2, 3].into(),
                v6: None,
            },
            resolver: None,
        })
    }

    fn outside() -> TempDir {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("hosts"), "the host's").unwrap();
        outside
    }

    #[test]
    fn the_files_belong_to_the_sandbox() {
        let root = tempfile::tempdir().unwrap();
        write_into(root.path()).unwrap();
        let hosts = root.path().join("etc/hosts");
        assert!(fs::read_to_string(&hosts).unwrap().contains("10.1.2.3 box"));
        assert_eq!(fs::metadata(&hosts).unwrap().uid(), OWNER);
        assert_eq!(fs::metadata(root.path().join("etc")).unwrap().gid(), OWNER);
        let hostname = fs::read_to_string(root.path().join("etc/hostname")).unwrap();
        assert_eq!(hostname, "box\n");
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let (root, outside) = (tempfile::tempdir().unwrap(), outside());
        fs::create_dir(root.path().join("etc")).unwrap();
        let link = root.path().join("etc/hosts");
        symlink(outside.path().join("hosts"), &link).unwrap();
        write_into(root.path()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        let kept = fs::read_to_string(outside.path().join("hosts")).unwrap();
        assert_eq!(kept, "the host's");
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_stays_inside_of_the_root() {
        let (root, outside) = (tempfile::tempdir().unwrap(), outside());
        // Inside of the root there is no such path, whatever the host has.
        symlink(outside.path(), root.path().join("etc")).unwrap();
        assert!(write_into(root.path()).is_err());
        fs::remove_file(root.path().join("etc")).unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        symlink("/../../real", root.path().join("etc")).unwrap();
        write_into(root.path()).unwrap();
        assert!(root.path().join("real/hosts").is_file());
        let kept = fs::read_to_string(outside.path().join("hosts")).unwrap();
        assert_eq!(kept, "the host's");
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/hosts")).unwrap();
        assert!(matches!(
            write_into(root.path()),
            Err(StartError::Image { .. })
        ));
    }
}
