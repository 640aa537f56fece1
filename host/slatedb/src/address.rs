//! [`Address`]: where a store is, as one line of text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::{Bucket, Error, Options};

/// What every address begins with.
const SCHEME: &str = "slatedb+";

/// Where a store is, as one line of text:
///
/// | Address | Where |
/// |---|---|
/// | `slatedb+s3://BUCKET/PREFIX` | Amazon S3, and servers that speak its protocol |
/// | `slatedb+az://CONTAINER/PREFIX` | Azure |
/// | `slatedb+gs://BUCKET/PREFIX` | Google |
/// | `slatedb+file:///FOLDER` | a folder |
/// | `slatedb+memory:NAME` | memory of this process, for tests |
///
/// Behind a `?`, joined by `&`: `endpoint`, the server's address (`http://` only
/// where it says so), `region`, `timeout` (`30s`), `cache` (`128MiB`).
///
/// Keys come from the environment (`AWS_*`, `AZURE_*`, `GOOGLE_*`): an address with a
/// user or a key is refused, and the error does not repeat it.
///
/// ```
/// use pagebox_slatedb::Address;
///
/// let text = "slatedb+s3://pages/data?endpoint=http://127.0.0.1:8333&timeout=5s";
/// let address: Address = text.parse()?;
/// assert_eq!(address.options().timeout.as_secs(), 5);
/// assert!("slatedb+s3://key:secret@pages/data".parse::<Address>().is_err());
/// # Ok::<(), pagebox_slatedb::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    place: Place,
    endpoint: Option<String>,
    region: Option<String>,
    options: Options,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Cloud(Cloud, String, String),
    Folder(PathBuf),
    Memory(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    S3,
    Azure,
    Google,
}

fn wrong(text: impl Into<String>) -> Error {
    Error::Address(text.into())
}

impl Address {
    /// Whether a text is meant as an address, right or wrong.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// What the address asks for.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The bucket, to open the store in it. A folder has to be there.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Address`]; [`Error::Other`] where this was built
    /// without that cloud.
    pub fn bucket(&self) -> Result<Bucket, Error> {
        match &self.place {
            Place::Cloud(cloud, name, prefix) => self.cloud(*cloud, name, prefix),
            Place::Folder(path) => Bucket::folder(path),
            Place::Memory(name) => Ok(Bucket::in_memory(name)),
        }
    }

    /// The bucket, to make a store in it: a folder is made where there is none, in
    /// one that is there.
    ///
    /// # Errors
    /// As [`bucket`](Self::bucket).
    pub fn new_bucket(&self) -> Result<Bucket, Error> {
        if let Place::Folder(path) = &self.place
            && !path.is_dir()
        {
            let made = std::fs::create_dir(path);
            made.map_err(|error| Error::Unavailable(format!("cannot make the folder: {error}")))?;
        }
        self.bucket()
    }

    #[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
    fn client(
        &self,
    ) -> (
        slatedb::object_store::ClientOptions,
        slatedb::object_store::RetryConfig,
    ) {
        use slatedb::object_store::{BackoffConfig, ClientOptions, RetryConfig};
        let timeout = self.options.timeout;
        let client = ClientOptions::new()
            .with_timeout(timeout)
            .with_connect_timeout(timeout.min(Duration::from_secs(5)));
        // A server that comes back within seconds is not noticed.
        let retry = RetryConfig {
            backoff: BackoffConfig {
                max_backoff: Duration::from_secs(2),
                ..BackoffConfig::default()
            },
            max_retries: 6,
            retry_timeout: timeout,
        };
        (client, retry)
    }

    fn cloud(&self, cloud: Cloud, name: &str, prefix: &str) -> Result<Bucket, Error> {
        let store = match cloud {
            #[cfg(feature = "aws")]
            Cloud::S3 => self.s3(name)?,
            #[cfg(feature = "azure")]
            Cloud::Azure => self.azure(name)?,
            #[cfg(feature = "gcp")]
            Cloud::Google => self.google(name)?,
            #[cfg(not(all(feature = "aws", feature = "azure", feature = "gcp")))]
            _ => {
                let text = format!("this program was built without {cloud:?} ({name})");
                return Err(Error::Other(text));
            }
        };
        Bucket::new(store, prefix)
    }

    #[cfg(feature = "aws")]
    fn s3(&self, name: &str) -> Result<Store, Error> {
        use slatedb::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
        let (client, retry) = self.client();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(name);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        let client = client.with_allow_http(is_plain(endpoint.as_deref()));
        built(
            builder
                .with_client_options(client)
                .with_retry(retry)
                .build(),
        )
    }

    #[cfg(feature = "azure")]
    fn azure(&self, name: &str) -> Result<Store, Error> {
        use slatedb::object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
        let (client, retry) = self.client();
        let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(name);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
        let client = client.with_allow_http(is_plain(endpoint.as_deref()));
        built(
            builder
                .with_client_options(client)
                .with_retry(retry)
                .build(),
        )
    }

