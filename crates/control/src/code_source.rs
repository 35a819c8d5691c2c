//! Code from an S3-compatible store, read with the keys that the operator configured.
//!
//! Nothing is written there, and no key of a caller goes there.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use firelet_types::Region;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, GetOptions, ObjectStore, RetryConfig};

use crate::error::InvalidParameter;

/// Attempts after the first, so that a caller of CreateFunction is not kept waiting for minutes.
const RETRIES: usize = 2;
/// Time for all attempts together.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where code may come from.
#[derive(Debug, Clone)]
pub struct CodeSourceOptions {
    /// The address of the store: `http://127.0.0.1:9000`. Buckets are the first part of the path below it.
    pub endpoint: String,
    /// The Region that requests are signed for.
    pub region: Region,
    /// The keys that requests are signed with; none for a store that takes unsigned ones.
    pub credentials: Option<Credentials>,
}

/// Keys of an S3-compatible store.
#[derive(Clone)]
pub struct Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// What goes with temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Why the store of code cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum CodeSourceError {
    /// The address is none.
    #[error("the S3 endpoint {endpoint:?} is not an address such as http://127.0.0.1:9000")]
    Endpoint {
        /// The address.
        endpoint: String,
    },
    /// No certificate authorities are installed on this machine.
    #[error("the S3 endpoint needs TLS, and the certificate authorities of this machine cannot be read")]
    Authorities(#[source] std::io::Error),
}

/// An S3-compatible store that code may come from.
#[derive(Debug, Clone)]
pub struct CodeSource {
    options: CodeSourceOptions,
    transport: Transport,
}

impl CodeSource {
    /// A client of the store; nothing is sent yet.
    ///
    /// # Errors
    /// When the endpoint is no address, or TLS is needed and cannot be had.
    pub fn new(options: CodeSourceOptions) -> Result<Self, CodeSourceError> {
        let bad_endpoint = || CodeSourceError::Endpoint { endpoint: options.endpoint.clone() };
        let address: http::Uri = options.endpoint.parse().map_err(|_| bad_endpoint())?;
        let transport = match (address.scheme_str(), address.host()) {
            (Some("http"), Some(_)) => Transport::plain(),
            (Some("https"), Some(_)) => Transport::tls().map_err(CodeSourceError::Authorities)?,
            _ => return Err(bad_endpoint()),
        };
        Ok(Self { options, transport })
    }

    /// Reads an object of at most `limit` bytes.
    pub(crate) async fn get(
        &self,
        bucket: &str,
        key: &str,
        version: Option<String>,
        limit: u64,
    ) -> Result<Bytes, InvalidParameter> {
        let store = self.bucket(bucket).map_err(|error| refusal(&error))?;
        let options = GetOptions { version, ..GetOptions::default() };
        let location = object_store::path::Path::parse(key).map_err(|error| refusal(&error.into()))?;
        let object = store.get_opts(&location, options).await.map_err(|error| refusal(&error))?;
        if object.meta.size > limit {
            return Err(InvalidParameter::UnzippedSize { limit });
        }
        object.bytes().await.map_err(|error| refusal(&error))
    }

    fn bucket(&self, bucket: &str) -> Result<impl ObjectStore + use<>, object_store::Error> {
        let CodeSourceOptions { endpoint, region, credentials } = &self.options;
        let builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_endpoint(endpoint)
            .with_region(region.as_str())
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_http_connector(self.transport.clone())
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: RETRY_TIMEOUT,
                ..RetryConfig::default()
            });
        let Some(credentials) = credentials else { return builder.with_skip_signature(true).build() };
        let builder = builder
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key);
        match &credentials.session_token {
            Some(token) => builder.with_token(token).build(),
            None => builder.build(),
        }
    }
}

/// What S3 said, in the words in which Lambda passes it on.
fn refusal(error: &object_store::Error) -> InvalidParameter {
    tracing::warn!(error = error as &dyn StdError, "code could not be read from S3");
    let text = chain(error);
    let element = |name| text_of(&text, name);
    let (code, message) = match (element("Code"), element("Message"), error) {
        (Some(code), Some(message), _) => (code, message),
        (_, _, object_store::Error::NotFound { .. }) => ("NoSuchKey", "The specified key does not exist."),
        _ => ("ServiceUnavailable", "Service is unable to handle request."),
    };
    InvalidParameter::GetObject { code: code.to_owned(), message: message.to_owned() }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push('\n');
        text.push_str(&current.to_string());
        cause = current.source();
    }
    text
}

/// The text of the first element of this name in the XML of an error; it holds no markup.
fn text_of<'xml>(xml: &'xml str, name: &str) -> Option<&'xml str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The HTTP client below the S3 client: the one HTTP implementation of the server, and nothing else.
#[derive(Debug, Clone)]
enum Transport {
    Plain(Client<TcpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<TcpConnector>, Full<Bytes>>),
}

impl Transport {
    fn plain() -> Self {
        Self::Plain(Client::builder(TokioExecutor::new()).build(TcpConnector::new()))
    }

    fn tls() -> Result<Self, std::io::Error> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
        Ok(Self::Tls(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.as_bytes().cloned().unwrap_or_default();
        let request = http::Request::from_parts(parts, Full::new(body));
        let response = match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        };
        let response = response.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
        let (parts, body) = response.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}
