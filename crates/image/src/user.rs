//! Who runs in an image: names of users and groups resolved to numbers.
//!
//! The files are the image's own `/etc/passwd` and `/etc/group`, read from its
//! layers. They are foreign data: lines that do not read are passed over, as
//! the C library does, and their size is bounded.

use crate::error::harmless;
use crate::image::Image;
use crate::merged;

/// Who a process in the image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's main group.
    pub gid: u32,
    /// Further groups, without the main one; sorted.
    pub groups: Vec<u32>,
    /// The user's home, absolute; `/` if the image does not know the user.
    pub home: String,
    /// The user's name, if the image knows it.
    pub name: Option<String>,
}

/// Why an image's user cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The text has not the form `user[:group]`.
    #[error("user {0} is malformed; write user, uid, user:group or uid:gid")]
    Malformed(String),
    /// The image has no such user.
    #[error("the image has no user {0}; use one of its own, or a number")]
    UnknownUser(String),
    /// The image has no such group.
    #[error("the image has no group {0}; use one of its own, or a number")]
    UnknownGroup(String),
    /// The image's files could not be read.
    #[error("the image's {file} cannot be read; repair it or use numbers")]
    Unreadable {
        /// Which file.
        file: &'static str,
        /// What went wrong.
        #[source]
        cause: std::io::Error,
    },
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Larger files than this are no users of containers.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The kernel's own bound.
const GROUPS_MAX: usize = 65_536;

impl Image {
    /// Resolves the user that the image itself names.
    pub fn user(&self) -> Result<User, UserError> {
        self.user_of(&self.config.user)
    }

    /// Resolves `user[:group]`, names or numbers; empty means root.
    ///
    /// A user that is given as a number need not exist. Without a group, the
    /// user's own is taken, or 0 if the image does not know the user; and only
    /// then the further groups that list the user count.
    pub fn user_of(&self, text: &str) -> Result<User, UserError> {
        let passwd = self.read(PASSWD)?;
        let group = self.read(GROUP)?;
        resolve(text, &passwd, &group)
    }

    fn read(&self, file: &'static str) -> Result<String, UserError> {
        let content = merged::read_file(&self.lower_dirs, file, FILE_BYTES_MAX)
            .map_err(|cause| UserError::Unreadable { file, cause })?;
        Ok(String::from_utf8_lossy(&content.unwrap_or_default()).into_owned())
    }
}

struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn resolve(text: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let shown = || harmless(text.as_bytes());
    let (user, wanted_group) = match text.split_once(':') {
        Some((_, group)) if group.is_empty() || group.contains(':') => {
            return Err(UserError::Malformed(shown()));
        }
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let line = find_user(user, passwd);
    let uid = match (&line, number(user)) {
        (Some(line), _) => line.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(UserError::UnknownUser(harmless(user.as_bytes()))),
    };
    let own_gid = line.as_ref().map_or(0, |line| line.gid);
    let gid = match wanted_group {
        Some(wanted) => find_group(wanted, group)?,
        None => own_gid,
    };
    let name = line.as_ref().map(|line| line.name.to_owned());
    let groups = match (&name, wanted_group) {
        (Some(name), None) => groups_of(name, gid, group),
        (None, _) | (_, Some(_)) => Vec::new(),
    };
    let home = line
        .map(|line| line.home)
        .filter(|home| home.starts_with('/'));
    Ok(User {
        uid,
        gid,
        groups,
        home: home.unwrap_or("/").to_owned(),
        name,
    })
}

/// The line of a user. A name goes before a number, as `1000` may be a name.
fn find_user<'a>(wanted: &str, passwd: &'a str) -> Option<PasswdLine<'a>> {
    let lines = || passwd.lines().filter_map(passwd_line);
    let by_name = lines().find(|line| line.name == wanted);
    let uid = number(wanted);
    by_name.or_else(|| lines().find(|line| Some(line.uid) == uid))
}

fn find_group(wanted: &str, group: &str) -> Result<u32, UserError> {
    let mut lines = group.lines().filter_map(group_line);
    let by_name = lines.find(|line| line.name == wanted).map(|line| line.gid);
    by_name
        .or_else(|| number(wanted))
        .ok_or_else(|| UserError::UnknownGroup(harmless(wanted.as_bytes())))
}

fn groups_of(user: &str, main: u32, group: &str) -> Vec<u32> {
    let lines = group.lines().filter_map(group_line);
    let mut groups: Vec<u32> = lines
        .filter(|line| line.members.split(',').any(|member| member == user))
        .map(|line| line.gid)
        .filter(|gid| *gid != main)
        .take(GROUPS_MAX)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn passwd_line(line: &str) -> Option<PasswdLine<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let uid = number(fields.next()?)?;
    let gid = number(fields.next()?)?;
    let _comment = fields.next()?;
    let home = fields.next().unwrap_or("");
    Some(PasswdLine {
        name,
        uid,
        gid,
        home,
    })
}

fn group_line(line: &str) -> Option<GroupLine<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let gid = number(fields.next()?)?;
    let members = fields.next().unwrap_or("");
    Some(GroupLine { name, gid, members })
}

/// A number of a user or group; the largest means "unchanged" to the kernel.
fn number(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        broken line\n\
        app:x:1000:1000:App,,,:/srv/app:/bin/false\n\
        4242:x:7:7::relative:\n";
    const GROUP: &str =
        "root:x:0:\napp:x:1000:\nvideo:x:44:app,other\naudio:x:29:app\nstaff:x:50:\n";

    fn user(text: &str) -> Result<User, String> {
        resolve(text, PASSWD, GROUP).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_means_root() {
        let root = user("").unwrap();
        assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, "/root"));
        assert_eq!(resolve("", "", "").unwrap().home, "/");
    }

    #[test]
    fn a_name_brings_its_group_its_further_groups_and_its_home() {
        let app = user("app").unwrap();
        assert_eq!(
            (app.uid, app.gid, app.home.as_str()),
            (1000, 1000, "/srv/app")
        );
        assert_eq!(app.groups, [29, 44]);
        assert_eq!(user("1000").unwrap(), app);
    }

    #[test]
    fn a_group_that_is_named_is_the_only_one() {
        let app = user("app:staff").unwrap();
        assert_eq!((app.gid, app.groups.len()), (50, 0));
        assert_eq!(user("1000:60000").unwrap().gid, 60000);
        assert_eq!(user(":staff").unwrap().uid, 0);
    }

    #[test]
    fn a_number_need_not_be_known() {
        let stranger = user("31337").unwrap();
        assert_eq!(
            (stranger.uid, stranger.gid, stranger.name),
            (31337, 0, None)
        );
    }

    #[test]
    fn a_name_that_looks_like_a_number_is_a_name() {
        let odd = user("4242").unwrap();
        assert_eq!((odd.uid, odd.home.as_str()), (7, "/"));
    }

    #[test]
    fn unknown_names_and_odd_forms_are_refused_by_what_they_are() {
        for (text, part) in [
            ("nobody", "no user"),
            ("app:wheel", "no group"),
            ("app:", "malformed"),
            ("a:b:c", "malformed"),
            ("4294967295", "no user"),
            ("-1", "no user"),
            ("+1", "no user"),
        ] {
            let error = user(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_files_make_it_panic(text in ".*", passwd in ".*", group in ".*") {
            let _ = resolve(&text, &passwd, &group);
        }
    }
}
