//! The real program once; stand-ins for what it may do wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::testing::open_store;

/// A root file system in the making, by a script instead of the program.
struct Standin {
    folder: tempfile::TempDir,
    recipe: DebianRecipe,
}

impl Standin {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let recipe = DebianRecipe {
            program,
            ..DebianRecipe::python()
        };
        Self { folder, recipe }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    async fn build(&self) -> Result<Arc<Image>, ImageError> {
        let store = open_store(&self.store()).await;
        let name = "python:3.11".parse().unwrap();
        store
            .build_debian(&name, &self.recipe, &Progress::none())
            .await
    }

    fn left(&self) -> usize {
        let entries = std::fs::read_dir(self.store().join("temporary"));
        entries.map_or(0, Iterator::count)
    }
}

#[test]
fn the_script_for_the_new_root_holds_no_quote() {
    assert!(!include_str!("finish.sh").contains('\''));
}

#[tokio::test]
async fn a_real_root_file_system_runs_python_and_shells() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let name = "python:3.11".parse().unwrap();
    let (progress, mut events) = Progress::channel();
    let image = store
        .build_debian(&name, &DebianRecipe::python(), &progress)
        .await
        .unwrap();
    assert!(events.try_recv().is_ok());
    assert_eq!(store.list().await.unwrap()[0].origin, Some(Origin::Built));
    assert_eq!(image.config.cmd, ["python3"]);
    assert_eq!(image.config.env("LANG"), Some("C.UTF-8"));
    println!("the image has {} bytes", image.bytes);
    assert!(image.bytes < 200 << 20, "{}", image.bytes);

    let root = image.lower_dirs[0].as_path();
    assert_eq!(run(root, &["python3", "-c", "print(1)"]), "1\n");
    assert_eq!(run(root, &["python", "--version"])[..11], *"Python 3.11");
    assert_eq!(run(root, &["sh", "-c", "echo $((1 + 1))"]), "2\n");
    assert_eq!(
        run(root, &["bash", "-c", "echo ${BASH_VERSION%%.*}"]),
        "5\n"
    );
    assert_eq!(run(root, &["awk", "BEGIN { print 3 }"]), "3\n");
    assert_eq!(run(root, &["id", "-un"]), "root\n");
    assert!(run(root, &["ldconfig", "-p"]).contains("libc.so.6"));
    assert_eq!(run(root, &["which", "tar"]), "/usr/bin/tar\n");
    let script = "import ssl, pwd, sqlite3, json, os\n\
        c = ssl.create_default_context(); assert len(c.get_ca_certs()) > 100\n\
        assert pwd.getpwnam(\"nobody\").pw_uid == 65534\n\
        assert json.__cached__ and os.path.exists(json.__cached__)\n\
        assert os.stat(\"/tmp\").st_mode & 0o7777 == 0o1777\n\
        assert os.readlink(\"/bin\") == \"usr/bin\"\n\
        import locale; assert locale.setlocale(locale.LC_ALL, \"\") == \"C.UTF-8\"\n\
        assert not os.path.exists(\"/etc/resolv.conf\")";
    run(root, &["python3", "-c", script]);
}

/// Runs a program in a root file system; it may change nothing of ours.
fn run(root: &Path, command: &[&str]) -> String {
    let output = Command::new("chroot")
        .arg(root)
        .args(command)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_with_its_package() {
    let mut standin = Standin::new("");
    standin.recipe.program = "/nowhere/mmdebstrap".into();
    let refused = standin.build().await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "mmdebstrap is needed for that and not installed; run `apt-get install mmdebstrap`"
    );
}

#[tokio::test]
async fn a_program_that_fails_is_told_with_its_last_words() {
    let standin = Standin::new("seq 1000 >&2; echo 'E: no such \x1b suite' >&2; exit 25");
    let refused = standin.build().await.unwrap_err();
    assert!(
        matches!(refused, ImageError::ToolFailed { .. }),
        "{refused}"
    );
    let text = refused.to_string();
    assert!(
        text.contains("25") && text.contains(r"E: no such \x1b suite"),
        "{text}"
    );
    assert!(text.len() < 500, "{text}");
    assert_eq!(standin.left(), 0);
}

#[tokio::test]
async fn a_program_that_writes_without_end_is_ended() {
    let mut standin = Standin::new("echo x; exec cat /dev/zero");
    standin.recipe.bytes_max = 1 << 20;
    let refused = standin.build().await.unwrap_err();
    assert!(matches!(refused, ImageError::TooLarge { .. }), "{refused}");
    assert_eq!(standin.left(), 0);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_its_children() {
    let mut standin = Standin::new("mkfifo $TMPDIR/p; cat $TMPDIR/p & echo $! > $0.child; wait");
    standin.recipe.time_max = Duration::from_millis(500);
    let refused = standin.build().await.unwrap_err();
    assert!(matches!(refused, ImageError::TimedOut { .. }), "{refused}");
    let child = std::fs::read_to_string(standin.folder.path().join("program.child")).unwrap();
    let child = PathBuf::from(format!("/proc/{}/cmdline", child.trim()));
    let ended = async {
        // A zombie has no command line any more.
        while std::fs::read(&child).is_ok_and(|line| !line.is_empty()) {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, ended)
        .await
        .expect("the child must end");
    assert_eq!(standin.left(), 0);
}

#[tokio::test]
async fn an_archive_that_is_none_is_refused_and_leaves_nothing() {
    let standin = Standin::new("head -c 4096 /dev/zero | tr '\\0' x");
    assert!(standin.build().await.is_err());
    assert_eq!(standin.left(), 0);
}

#[tokio::test]
async fn a_recipe_with_an_option_for_a_package_runs_nothing() {
    let mut standin = Standin::new("touch $0.ran");
    standin.recipe.packages.push("a,--setup-hook=x".to_owned());
    let refused = standin.build().await.unwrap_err();
    assert!(
        matches!(refused, ImageError::Unsupported { .. }),
        "{refused}"
    );
    assert!(!standin.folder.path().join("program.ran").exists());
}
