//! What is common to servers that a test starts: they listen on ports of their own, and
//! end with it.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pagebox_slatedb::object_store::{ClientOptions, RetryConfig};

/// Longer than a server takes to start, on any machine.
pub(crate) const START: Duration = Duration::from_mins(1);

/// What `.ci/install-servers` installs.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new("../../target").to_owned(), PathBuf::from);
    std::fs::canonicalize(target.join("servers").join(name)).ok()
}

/// Whether the tests can run that need it. Where they must, it is an error that they
/// cannot.
pub(crate) fn is_installed(name: &str) -> bool {
    let is_there = installed(name).is_some();
    let required = std::env::var_os("PAGEBOX_REQUIRE_SERVERS").is_some();
    assert!(is_there || !required, "no {name}: run .ci/install-servers");
    if !is_there {
        eprintln!("skipped: no {name}, .ci/install-servers installs it");
    }
    is_there
}

/// A port that is free now, and for `SeaweedFS` the one 10,000 above, too.
pub(crate) fn port() -> u16 {
    loop {
        let free = |port| TcpListener::bind(("127.0.0.1", port));
        let port = free(0)
            .and_then(|it| it.local_addr())
            .expect("a port")
            .port();
        if let Some(above) = port.checked_add(10_000)
            && free(above).is_ok()
        {
            return port;
        }
        if port > 20_000 && free(port - 10_000).is_ok() {
            return port - 10_000;
        }
    }
}

pub(crate) fn wait_for(port: u16) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < START, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process that ends with the test.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it in a folder, where what it says goes to a file of this name.
    pub(crate) fn start(mut command: Command, folder: &Path, log: &str) -> Self {
        let log = File::create(folder.join(log)).expect("a log");
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        Self(child.expect("a server starts"))
    }

    /// Sends it a signal: `STOP`, `CONT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.0.id(), name);
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(sent.expect("kill").success());
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a client speaks to a server of this machine.
pub(crate) fn client() -> (ClientOptions, RetryConfig) {
    let options = ClientOptions::new()
        .with_allow_http(true)
        .with_timeout(Duration::from_secs(10));
    let retry = RetryConfig {
        max_retries: 6,
        retry_timeout: Duration::from_secs(20),
        ..RetryConfig::default()
    };
    (options, retry)
}
