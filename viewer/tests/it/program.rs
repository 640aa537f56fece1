//! The program itself: how it starts, what it refuses, how it ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{files, server::Answer};

/// The program, until it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) lines: Vec<String>,
    _output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it and waits until it has said where it listens.
    pub(crate) fn start(change: impl FnOnce(&mut Command) -> &mut Command, lines: usize) -> Self {
        let mut command = program();
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut said = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            said.push(line.trim_end().to_owned());
        }
        let start = said[0].find("http://").unwrap() + "http://".len();
        let address = said[0][start..].split('/').next().unwrap();
        Self {
            child,
            address: address.parse().unwrap(),
            lines: said,
            _output: output,
        }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let host = self.address;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut stream)
    }

    /// Tells it to end, which it has to do soon and in peace.
    #[cfg(unix)]
    fn end(&mut self, signal: &str) {
        let began = Instant::now();
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(kill.success());
        let status = self.child.wait().unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "{signal} took {took:?}");
        assert!(status.success(), "{signal}: {status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, which leaves no trace of what it is shown.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagebox-viewer"));
    command.stdin(Stdio::null()).env_remove("BROWSER");
    command.env("PAGEBOX_VIEWER_NO_RECENT", "1");
    command
}

/// Runs it to its end, which must be soon.
fn refused(arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).arg("--no-open");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    // One that goes on has not refused, and is not waited for.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.code().is_some(),
        "{arguments:?} was not refused"
    );
    assert!(!output.status.success(), "{arguments:?}");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(not(feature = "decoder"))]
#[test]
fn decoder_without_a_compiler_says_how_to_build_one_in() {
    let output = refused(&["--decoder", "queue.wasm"]);
    let said = said(&output);
    assert!(
        said.contains("queue.wasm: ") && said.contains("--features decoder"),
        "{said}"
    );
}

#[cfg(feature = "decoder")]
#[test]
fn what_is_no_decoder_is_refused() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let output = refused(&["--decoder", readme]);
    assert!(said(&output).contains("it cannot be used as a page decoder: "));
    let output = refused(&["--decoder", "nothing.wasm"]);
    assert!(said(&output).contains("nothing.wasm: "));
}

/// Line 1 of the security list.
#[test]
fn address_that_others_reach_needs_a_token_and_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let path = path.to_str().unwrap();
    for arguments in [
        &["--bind", "0.0.0.0"][..],
        &["--bind", "::"],
        &["--bind", "::1"],
        &["--bind", "127.0.0.2"],
        &["--bind", "0.0.0.0", "--token"],
        &["--bind", "0.0.0.0", "--allow-host", "lab.example"],
    ] {
        let output = refused(&[arguments, &[path]].concat());
        assert!(said(&output).contains("--token"), "{}", said(&output));
        assert!(output.stdout.is_empty(), "it never listened");
    }
    let bound = Program::start(
        |command| {
            let arguments = ["--bind", "127.0.0.2", "--token", "--no-open", path];
            command.args(arguments).args(["--allow-host", "127.0.0.2"])
        },
        2,
    );
    assert_eq!(bound.get("/").status, 401);
}

/// Line 1.
#[test]
fn program_listens_on_the_loopback_address_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let program = Program::start(|command| command.arg("--no-open").arg(&path), 1);
    assert_eq!(program.address.ip().to_string(), "127.0.0.1");
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], program.address.port()));
    assert!(TcpStream::connect(elsewhere).is_err());
    assert_eq!(program.get("/").status, 200);
}

/// Line 7.
#[cfg(unix)]
#[test]
fn path_that_is_no_file_is_a_clear_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("a.pages");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let missing = folder.path().join("missing");
    for (path, word) in [
        (&*fifo, "it is a pipe"),
        (Path::new("/dev/zero"), "device"),
        (folder.path(), "folder"),
        (&*missing, "does not exist"),
    ] {
        let text = said(&refused(&[path.to_str().unwrap()]));
        assert!(
            text.to_lowercase().contains(&word.to_lowercase()),
            "{path:?}: {text}"
        );
        assert!(text.starts_with("error: "), "{text}");
    }
}

/// Line 3: the token is in no command line, and only its owner can read the
/// file that hands the link to the browser.
#[cfg(target_os = "linux")]
#[test]
fn token_is_not_in_the_process_list() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let browser = Browser::new(folder.path());
    let program = Program::start(
        |command| {
            command
                .arg("--token")
                .arg(&path)
                .env("BROWSER", &browser.path)
        },
        2,
    );
    let link = program.lines[1].split("http://").nth(1).unwrap();
    let code = link.rsplit('/').next().unwrap();
    assert_eq!(code.len(), 32);
    assert!(!program.lines[0].contains(code));
    let argument = browser.argument();
    assert!(!argument.contains(code), "{argument}");
    let redirect = argument.trim().strip_prefix("file://").unwrap();
    assert!(fs::read_to_string(redirect).unwrap().contains(link));
    let mode = fs::metadata(redirect).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let own = fs::read_to_string(format!("/proc/{}/cmdline", program.child.id())).unwrap();
    assert!(!own.contains(code));
}

