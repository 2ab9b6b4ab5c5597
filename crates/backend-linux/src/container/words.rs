//! The words of an OCI runtime, for people who see only the sandbox.
//!
//! A runtime names paths of the host. What lies below the root of a sandbox is
//! told as it is called inside; of the runner's own directories nothing is told.
//! The runtime's log beside the sandbox keeps the words as they were.

use std::path::{Path, PathBuf};

/// Stands for what is left out.
const LEFT_OUT: &str = "…";
/// What ends a path in a sentence, beside white space.
const ENDS: &[char] = &['`', '"', '\'', '\\', ':', ',', ';', ')', ']', '}', '>'];

/// Directories of the host that a runtime may name.
#[derive(Debug)]
pub(super) struct Places {
    /// Where the root of the sandbox is.
    roots: Vec<String>,
    /// What belongs to the runner; the root may be in it.
    own: Vec<String>,
}

impl Places {
    pub(super) fn new(root: &Path, own: &[&Path]) -> Self {
        let own = own.iter().flat_map(|path| spellings(path));
        Self {
            roots: spellings(root),
            // The root has to be found if nothing around it is.
            own: own.chain(spellings(root)).collect(),
        }
    }

    /// The text without what is of the host.
    pub(super) fn leave_out(&self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, len)) = self.next(rest) {
            told.push_str(&rest[..at]);
            let found = &rest[at..];
            let is_end = |c: char| c.is_whitespace() || ENDS.contains(&c);
            let end = found[len..]
                .find(is_end)
                .map_or(found.len(), |end| len + end);
            told.push_str(self.inside(&found[..end]).unwrap_or(LEFT_OUT));
            rest = &found[end..];
        }
        told.push_str(rest);
        told
    }

    /// Where the next path of the host begins, and how much of it is known.
    fn next(&self, text: &str) -> Option<(usize, usize)> {
        let found = self.own.iter();
        let found = found.filter_map(|own| Some((text.find(own.as_str())?, own.len())));
        found.min_by_key(|(at, len)| (*at, usize::MAX - len))
    }

    /// What a path of the host is called in the sandbox, if it is there at all.
    fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        let inside = self
            .roots
            .iter()
            .find_map(|root| path.strip_prefix(root.as_str()))?;
        match inside {
            "" => Some("/"),
            inside => inside.starts_with('/').then_some(inside),
        }
    }
}

/// A path as it was given, and as a runtime calls it that follows links.
fn spellings(path: &Path) -> Vec<String> {
    let given = Some(path.to_owned());
    let all = given.into_iter().chain(path.canonicalize());
    let texts = all.filter_map(|path: PathBuf| path.into_os_string().into_string().ok());
    let mut texts: Vec<_> = texts.filter(|text| text.len() > 1).collect();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let own = ["/run/p/1", "/var/lib/p"].map(Path::new);
        Places::new(Path::new("/run/p/1/mount/root"), &own).leave_out(text)
    }

    #[test]
    fn what_is_in_the_sandbox_is_called_as_it_is_there() {
        for (said, expected) in [
            (
                "open `/run/p/1/mount/root/x/a/b`: Not a directory",
                "open `/x/a/b`: Not a directory",
            ),
            ("no /run/p/1/mount/root", "no /"),
            (
                r#"msg="rootfs \"/run/p/1/mount/root/etc\" and /run/p/1/mount/root/b c""#,
                r#"msg="rootfs \"/etc\" and /b c""#,
            ),
            // The sandbox may have such a path as well.
            ("`/run/p/1/mount/root/run/p/1/x`", "`/run/p/1/x`"),
        ] {
            assert_eq!(told(said), expected);
        }
    }

    #[test]
    fn nothing_is_told_of_the_directories_of_the_runner() {
        for (said, expected) in [
            (
                "mount `/run/p/1/mount/file-system` to `bin/sh`: Not a directory",
                "mount `…` to `bin/sh`: Not a directory",
            ),
            ("open /var/lib/p/sandboxes/x/bundle/config.json", "open …"),
            ("/run/p/1/mount/rooted/x: /var/lib/p", "…: …"),
            (
                "executable file `/bin/sh` not found",
                "executable file `/bin/sh` not found",
            ),
        ] {
            assert_eq!(told(said), expected);
        }
    }

    #[test]
    fn a_directory_that_a_link_leads_to_is_known_by_both_names() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let (real, link) = (place.join("real"), place.join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let places = Places::new(&link.join("root"), &[&link]);
        for named in [real, link] {
            let text = format!("open {}/secret", named.display());
            assert_eq!(places.leave_out(&text), "open …");
        }
    }
}
