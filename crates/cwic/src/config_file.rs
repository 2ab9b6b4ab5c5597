//! The file in which `cwic auth login` keeps server and token.
//!
//! YAML below `$XDG_CONFIG_HOME/cwic`, readable by its owner alone, replaced as
//! a whole. Logins are kept by name, so that several servers can be; what this
//! version does not know is kept as it was.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use palisade_wire::document::{self, Format};
use serde_json::{Map, Value, json};

use crate::error::{CliError, Exit};

/// The name of the login that is used unless another one is chosen.
const DEFAULT: &str = "default";

/// Nobody but the owner.
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// The file and what it holds.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    content: Map<String, Value>,
}

/// A server and the token for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login {
    /// The address as it was given.
    pub(crate) server: Option<String>,
    /// The token.
    pub(crate) token: Option<crate::cli::Secret>,
    /// The file with the authorities that vouch for the server.
    pub(crate) ca_file: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the file; an absent one is empty.
    pub(crate) fn load(directory: &Path) -> Result<Self, CliError> {
        let path = directory.join("cwic").join("config.yaml");
        let content = match fs::read(&path) {
            Ok(bytes) => parse(&path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(unreadable(&path, &error.to_string())),
        };
        Ok(Self { path, content })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all logins, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let contexts = self.content.get("contexts").and_then(Value::as_object);
        let mut names: Vec<_> = contexts.into_iter().flat_map(Map::keys).cloned().collect();
        names.sort();
        names
    }

    /// The name of the login that is used unless another one is chosen.
    pub(crate) fn current(&self) -> &str {
        let current = self.content.get("current_context");
        current.and_then(Value::as_str).unwrap_or(DEFAULT)
    }

    /// The login of this name.
    pub(crate) fn login(&self, name: &str) -> Login {
        let context = &self.content.get("contexts").and_then(|all| all.get(name));
        let text = |key: &str| Some(context.as_ref()?.get(key)?.as_str()?.to_owned());
        Login {
            server: text("server"),
            token: text("token").map(crate::cli::Secret),
            ca_file: text("ca_file").map(PathBuf::from),
        }
    }

    /// Keeps a login under a name, which is used from now on.
    pub(crate) fn keep(
        &mut self,
        name: &str,
        (server, token): (&str, &str),
        ca_file: Option<&Path>,
    ) -> Result<(), CliError> {
        let contexts = self.content.entry("contexts").or_insert_with(|| json!({}));
        contexts[name] = json!({ "server": server, "token": token });
        if let Some(path) = ca_file {
            contexts[name]["ca_file"] = json!(path.to_string_lossy());
        }
        self.make_current(name)
    }

    /// Uses the login of this name from now on.
    pub(crate) fn make_current(&mut self, name: &str) -> Result<(), CliError> {
        self.content
            .insert("current_context".to_owned(), name.into());
        self.save()
    }

    /// Forgets a login altogether.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), CliError> {
        let contexts = self.content.get_mut("contexts");
        if let Some(contexts) = contexts.and_then(Value::as_object_mut) {
            contexts.shift_remove(name);
        }
        if self.current() == name {
            self.content.shift_remove("current_context");
        }
        self.save()
    }

    /// Forgets the token of a login; the server stays. Returns whether there
    /// was one.
    pub(crate) fn forget(&mut self, name: &str) -> Result<bool, CliError> {
        let login = self
            .content
            .get_mut("contexts")
            .and_then(|contexts| contexts.get_mut(name))
            .and_then(Value::as_object_mut);
        let had_token = login.is_some_and(|login| login.remove("token").is_some());
        if had_token {
            self.save()?;
        }
        Ok(had_token)
    }

    fn save(&self) -> Result<(), CliError> {
        let text = document::to_yaml(&Value::Object(self.content.clone()));
        write_private(&self.path, &text).map_err(|error| {
            CliError::new(
                Exit::Failure,
                format!("{} cannot be written", self.path.display()),
            )
            .because(error.to_string())
            .next("set XDG_CONFIG_HOME to a directory that you can write to")
        })
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, CliError> {
    let document = document::parse(bytes, Format::Yaml)
        .map_err(|fault| unreadable(path, &fault.to_string()))?;
    if let Value::Object(content) = document.to_value()
        && content.get("contexts").is_none_or(Value::is_object)
    {
        return Ok(content);
    }
    Err(unreadable(path, "it is not a map of logins"))
}

fn unreadable(path: &Path, why: &str) -> CliError {
    CliError::new(Exit::Usage, format!("{} cannot be used", path.display()))
        .because(why)
        .next("mend or delete the file, then log in again: cwic auth login --server URL")
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    if !directory.exists() {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(PRIVATE_DIRECTORY))?;
    }
    // A link stays one, and two processes do not write the same file.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(&unfinished)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_alone_and_forgotten_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ConfigFile::load(folder.path()).unwrap();
        assert!(file.login("default").server.is_none());
        file.keep("default", ("http://127.0.0.1:1", "secret"), None)
            .unwrap();

        let mut file = ConfigFile::load(folder.path()).unwrap();
        let login = file.login("default");
        assert_eq!(login.server.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(login.token.unwrap().0, "secret");
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        assert!(file.forget("default").unwrap());
        let file = ConfigFile::load(folder.path()).unwrap();
        assert!(file.login("default").token.is_none());
        assert!(file.login("default").server.is_some());
    }

    #[test]
    fn logins_are_kept_by_name_and_one_of_them_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ConfigFile::load(folder.path()).unwrap();
        file.keep("b", ("http://127.0.0.1:1", "secret"), None)
            .unwrap();
        file.keep("a", ("http://127.0.0.1:2", "secret"), None)
            .unwrap();
        assert_eq!(
            (file.current(), file.names()),
            ("a", vec!["a".into(), "b".into()])
        );
        file.make_current("b").unwrap();
        file.remove("b").unwrap();
        let file = ConfigFile::load(folder.path()).unwrap();
        assert_eq!(
            (file.current(), file.names()),
            ("default", vec!["a".into()])
        );
    }

    #[test]
    fn a_damaged_file_is_refused_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cwic")).unwrap();
        fs::write(folder.path().join("cwic/config.yaml"), "contexts: [1]").unwrap();
        assert!(ConfigFile::load(folder.path()).is_err());
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cwic")).unwrap();
        fs::write(folder.path().join("cwic/config.yaml"), "later: 1\n").unwrap();
        let mut file = ConfigFile::load(folder.path()).unwrap();
        file.keep("default", ("http://127.0.0.1:1", "secret"), None)
            .unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("later: 1"), "{text}");
    }
}
