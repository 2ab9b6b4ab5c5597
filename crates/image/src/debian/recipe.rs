//! Which packages make an image.
//!
//! The texts become arguments of a program that root runs, so each is checked:
//! none can be taken for an option or for more than one word.

use std::path::PathBuf;
use std::time::Duration;

/// What an image of Debian's packages consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianRecipe {
    /// The release, such as `bookworm`.
    pub suite: String,
    /// Where packages come from; `None` means where this machine has them from.
    pub mirror: Option<String>,
    /// The packages; what they depend on comes along.
    pub packages: Vec<String>,
    /// What the image runs if nothing else is asked for.
    pub cmd: Vec<String>,
    /// How long the making may take.
    pub time_max: Duration,
    /// The bytes that the packages may unpack to.
    pub bytes_max: u64,
    /// The program that makes a root file system; other than `mmdebstrap` only
    /// in tests.
    pub(super) program: PathBuf,
}

impl Default for DebianRecipe {
    fn default() -> Self {
        Self::python()
    }
}

/// Why a recipe cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// No release has such a name.
    #[error("the release {0:?} is no name; write it as Debian does, such as bookworm")]
    Suite(String),
    /// No package has such a name.
    #[error("the package {0:?} is no name; write it as Debian does, such as python3-minimal")]
    Package(String),
    /// No place for packages has such an address.
    #[error("the mirror {0:?} is no address; write it as http://host/debian")]
    Mirror(String),
}

/// What the shell, the interpreter and programs that people expect need.
const PYTHON_PACKAGES: [&str; 21] = [
    "base-files",
    "base-passwd",
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "mawk",
    "netbase",
    "procps",
    "python-is-python3",
    "python3",
    "sed",
    "tar",
    "util-linux",
];

impl DebianRecipe {
    /// Python 3.11 with a shell, as bookworm has it.
    pub fn python() -> Self {
        Self {
            suite: "bookworm".to_owned(),
            mirror: None,
            packages: PYTHON_PACKAGES.map(str::to_owned).to_vec(),
            cmd: vec!["python3".to_owned()],
            time_max: Duration::from_mins(15),
            bytes_max: 4 << 30,
            program: "mmdebstrap".into(),
        }
    }

    /// Refuses what could be taken for something else than it is.
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        if !is_name(&self.suite) {
            return Err(RecipeError::Suite(self.suite.clone()));
        }
        if let Some(bad) = self.packages.iter().find(|package| !is_name(package)) {
            return Err(RecipeError::Package(bad.clone()));
        }
        match &self.mirror {
            Some(mirror) if !is_address(mirror) => Err(RecipeError::Mirror(mirror.clone())),
            Some(_) | None => Ok(()),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 100
        && text.starts_with(is_edge)
        && text.chars().all(|c| is_edge(c) || "+-.".contains(c))
}

fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "./:_-~".contains(c);
    text.len() <= 500 && rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_for_python_is_good() {
        assert_eq!(DebianRecipe::python().check(), Ok(()));
    }

    #[test]
    fn texts_that_would_be_options_or_several_words_are_refused() {
        for bad in [
            "--setup-hook=x",
            "a,b",
            "a b",
            "A",
            "",
            "a/b",
            "?essential",
            "a\n",
        ] {
            let mut recipe = DebianRecipe::python();
            recipe.packages.push(bad.to_owned());
            assert_eq!(recipe.check(), Err(RecipeError::Package(bad.to_owned())));
            let mut recipe = DebianRecipe::python();
            recipe.suite = bad.to_owned();
            assert_eq!(recipe.check(), Err(RecipeError::Suite(bad.to_owned())));
        }
        for bad in [
            "deb http://x y",
            "file:///etc",
            "http://",
            "http://u:p@x",
            "-",
        ] {
            let mut recipe = DebianRecipe::python();
            recipe.mirror = Some(bad.to_owned());
            assert_eq!(recipe.check(), Err(RecipeError::Mirror(bad.to_owned())));
        }
        let mut recipe = DebianRecipe::python();
        recipe.mirror = Some("http://mirror.example/debian".to_owned());
        assert_eq!(recipe.check(), Ok(()));
    }
}