#[cfg(unix)]
#[test]
fn browser_of_the_environment_is_opened_at_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let browser = Browser::new(folder.path());
    let program = Program::start(
        |command| command.arg(&path).env("BROWSER", &browser.path),
        1,
    );
    let address = browser.argument();
    assert!(
        address.contains(&format!("http://{}/", program.address)),
        "{address}"
    );
}

/// A browser that writes down what it is to open.
#[cfg(unix)]
struct Browser {
    path: PathBuf,
    seen: PathBuf,
}

#[cfg(unix)]
impl Browser {
    fn new(folder: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let (path, seen) = (folder.join("browser"), folder.join("seen"));
        let script = format!("#!/bin/sh\necho \"$@\" > {}\n", seen.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { path, seen }
    }

    /// What it was told to open, as soon as it is.
    fn argument(&self) -> String {
        let began = Instant::now();
        loop {
            match fs::read_to_string(&self.seen) {
                Ok(argument) if !argument.is_empty() => return argument,
                _ => assert!(
                    began.elapsed() < Duration::from_secs(10),
                    "no browser was opened"
                ),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Line 11.
#[cfg(unix)]
#[test]
fn interrupt_with_an_open_event_stream_ends_the_program_within_three_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let mut program = Program::start(|command| command.arg("--no-open").arg(&path), 1);
    let mut stream = TcpStream::connect(program.address).unwrap();
    let host = program.address;
    let request = format!("GET /f/1/events HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    program.end("-INT");
}

/// The printed address was `http://lab.example:80:43211/`, or `http://::1:80/`,
/// and no request could ever name what was allowed.
#[cfg(unix)]
#[test]
fn name_with_a_port_and_bare_address_make_a_link_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    for (bind, name, host) in [
        ("127.0.0.2", "lab.example", "lab.example:PORT"),
        ("127.0.0.2", "lab.example:8080", "lab.example:8080"),
        ("127.0.0.2", "127.0.0.2", "127.0.0.2:PORT"),
        ("127.0.0.2", "fe80::7", "[fe80::7]:PORT"),
        ("127.0.0.2", "[fe80::7]:8080", "[fe80::7]:8080"),
    ] {
        let port = free_port(bind);
        let host = host.replace("PORT", &port.to_string());
        let mut command = program();
        command.args(["--bind", bind, "--token", "--no-open", "--allow-host", name]);
        command.args(["--port", &port.to_string()]).arg(&path);
        let mut child = Ended(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let mut said = [String::new(), String::new()];
        for line in &mut said {
            output.read_line(line).unwrap();
        }
        let start = format!("http://{host}/");
        assert!(said[0].contains(&format!("{start} ")), "{said:?}");
        let (_, link) = said[1].trim().split_once(&start).unwrap();
        let mut stream = TcpStream::connect((bind, port)).unwrap();
        let request = format!("GET /{link} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(Answer::read(&mut stream).status, 303, "{name}");
    }
    for name in ["http://lab.example/", "lab.example:", "fe80::1%eth0"] {
        let text = said(&refused(&["--allow-host", name, path.to_str().unwrap()]));
        assert!(text.contains("lab.example:8080"), "{text}");
    }
}

/// A port that nothing listens on, as far as one can know.
fn free_port(bind: &str) -> u16 {
    let listener = std::net::TcpListener::bind((bind, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// It ended in a panic when there was no room for the line that says where it
/// is.
#[cfg(target_os = "linux")]
#[test]
fn program_whose_words_find_no_room_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for token in [&[][..], &["--token"]] {
        for (output, error) in [
            (Stdio::from(full()), Stdio::from(full())),
            (unread(), unread()),
        ] {
            let port = free_port("127.0.0.1");
            let mut command = program();
            command
                .args(["--port", &port.to_string()])
                .args(token)
                .arg(&path);
            for name in ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"] {
                command.env_remove(name);
            }
            let mut child = Ended(command.stdout(output).stderr(error).spawn().unwrap());
            let began = Instant::now();
            let mut stream = loop {
                match TcpStream::connect(("127.0.0.1", port)) {
                    Ok(stream) => break stream,
                    Err(_) => assert!(
                        began.elapsed() < Duration::from_mins(1),
                        "it never listened"
                    ),
                }
                assert_eq!(child.0.try_wait().unwrap(), None, "it ended");
                std::thread::sleep(Duration::from_millis(20));
            };
            stream
                .write_all(b"GET /about HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .unwrap();
            let expected = if token.is_empty() { 200 } else { 401 };
            assert_eq!(Answer::read(&mut stream).status, expected);
            assert_eq!(child.0.try_wait().unwrap(), None, "it goes on");
        }
    }
}

/// A limit on the size of files killed it without a word, and left the demo's
/// folder.
#[cfg(target_os = "linux")]
#[test]
fn limit_on_the_size_of_files_is_an_error_that_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let viewer = env!("CARGO_BIN_EXE_pagebox-viewer");
    let script = format!("ulimit -f 16; exec '{viewer}' --demo --no-open");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said(&output).starts_with("error: the demo could not be made"),
        "{output:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// `nohup` is for programs that outlive their terminal.
#[cfg(target_os = "linux")]
#[test]
fn hangup_that_was_ignored_at_the_start_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let viewer = env!("CARGO_BIN_EXE_pagebox-viewer");
    let script = format!("trap '' HUP; exec '{viewer}' --no-open \"$0\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(&path);
    command.env("PAGEBOX_VIEWER_NO_RECENT", "1");
    let mut child = Ended(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let id = child.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(child.0.try_wait().unwrap(), None);
}

/// Without an argument, as `cargo run` starts it.
#[cfg(unix)]
#[test]
fn program_without_a_file_is_the_demo_and_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::start(
            |command| command.arg("--no-open").env("TMPDIR", folder.path()),
            2,
        );
        assert!(program.lines[1].contains("demo"), "{:?}", program.lines);
        assert!(program.get("/").text().contains("rotten page.pages"));
        let made = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(made(), 1);
        program.end(signal);
        assert_eq!(made(), 0, "{signal}");
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn machine_without_a_screen_is_told_the_address_and_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    for window in [&[][..], &["--app"]] {
        let program = Program::start(
            |command| {
                for name in ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"] {
                    command.env_remove(name);
                }
                command.args(window).arg(&path)
            },
            2,
        );
        let said = &program.lines[1];
        assert!(said.contains("No browser could be opened"), "{said}");
        assert_eq!(program.get("/").status, 200);
    }
}

/// A program that is found as `chromium`, and what it does after it has written
/// down what it was told.
#[cfg(unix)]
fn window(folder: &Path, then: &str) -> Browser {
    use std::io::Write;
    let browser = Browser::new(folder);
    let mut script = fs::OpenOptions::new()
        .append(true)
        .open(&browser.path)
        .unwrap();
    writeln!(script, "{then}").unwrap();
    drop(script);
    fs::rename(&browser.path, folder.join("chromium")).unwrap();
    browser
}

/// Starts the program with `--app` where nothing but a folder's browser is
/// found; its script finds what it needs by full paths.
#[cfg(unix)]
fn with_window(folder: &Path, lines: usize) -> Program {
    let path = folder.join("a.pages");
    if !path.exists() {
        drop(files::sample(&path));
    }
    Program::start(
        |command| {
            command.env("PATH", folder).env("DISPLAY", ":99");
            command
                .env("XDG_CACHE_HOME", folder.join("cache"))
                .env("HOME", folder);
            command.arg("--app").arg(&path)
        },
        lines,
    )
}

#[cfg(unix)]
#[test]
fn window_of_its_own_is_opened_where_there_is_a_browser_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let browser = window(folder.path(), "");
    let program = with_window(folder.path(), 1);
    let said = browser.argument();
    let window = said.split_whitespace().next();
    let expected = format!("--app=http://{}/", program.address);
    assert_eq!(window, Some(&*expected));
    assert!(profile_of(&said).is_dir(), "{said}");
    // That one handed the window over, and is no sign of anything.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(program.get("/").status, 200);
}

/// The profile that a browser was told to use.
#[cfg(unix)]
fn profile_of(arguments: &str) -> PathBuf {
    let mut arguments = arguments.split_whitespace();
    let profile = arguments.find_map(|one| one.strip_prefix("--user-data-dir="));
    profile.unwrap().into()
}

/// A second browser with a profile that is in use hands its window over and
/// ends: its viewer went on for ever after that window was closed.
#[cfg(unix)]
#[test]
fn windows_at_one_time_have_profiles_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let browser = window(folder.path(), "/bin/sleep 5");
    let mut programs = Vec::new();
    let mut profiles = Vec::new();
    for _ in 0..2 {
        programs.push(with_window(folder.path(), 1));
        profiles.push(profile_of(&browser.argument()));
        fs::remove_file(&browser.seen).unwrap();
    }
    assert_ne!(profiles[0], profiles[1]);
    for program in &mut programs {
        assert!(program.child.wait().unwrap().success());
    }
    // What a window remembers is there for the next one.
    let _program = with_window(folder.path(), 1);
    assert_eq!(profile_of(&browser.argument()), profiles[0]);
}

/// It went on for ever after its window was closed.
#[cfg(unix)]
#[test]
fn window_that_is_closed_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    window(folder.path(), "/bin/sleep 3");
    let mut program = with_window(folder.path(), 1);
    assert_eq!(program.get("/").status, 200);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = program.child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
}

/// That a browser was started was taken for a window: where it then refused,
/// as it does for root, nothing happened and nothing was said.
#[cfg(unix)]
#[test]
fn window_that_cannot_be_opened_is_told_of_and_the_usual_browser_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    window(folder.path(), "exit 1");
    let program = with_window(folder.path(), 2);
    let said = &program.lines[1];
    assert!(
        said.contains("No browser could open a window of its own"),
        "{said}"
    );
    assert_eq!(program.get("/").status, 200);
}

#[test]
fn folder_stands_for_the_page_files_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.data", "a.pages"] {
        drop(files::sample(&folder.path().join(name)));
    }
    fs::write(folder.path().join("notes.pages"), "not one of them").unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let text = said(&refused(&[below.to_str().unwrap()]));
    assert!(text.contains("no page file in the folder"), "{text}");
    drop(files::sample(&below.join("c.pages")));
    let program = Program::start(|command| command.arg("--no-open").arg(folder.path()), 1);
    let files: serde_json::Value =
        serde_json::from_slice(&program.get("/files.json").body).unwrap();
    let files = files["files"].as_array().unwrap();
    let names: Vec<_> = files.iter().map(|file| &file["file"]["name"]).collect();
    assert_eq!(names, ["a.pages", "b.data"]);
}

/// Line 11.
#[cfg(target_os = "linux")]
#[test]
fn program_connects_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let program = Program::start(|command| command.arg("--no-open").arg(&path), 1);
    for route in files::CRAWL {
        assert_eq!(program.get(route).status, 200);
        for (local, remote) in sockets(program.child.id()) {
            let port = format!(":{:04X}", program.address.port());
            assert!(local.ends_with(&port), "{route}: {local} to {remote}");
        }
    }
}