    #[cfg(feature = "gcp")]
    fn google(&self, name: &str) -> Result<Store, Error> {
        use slatedb::object_store::gcp::GoogleCloudStorageBuilder;
        if self.endpoint.is_some() || self.region.is_some() {
            return Err(wrong("an address at Google has no endpoint and no region"));
        }
        let (client, retry) = self.client();
        let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(name);
        built(
            builder
                .with_client_options(client)
                .with_retry(retry)
                .build(),
        )
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "endpoint" => {
                let host = value.split_once("://").map(|(_, host)| host);
                if host.is_none_or(str::is_empty) {
                    return Err(wrong("an endpoint is http://HOST:PORT or https://HOST"));
                }
                self.endpoint = Some(value.to_owned());
            }
            "region" => self.region = Some(value.to_owned()),
            "timeout" => {
                let timeout = humantime::parse_duration(value).ok();
                let timeout = timeout.filter(|timeout| !timeout.is_zero());
                self.options.timeout =
                    timeout.ok_or_else(|| wrong("a timeout is a time, as in timeout=30s"))?;
            }
            "cache" => {
                self.options.cache_bytes =
                    bytes(value).ok_or_else(|| wrong("a cache has a size, as in cache=128MiB"))?;
            }
            _ => {
                return Err(wrong(
                    "what an address may have behind `?` is endpoint, region, timeout and \
                     cache: keys come from the environment",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
type Store = std::sync::Arc<dyn slatedb::object_store::ObjectStore>;

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
fn built<S: slatedb::object_store::ObjectStore>(
    store: Result<S, slatedb::object_store::Error>,
) -> Result<Store, Error> {
    match store {
        Ok(store) => Ok(std::sync::Arc::new(store)),
        Err(error) => Err(Error::of_object(&error)),
    }
}

/// Whether a server is spoken to without encryption, which only its address may say.
#[cfg(any(feature = "aws", feature = "azure"))]
fn is_plain(endpoint: Option<&str>) -> bool {
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

/// `128MiB`, in bytes.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let forms = "an address is slatedb+s3://BUCKET/PREFIX, slatedb+az://, slatedb+gs://, \
                     slatedb+file:///FOLDER or slatedb+memory:NAME";
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong(forms))?;
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        if rest.contains('@') {
            return Err(wrong(
                "an address has no user and no keys: they come from the environment",
            ));
        }
        let (kind, name) = place.split_once(':').ok_or_else(|| wrong(forms))?;
        let cloud = |cloud| {
            let path = name.strip_prefix("//").unwrap_or_default();
            match path.split_once('/') {
                Some((bucket, prefix)) if !bucket.is_empty() && !prefix.is_empty() => {
                    let prefix = prefix.trim_end_matches('/');
                    Ok(Place::Cloud(cloud, bucket.to_owned(), prefix.to_owned()))
                }
                _ => Err(wrong(
                    "an address has a bucket and a prefix in it, the store's name",
                )),
            }
        };
        let place = match kind {
            "s3" => cloud(Cloud::S3)?,
            "az" => cloud(Cloud::Azure)?,
            "gs" => cloud(Cloud::Google)?,
            "file" => match name.strip_prefix("//") {
                Some(path) if path.starts_with('/') => Place::Folder(path.into()),
                _ => return Err(wrong("a folder's address is slatedb+file:///FOLDER")),
            },
            "memory" => Place::Memory(name.to_owned()),
            _ => return Err(wrong(forms)),
        };
        let mut address = Self {
            text: text.to_owned(),
            place,
            endpoint: None,
            region: None,
            options: Options::default(),
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            address.option(name, value)?;
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_user_or_a_key_is_refused_and_not_repeated() {
        for text in [
            "slatedb+s3://AKIA123:s3cr3t@pages/data",
            "slatedb+s3://pages/data?endpoint=http://AKIA123:s3cr3t@host",
            "slatedb+s3://pages/data?secret_access_key=s3cr3t",
            "slatedb+az://pages/data?sig=s3cr3t&AKIA123",
        ] {
            let said = text.parse::<Address>().unwrap_err().to_string();
            assert!(said.contains("from the environment"), "{said}");
            assert!(
                !said.contains("s3cr3t") && !said.contains("AKIA123"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_behind_the_question_mark_is_what_a_store_is_opened_with() {
        let text = "slatedb+s3://b/p/q/?region=eu-1&timeout=1m&cache=2GiB&endpoint=https://h";
        let address: Address = text.parse().unwrap();
        let place = Place::Cloud(Cloud::S3, "b".into(), "p/q".into());
        assert_eq!(address.place, place);
        assert_eq!(address.options.timeout, Duration::from_mins(1));
        assert_eq!(address.options.cache_bytes, 2 << 30);
        assert_eq!(address.region.as_deref(), Some("eu-1"));
        assert_eq!(address.endpoint.as_deref(), Some("https://h"));
        assert_eq!(address.to_string(), text);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "slatedb+s3://bucket",
            "slatedb+s3://bucket/",
            "slatedb+s3:///prefix",
            "slatedb+ftp://b/p",
            "slatedb+file://relative",
            "slatedb+s3://b/p?timeout=0s",
            "slatedb+s3://b/p?cache=lots",
            "slatedb+s3://b/p?endpoint=host",
            "s3://b/p",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(matches!(error, Error::Address(_)), "{text}: {error}");
        }
    }
}
