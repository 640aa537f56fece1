//! `Azurite`, Microsoft's server of Azure's protocol, for tests.

use std::process::Command;
use std::sync::Arc;

use pagebox_slatedb::Bucket;
use pagebox_slatedb::object_store::ObjectStore;
use pagebox_slatedb::object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use tempfile::TempDir;

use crate::server::{Server, client, installed, is_installed, port, wait_for};

/// The account that it has, and its key, which is in its documentation.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const PROGRAM: &str = "azurite/node_modules/azurite/dist/src/blob/main.js";

/// Makes a container: its request is signed with the account's key.
const CONTAINER: &str = r"
const [endpoint, account, key, name] = process.argv.slice(1);
const date = new Date().toUTCString(), version = '2021-08-06';
const said = ['PUT', '', '', '', '', '', '', '', '', '', '', '',
    `x-ms-date:${date}`, `x-ms-version:${version}`,
    `/${account}/${account}/${name}`, 'restype:container'].join('\n');
const signed = require('crypto').createHmac('sha256', Buffer.from(key, 'base64'))
    .update(said, 'utf8').digest('base64');
fetch(`${endpoint}/${name}?restype=container`, {method: 'PUT', headers: {
    'x-ms-date': date, 'x-ms-version': version, authorization: `SharedKey ${account}:${signed}`,
}}).then(async answer => {
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
});
";

/// Whether the tests can run that need it.
pub(crate) fn is_there() -> bool {
    is_installed(PROGRAM)
}

/// A running `Azurite`, with the container `pages`.
pub(crate) struct Azurite {
    pub(crate) endpoint: String,
    pub(crate) server: Server,
    _folder: TempDir,
}

impl Azurite {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = port();
        let mut command = Command::new("node");
        command
            .arg(installed(PROGRAM).expect("installed"))
            .args(["--blobHost", "127.0.0.1", "--location", ".", "--silent"])
            .args(["--disableTelemetry", "--skipApiVersionCheck"])
            .args(["--blobPort", &port.to_string()]);
        let server = Server::start(command, folder.path(), "azurite.log");
        wait_for(port);
        let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
        let made = Command::new("node")
            .args(["-e", CONTAINER, &endpoint, ACCOUNT, KEY, "pages"])
            .output()
            .expect("node");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        Self {
            endpoint,
            server,
            _folder: folder,
        }
    }

    /// A prefix in a container, by the right key.
    pub(crate) fn bucket(&self, name: &str, prefix: &str) -> Bucket {
        self.bucket_as(name, prefix, KEY)
    }

    pub(crate) fn bucket_as(&self, name: &str, prefix: &str, key: &str) -> Bucket {
        let client = self.client(name, key);
        Bucket::new(Arc::new(client), prefix).expect("a prefix")
    }

    /// What is in the container.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.client("pages", KEY))
    }

    fn client(&self, name: &str, key: &str) -> MicrosoftAzure {
        let (options, retry) = client();
        let client = MicrosoftAzureBuilder::new()
            .with_account(ACCOUNT)
            .with_access_key(key)
            .with_container_name(name)
            .with_endpoint(self.endpoint.clone())
            .with_client_options(options)
            .with_retry(retry);
        client.build().expect("a client")
    }
}
