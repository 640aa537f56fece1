//! `SeaweedFS`, in one process and in several, for tests.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagebox_slatedb::Bucket;
use pagebox_slatedb::object_store::aws::{AmazonS3, AmazonS3Builder};
use pagebox_slatedb::object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

use crate::server::{START, Server, client, installed, is_installed, port, wait_for};

pub(crate) const KEY: &str = "pagebox-key";
pub(crate) const SECRET: &str = "pagebox-secret";

const PROGRAM: &str = "bin/weed";

/// Whether the tests can run that need it.
pub(crate) fn is_there() -> bool {
    is_installed(PROGRAM)
}

/// A running `SeaweedFS`.
pub(crate) struct Weed {
    pub(crate) endpoint: String,
    pub(crate) servers: Vec<Server>,
    folder: TempDir,
}

fn start(folder: &Path, name: &str, args: &[String]) -> Server {
    let mut command = Command::new(installed(PROGRAM).expect("installed"));
    command.args(args);
    Server::start(command, folder, name)
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

    /// What is in the bucket.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.client("pages", SECRET))
    }

    fn client(&self, name: &str, secret: &str) -> AmazonS3 {
        let (options, retry) = client();
        let client = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_endpoint(&self.endpoint)
            .with_region("us-east-1")
            .with_access_key_id(KEY)
            .with_secret_access_key(secret)
            .with_client_options(options)
            .with_retry(retry);
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