/// Both ends of every network socket that a process holds.
#[cfg(target_os = "linux")]
fn sockets(process: u32) -> Vec<(String, String)> {
    let held: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| {
            let target = target.to_str()?.strip_prefix("socket:[")?;
            Some(target.trim_end_matches(']').to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let lines = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in lines.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            if columns
                .get(9)
                .is_some_and(|inode| held.iter().any(|one| one == inode))
            {
                found.push((columns[1].to_owned(), columns[2].to_owned()));
            }
        }
    }
    found
}

#[test]
fn demo_shows_a_changing_file_and_one_of_each_kind_of_damage() {
    let program = Program::start(|command| command.args(["--demo", "--no-open"]), 1);
    let files = program.get("/files.json");
    let files: serde_json::Value = serde_json::from_slice(&files.body).unwrap();
    let verdict = |name: &str| {
        files["files"]
            .as_array()
            .unwrap()
            .iter()
            .find(|file| file["file"]["name"] == name)
            .unwrap_or_else(|| panic!("{name} is missing"))["state"]["verdict"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for prefix in ["", "format 0 "] {
        let verdict = |name| verdict(&format!("{prefix}{name}.pages"));
        assert_eq!(verdict("rotten page"), "clean", "the roots are sound");
        assert_eq!(verdict("unfinished commit"), "rolled-back");
        assert_eq!(verdict("truncated"), "damaged");
    }
    assert_eq!(verdict("sound.pages"), "clean");
    assert_eq!(verdict("finished commit.pages"), "rolled-forward");
    assert_eq!(verdict("torn root.pages"), "rolled-back");
    assert_eq!(verdict("format 0.pages"), "clean");
    assert_eq!(verdict("format 0 torn page 0.pages"), "rolled-forward");
    assert_eq!(verdict("format 0 stale side.pages"), "damaged");
    assert_eq!(verdict("not a page file.pages"), "not-a-page-file");
    let generation = || {
        let answer = program.get("/f/1/overview.json");
        let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        value["info"]["generation"].as_u64().unwrap()
    };
    let before = generation();
    let began = Instant::now();
    while generation() == before {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing changes");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn readme_has_the_options_that_help_has() {
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        let options = words.filter(|word| word.starts_with("--") && word.len() > 3);
        options.map(str::to_owned).collect()
    };
    let listed = help.split_once("Options:").unwrap().1;
    let listed = listed.split_once("Examples:").unwrap().0;
    let mut expected = options(listed);
    expected.remove("--help");
    expected.remove("--version");
    let readme = include_str!("../../README.md");
    let rows: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(options(&rows.join("\n")), expected);
}
