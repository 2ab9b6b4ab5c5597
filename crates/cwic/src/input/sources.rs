//! What `-f` names: files, directories of them, and standard input.
//!
//! A directory stands for the files in it that end like documents, in the order
//! of their names; those below are not looked at. Everything is bounded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use palisade_wire::document::STREAM_BYTES_MAX;

use crate::error::{CliError, Exit};

/// The most files that are read at once.
const FILES_MAX: usize = 10_000;

/// How the names of documents end.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A text and where it came from.
#[derive(Debug)]
pub(super) struct Text {
    /// What people call it.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads everything that was named, in order.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Text>, CliError> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(
            CliError::new(Exit::Usage, "standard input cannot be read twice")
                .because("-f - is given more than once")
                .next("name it once, and give the other documents as files"),
        );
    }
    let mut files = Vec::new();
    for path in paths {
        if !is_stdin(path) && path.is_dir() {
            files.extend(in_directory(path)?);
        } else {
            files.push(path.clone());
        }
        if files.len() > FILES_MAX {
            let what = format!("more than {FILES_MAX} files are named");
            return Err(CliError::new(Exit::Usage, what).next("apply them in several steps"));
        }
    }
    files.iter().map(|path| read_one(path)).collect()
}

fn in_directory(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let name = name_of(path);
    let listed = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let listed = listed.map_err(|error| unreadable(&name, &error.to_string()))?;
    let ends_well = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| {
            ENDINGS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(ending))
        })
    };
    let mut files: Vec<_> = listed
        .iter()
        .map(fs::DirEntry::path)
        .filter(ends_well)
        .collect();
    if files.is_empty() {
        return Err(
            CliError::new(Exit::Usage, format!("{name} holds no documents"))
                .because("it is a directory without a file that ends in .yaml, .yml or .json")
                .next("name the files, or a directory that holds them"),
        );
    }
    files.sort();
    Ok(files)
}

fn read_one(path: &Path) -> Result<Text, CliError> {
    let name = name_of(path);
    if !is_stdin(path) && path.is_dir() {
        return Err(CliError::new(Exit::Usage, format!("{name} cannot be read"))
            .because("it is a directory inside of another one")
            .next(format!("name it by itself: -f {name}")));
    }
    let read = if is_stdin(path) {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    };
    let bytes = read.map_err(|error| unreadable(&name, &error.to_string()))?;
    Ok(Text { name, bytes })
}

fn unreadable(name: &str, why: &str) -> CliError {
    CliError::new(Exit::Usage, format!("{name} cannot be read"))
        .because(why)
        .next("check the path, or use - for standard input")
}

fn name_of(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads one byte more than is allowed at most, so that too much is noticed.
fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = STREAM_BYTES_MAX as u64 + 1;
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
