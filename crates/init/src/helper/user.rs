//! Who a user is, by the files of the image.
//!
//! As container runtimes do it: `user`, `uid`, `user:group` or `uid:gid`; empty
//! is root. A name goes before a number. A number that nobody has is taken as it
//! is, with group 0 and `/` for a home. The further groups of a user are those
//! that list him, unless a group was named.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;

/// The most bytes of each file that are looked at.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Who a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// His number.
    pub(crate) uid: u32,
    /// His first group.
    pub(crate) gid: u32,
    /// All of his groups.
    pub(crate) groups: Vec<u32>,
    /// Where he lives.
    pub(crate) home: String,
}

/// A user that cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownUser {
    /// No such user.
    #[error("the image has no user {name:?}")]
    User {
        /// As it was asked for.
        name: String,
    },
    /// No such group.
    #[error("the image has no group {name:?}")]
    Group {
        /// As it was asked for.
        name: String,
    },
}

/// The user that an argument names, as `launch` writes it; `None` is who this is.
pub(crate) fn user_in(argument: &str) -> Option<&str> {
    argument.strip_prefix('=')
}

/// A line of `/etc/passwd`.
struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A line of `/etc/group`.
struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl User {
    /// Looks a user up in the files of the image.
    pub(crate) fn find(name: &str) -> Result<Self, UnknownUser> {
        Self::find_in(name, &text_of("/etc/passwd"), &text_of("/etc/group"))
    }

    fn find_in(name: &str, passwd: &str, groups: &str) -> Result<Self, UnknownUser> {
        let (user, group) = match name.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (name, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let number = number(user);
        let line = passwd_lines(passwd)
            .find(|line| line.name == user)
            .or_else(|| passwd_lines(passwd).find(|line| Some(line.uid) == number));
        let (uid, gid) = match (&line, number) {
            (Some(line), _) => (line.uid, line.gid),
            (None, Some(uid)) => (uid, 0),
            (None, None) => return Err(UnknownUser::User { name: user.into() }),
        };
        let home = line.as_ref().map_or("", |line| line.home);
        let home = if home.is_empty() { "/" } else { home }.to_owned();
        let (gid, further) = match (group, &line) {
            (Some(group), _) => (find_group(group, groups)?, Vec::new()),
            (None, Some(line)) => (gid, groups_of(line.name, groups)),
            (None, None) => (gid, Vec::new()),
        };
        let mut groups = vec![gid];
        groups.extend(further.into_iter().filter(|further| *further != gid));
        Ok(Self {
            uid,
            gid,
            groups,
            home,
        })
    }
}

fn find_group(name: &str, groups: &str) -> Result<u32, UnknownUser> {
    let by_name = group_lines(groups).find(|line| line.name == name);
    by_name
        .map(|line| line.gid)
        .or_else(|| number(name))
        .ok_or_else(|| UnknownUser::Group { name: name.into() })
}

fn groups_of(user: &str, groups: &str) -> Vec<u32> {
    group_lines(groups)
        .filter(|line| line.members.split(',').any(|member| member == user))
        .map(|line| line.gid)
        .collect()
}

/// A number that the kernel takes for a user; the largest means «nobody».
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

fn passwd_lines(text: &str) -> impl Iterator<Item = PasswdLine<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some(PasswdLine {
            name,
            uid: number(fields.nth(1)?)?,
            gid: number(fields.next()?)?,
            home: fields.nth(1).unwrap_or_default(),
        })
    })
}

fn group_lines(text: &str) -> impl Iterator<Item = GroupLine<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some(GroupLine {
            name,
            gid: number(fields.nth(1)?)?,
            members: fields.next().unwrap_or_default(),
        })
    })
}

/// What is in a regular file; nothing if there is none.
fn text_of(path: &str) -> String {
    let mut bytes = Vec::new();
    if let Some(file) = regular(path) {
        let _ = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn regular(path: &str) -> Option<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        broken\n\
        app:x:1000:1001:An App:/home/app:/bin/sh\n\
        77:x:78:79::/seven:/bin/sh\n\
        homeless:x:5:5:::\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:other,app\napp:x:1001:app\nlast:x:60:app";

    fn find(name: &str) -> Result<(u32, Vec<u32>, String), UnknownUser> {
        let user = User::find_in(name, PASSWD, GROUP)?;
        assert_eq!(user.groups.first(), Some(&user.gid));
        Ok((user.uid, user.groups, user.home))
    }

    #[test]
    fn nothing_and_zero_are_root() {
        for name in ["", "0", "root", "root:", ":"] {
            assert_eq!(find(name), Ok((0, vec![0], "/root".into())), "{name}");
        }
    }

    #[test]
    fn a_user_has_the_groups_that_list_him() {
        let app = (1000, vec![1001, 50, 60], "/home/app".to_owned());
        assert_eq!(find("app"), Ok(app.clone()));
        assert_eq!(find("1000"), Ok(app));
    }

    #[test]
    fn a_named_group_is_the_only_one() {
        let expected = (1000, vec![50], "/home/app".to_owned());
        assert_eq!(find("app:staff"), Ok(expected.clone()));
        assert_eq!(find("app:50"), Ok(expected));
        assert_eq!(find("app:4711"), Ok((1000, vec![4711], "/home/app".into())));
    }

    #[test]
    fn a_number_that_nobody_has_is_taken_as_it_is() {
        assert_eq!(find("4711"), Ok((4711, vec![0], "/".into())));
        assert_eq!(find("4711:12"), Ok((4711, vec![12], "/".into())));
        assert_eq!(find("homeless"), Ok((5, vec![5], "/".into())));
    }

    #[test]
    fn a_name_goes_before_a_number() {
        assert_eq!(find("77"), Ok((78, vec![79], "/seven".into())));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let name = "nobody".to_owned();
        assert_eq!(find("nobody"), Err(UnknownUser::User { name }));
        let name = "nogroup".to_owned();
        assert_eq!(find("app:nogroup"), Err(UnknownUser::Group { name }));
        assert!(find("-1").is_err());
        assert!(find("4294967295").is_err());
    }
}
