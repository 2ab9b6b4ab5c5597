//! The program at a real terminal, with somebody who types.
//!
//! What it draws goes through a terminal emulator, so that tests look at what a
//! person sees. Every wait is for a state of that screen, and has a limit.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::rig::{Call, Plane};

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// Ctrl-C and Ctrl-D, as a terminal sends them.
pub(crate) const CTRL_C: &str = "\u{3}";
pub(crate) const CTRL_D: &str = "\u{4}";
pub(crate) const DOWN: &str = "\u{1b}[B";

/// What is on the screen, and all that was written there.
struct Drawn {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

type Screen = Arc<(Mutex<Drawn>, Condvar)>;

/// The program while it runs.
pub(crate) struct Session {
    keys: File,
    screen: Screen,
    ended: Receiver<ExitStatus>,
    pid: Pid,
    /// Held, so that its modes can be looked at when the program is gone.
    tty: File,
    modes: String,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) screen: String,
}

impl Session {
    /// Starts the program at a terminal of this size.
    pub(crate) fn start(call: Call, (columns, rows): (u16, u16)) -> Self {
        Self::start_with(call, (columns, rows), None)
    }

    /// The same, with its result going to a file.
    pub(crate) fn start_with(
        call: Call,
        (columns, rows): (u16, u16),
        result: Option<&Path>,
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let tty = File::options().read(true).write(true).open(name).unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&tty, size).unwrap();
        let modes = format!("{:?}", tcgetattr(&tty).unwrap());
        let mut command = at_terminal(call);
        command
            .stdin(Stdio::from(OwnedFd::from(tty.try_clone().unwrap())))
            .stderr(Stdio::from(OwnedFd::from(tty.try_clone().unwrap())))
            .stdout(match result {
                Some(path) => Stdio::from(File::create(path).unwrap()),
                None => Stdio::from(OwnedFd::from(tty.try_clone().unwrap())),
            });
        let mut child = command.spawn().unwrap();
        // The command still holds ends of the terminal.
        drop(command);
        let pid = Pid::from_child(&child);
        let (send, ended) = channel();
        thread::spawn(move || send.send(child.wait().unwrap()));
        let blank = Drawn {
            parser: emulator(columns, rows),
            bytes: Vec::new(),
        };
        let screen: Screen = Arc::new((Mutex::new(blank), Condvar::new()));
        let keys = File::from(master);
        draw(keys.try_clone().unwrap(), screen.clone());
        Self {
            keys,
            screen,
            ended,
            pid,
            tty,
            modes,
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub(crate) fn see(&self, text: &str) {
        let (screen, drawn) = &*self.screen;
        let missing = |drawn: &mut Drawn| !drawn.parser.screen().contents().contains(text);
        let guard = screen.lock().unwrap();
        let (guard, waited) = drawn.wait_timeout_while(guard, LIMIT, missing).unwrap();
        let contents = guard.parser.screen().contents();
        drop(guard);
        assert!(
            !waited.timed_out(),
            "{text:?} is not to be seen:\n{contents}"
        );
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a question and answers it.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, keys: &str) {
        self.see(question);
        self.press(keys);
        self.press("\r");
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.drawn(|drawn| drawn.parser.screen().contents())
    }

    fn drawn<T>(&self, look: impl FnOnce(&Drawn) -> T) -> T {
        look(&self.screen.0.lock().unwrap())
    }

    /// All that was written to the terminal.
    pub(crate) fn bytes(&self) -> String {
        self.drawn(|drawn| String::from_utf8_lossy(&drawn.bytes).into_owned())
    }

    /// Whether nothing on the screen has a colour.
    pub(crate) fn is_plain(&self) -> bool {
        self.drawn(|drawn| {
            let screen = drawn.parser.screen();
            let (rows, columns) = screen.size();
            let cells =
                (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            cells
                .filter_map(|(row, column)| screen.cell(row, column))
                .all(|cell| cell.fgcolor() == vt100::Color::Default)
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits for the end. The terminal must be as it was.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        let ended = self.ended.recv_timeout(LIMIT);
        if ended.is_err() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
        assert!(ended.is_ok(), "it does not end:\n{}", self.screen());
        let status = ended.unwrap();
        let modes = format!("{:?}", tcgetattr(&self.tty).unwrap());
        assert_eq!(modes, self.modes, "the modes of the terminal");
        // What was drawn at last may still be on its way.
        writeln!(&self.tty, "\r\nthe end").unwrap();
        self.see("the end");
        let is_hidden = self.drawn(|drawn| drawn.parser.screen().hide_cursor());
        assert!(!is_hidden, "the cursor is hidden");
        Ended {
            code: status.code().expect("it ends by itself"),
            screen: self.screen(),
        }
    }
}

/// Takes a text away again, key by key.
pub(crate) fn erase(session: &mut Session, text: &str) {
    session.press(&"\u{7f}".repeat(text.chars().count()));
}

/// The command with the terminal as its own, as a shell starts it.
fn at_terminal(call: Call) -> Command {
    let inner = call.command();
    let mut command = Command::new("/usr/bin/setsid");
    command
        .arg("--ctty")
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear();
    if let Some(dir) = inner.get_current_dir() {
        command.current_dir(dir);
    }
    for (key, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    command
}

fn emulator(columns: u16, rows: u16) -> vt100::Parser {
    let [rows, columns] = [rows, columns].map(|size| NonZero::new(size).unwrap());
    vt100::Parser::new(rows, columns, 0)
}

/// Draws until the terminal is gone.
fn draw(mut master: File, screen: Screen) {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(len @ 1..) = master.read(&mut bytes) {
            let (screen, drawn) = &*screen;
            let mut screen = screen.lock().unwrap();
            screen.parser.process(&bytes[..len]);
            screen.bytes.extend_from_slice(&bytes[..len]);
            drawn.notify_all();
        }
    });
}

/// Sits down once for each question, answers those before it, and leaves there: this is
/// told, nothing is left behind, and `look` finds nothing changed.
pub(crate) async fn leave_at_each(
    (plane, arguments): (&Plane, &str),
    steps: &[(&str, &str)],
    told: &str,
    look: impl AsyncFn(),
) {
    for (at, key) in (0..steps.len()).zip([CTRL_C, CTRL_D].into_iter().cycle()) {
        let desk = Desk::new(plane, &[]);
        let mut session = desk.sit(arguments);
        for (question, keys) in &steps[..at] {
            session.see(question);
            session.press(keys);
        }
        session.see(steps[at].0);
        session.press(key);
        let ended = session.end();
        assert_eq!(ended.code, 130, "{}", ended.screen);
        assert!(ended.screen.contains(told), "{}", ended.screen);
        assert_eq!(desk.left(), Vec::<PathBuf>::new());
        look().await;
    }
}

/// A person with a scripted editor and a place for temporary files.
pub(crate) struct Desk<'a> {
    pub(crate) plane: &'a Plane,
}

impl<'a> Desk<'a> {
    /// An editor that does `replies` one after the other, each a piece of shell
    /// about the file `$1`, and nothing after them.
    pub(crate) fn new(plane: &'a Plane, replies: &[&str]) -> Self {
        let home = plane.home.path();
        let _ = fs::create_dir(home.join("tmp"));
        for path in fs::read_dir(home).unwrap() {
            let path = path.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("reply.") || name.starts_with("seen.") || name == "count" {
                fs::remove_file(path).unwrap();
            }
        }
        for (number, reply) in (1..).zip(replies) {
            plane.file(&format!("reply.{number}"), reply);
        }
        let script = "here=$1; shift\nn=$(( $(cat \"$here/count\" 2>/dev/null || echo 0) + 1 ))\n\
                      echo $n > \"$here/count\"\ncp \"$1\" \"$here/seen.$n\"\n\
                      test ! -e \"$here/reply.$n\" || . \"$here/reply.$n\"\n";
        plane.file("editor", script);
        Self { plane }
    }

    /// The program as this person calls it.
    pub(crate) fn cwic(&self, arguments: &str) -> Call {
        let home = self.plane.home.path().display();
        self.plane
            .cwic(arguments)
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color")
            .env("TMPDIR", &format!("{home}/tmp"))
            .env("EDITOR", &format!("sh {home}/editor {home}"))
    }

    /// The program at a terminal of the usual size.
    pub(crate) fn sit(&self, arguments: &str) -> Session {
        Session::start(self.cwic(arguments), (100, 70))
    }

    /// What the editor was given for the nth time.
    pub(crate) fn seen(&self, number: usize) -> String {
        let path = self.plane.home.path().join(format!("seen.{number}"));
        fs::read_to_string(path).unwrap()
    }

    /// How often the editor was opened.
    pub(crate) fn opened(&self) -> usize {
        let count = fs::read_to_string(self.plane.home.path().join("count"));
        count.map_or(0, |count| count.trim().parse().unwrap())
    }

    /// The files that are left behind.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let dirs = fs::read_dir(self.plane.home.path().join("tmp")).unwrap();
        dirs.map(|entry| entry.unwrap().path()).collect()
    }

    /// The text that was kept, whose path the screen tells.
    #[track_caller]
    pub(crate) fn kept(&self, ended: &Ended) -> String {
        let left = self.left();
        assert_eq!(left.len(), 1, "{left:?}\n{}", ended.screen);
        let mut files = fs::read_dir(&left[0]).unwrap();
        let path = files.next().unwrap().unwrap().path();
        // The path is longer than the terminal is wide.
        let screen = ended.screen.replace('\n', "");
        assert!(
            screen.contains(&path.display().to_string()),
            "{}",
            ended.screen
        );
        fs::read_to_string(path).unwrap()
    }

    /// The names of all profiles.
    pub(crate) async fn profiles(&self) -> String {
        self.plane
            .cwic("sandbox profile ls -o name")
            .run()
            .await
            .ok()
            .to_owned()
    }
}
