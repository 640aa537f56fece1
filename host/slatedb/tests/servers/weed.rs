//! `SeaweedFS`, started for a test on ports of its own, and ended with it.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagebox_slatedb::Bucket;
use pagebox_slatedb::object_store::aws::{AmazonS3, AmazonS3Builder};
use pagebox_slatedb::object_store::{ClientOptions, ObjectStoreExt, RetryConfig};
use tempfile::TempDir;

/// Longer than a server takes to start, on any machine.
const START: Duration = Duration::from_mins(1);

pub(crate) const KEY: &str = "pagebox-key";
pub(crate) const SECRET: &str = "pagebox-secret";

/// The program that `.ci/install-servers` installs.
fn program() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new("../../target").to_owned(), PathBuf::from);
    let program = target.join("servers/bin/weed");
    program.exists().then_some(program)
}

/// Whether the tests can run. Where they must, it is an error that they cannot.
pub(crate) fn is_there() -> bool {
    let is_there = program().is_some();
    let required = std::env::var_os("PAGEBOX_REQUIRE_SERVERS").is_some();
    assert!(
        is_there || !required,
        "no SeaweedFS: run .ci/install-servers"
    );
    if !is_there {
        eprintln!("skipped: no SeaweedFS, .ci/install-servers installs it");
    }
    is_there
}

/// A port that is free now, and for `SeaweedFS` the one 10,000 above, too.
fn port() -> u16 {
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

/// A process that ends with the test.
pub(crate) struct Server(Child);

impl Server {
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

/// A running `SeaweedFS`.
pub(crate) struct Weed {
    pub(crate) endpoint: String,
    pub(crate) servers: Vec<Server>,
    folder: TempDir,
}

fn start(folder: &Path, name: &str, args: &[String]) -> Server {
    let log = std::fs::File::create(folder.join(name)).expect("a log");
    let child = Command::new(std::fs::canonicalize(program().expect("installed")).expect("there"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn();
    Server(child.expect("SeaweedFS starts"))
}

fn wait_for(port: u16) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < START, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where it may listen: at home, and tell nobody about itself.
fn at_home(args: &[&str]) -> Vec<String> {
    let home = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"];
    args.iter()
        .take(1)
        .chain(&home)
        .chain(&args[1..])
        .map(ToString::to_string)
        .collect()
}

impl Weed {
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{KEY}",
            "secretKey":"{SECRET}"}}],"actions":["Admin","Read","Write","List"]}}]}}"#
        );
        std::fs::write(folder.path().join("s3.json"), identity).expect("a file");
        folder
    }

    /// All of it in one process.
    pub(crate) fn single() -> Self {
        let folder = Self::folder();
        let [s3, master, volume, filer, admin] = [(); 5].map(|()| port());
        let args = at_home(&[
            "mini",
            "-dir=.",
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
            "-s3.config=s3.json",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-bucket=pages",
            &format!("-s3.port={s3}"),
            &format!("-master.port={master}"),
            &format!("-volume.port={volume}"),
            &format!("-filer.port={filer}"),
            &format!("-admin.port={admin}"),
        ]);
        let servers = vec![start(folder.path(), "mini.log", &args)];
        Self::ready(folder, servers, s3)
    }

    /// A master, three storage nodes of which each page is on two, and a door.
    pub(crate) fn cluster() -> Self {
        let folder = Self::folder();
        let [s3, master, filer] = [(); 3].map(|()| port());
        let args = at_home(&[
            "master",
            "-mdir=.",
            "-telemetry=false",
            "-defaultReplication=001",
            "-volumeSizeLimitMB=64",
            &format!("-port={master}"),
        ]);
        let mut servers = vec![start(folder.path(), "master.log", &args)];
        wait_for(master);
        for node in 0..3 {
            let name = format!("node-{node}");
            std::fs::create_dir(folder.path().join(&name)).expect("a folder");
            let args = at_home(&[
                "volume",
                &format!("-dir={name}"),
                "-max=20",
                &format!("-master=127.0.0.1:{master}"),
                &format!("-port={}", port()),
            ]);
            servers.push(start(folder.path(), &format!("{name}.log"), &args));
        }
        let args = at_home(&[
            "filer",
            &format!("-master=127.0.0.1:{master}"),
            "-defaultReplicaPlacement=001",
            "-s3",
            "-s3.config=s3.json",
            "-s3.autoCreateBucket",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            &format!("-port={filer}"),
            &format!("-s3.port={s3}"),
        ]);
        servers.push(start(folder.path(), "filer.log", &args));
        Self::ready(folder, servers, s3)
    }

    /// Waits until something can be put there.
    fn ready(folder: TempDir, servers: Vec<Server>, s3: u16) -> Self {
        wait_for(s3);
        let endpoint = format!("http://127.0.0.1:{s3}");
        let weed = Self {
            endpoint,
            servers,
            folder,
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().expect("a runtime");
        let client = weed.client("pages", SECRET);
        let start = Instant::now();
        // The first object makes the bucket, where it is not there.
        while let Err(error) = runtime.block_on(client.put(&"ready".into(), "yes".into())) {
            assert!(start.elapsed() < START, "{error}\n{}", weed.logs());
            std::thread::sleep(Duration::from_millis(200));
        }
        weed
    }

    fn logs(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.folder.path())
            .expect("a folder")
            .flatten()
        {
            if entry.path().extension().is_some_and(|it| it == "log") {
                let file = std::fs::File::open(entry.path());
                let _ = file.expect("a log").take(4000).read_to_string(&mut all);
            }
        }
        all
    }

    /// A prefix in a bucket, by the right keys.
    pub(crate) fn bucket(&self, name: &str, prefix: &str) -> Bucket {
        self.bucket_as(name, prefix, SECRET)
    }

    pub(crate) fn bucket_as(&self, name: &str, prefix: &str, secret: &str) -> Bucket {
        Bucket::new(Arc::new(self.client(name, secret)), prefix).expect("a prefix")
    }

    fn client(&self, name: &str, secret: &str) -> AmazonS3 {
        let client = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_endpoint(&self.endpoint)
            .with_region("us-east-1")
            .with_access_key_id(KEY)
            .with_secret_access_key(secret)
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(true)
                    .with_timeout(Duration::from_secs(10)),
            )
            .with_retry(RetryConfig {
                max_retries: 6,
                retry_timeout: Duration::from_secs(20),
                ..RetryConfig::default()
            });
        client.build().expect("a client")
    }

    /// The address of a store in the bucket.
    pub(crate) fn address(&self, prefix: &str) -> String {
        format!(
            "slatedb+s3://pages/{prefix}?region=us-east-1&endpoint={}",
            self.endpoint
        )
    }
}
