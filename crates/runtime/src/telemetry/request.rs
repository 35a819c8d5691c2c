//! What an extension asks for when it subscribes, checked.
//!
//! Limits as documented at <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html> and, for the older
//! API, <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html>. A refusal lists all that is wrong, as AWS's
//! example does: `URI port is not provided; types should not be empty`.

use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Method, Uri};
use serde::Deserialize;

use super::buffer::Buffering;
use crate::platform_log::record::Schema;

/// Hosts that stand for the environment itself; the second is the older name, which AWS's open emulator takes too.
const HOSTS: [&str; 2] = ["sandbox.localdomain", "sandbox"];
/// The Runtime API's own port.
const RESERVED_PORT: u16 = 9001;

/// By which API an extension subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// 2022-07-01
    Telemetry,
    /// 2020-08-15
    Logs,
}

/// A stream of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Platform,
    Function,
    Extension,
}

impl Stream {
    const ALL: [Self; 3] = [Self::Platform, Self::Function, Self::Extension];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Function => "function",
            Self::Extension => "extension",
        }
    }
}

/// Where events go: a port inside the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Http { method: Method, port: u16, path: PathAndQuery },
    Tcp { port: u16 },
}

impl Destination {
    /// Whether events go there as arrays; otherwise each is a line.
    pub(super) const fn takes_arrays(&self) -> bool {
        matches!(self, Self::Http { .. })
    }
}

/// A valid subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) schema: Schema,
    /// In the order given, each once.
    pub(crate) streams: Vec<Stream>,
    pub(crate) destination: Destination,
    pub(crate) buffering: Buffering,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    schema_version: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    destination: Option<BodyDestination>,
    #[serde(default)]
    buffering: Option<BodyBuffering>,
}

#[derive(Deserialize)]
struct BodyDestination {
    protocol: Option<String>,
    #[serde(rename = "URI")]
    uri: Option<String>,
    port: Option<u64>,
    /// Of the Logs API only.
    method: Option<String>,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BodyBuffering {
    max_items: Option<u64>,
    max_bytes: Option<u64>,
    timeout_ms: Option<u64>,
}

impl Request {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(crate) fn parse(api: Api, body: &[u8]) -> Result<Self, Invalid> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|error| Invalid(format!("failed to parse JSON: {error}")))?;
        let mut faults = Faults::default();
        let schema = faults.note(schema(api, body.schema_version.as_deref()));
        let destination = faults.note(destination(api, body.destination));
        let streams = faults.note(streams(&body.types));
        let buffering = buffering(body.buffering.unwrap_or_default(), &mut faults);
        match (schema, streams, destination, faults.0.is_empty()) {
            (Some(schema), Some(streams), Some(destination), true) => {
                Ok(Self { schema, streams, destination, buffering })
            }
            _ => Err(Invalid(faults.0.join("; "))),
        }
    }
}

/// What is wrong, in the order of its finding.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault)).ok()
    }
}

fn schema(api: Api, version: Option<&str>) -> Result<Schema, String> {
    match (api, version) {
        (Api::Telemetry, Some("2022-07-01")) => Ok(Schema::July2022),
        (Api::Telemetry, Some("2022-12-13")) => Ok(Schema::December2022),
        (Api::Telemetry, Some("2025-01-29")) => Ok(Schema::January2025),
        (Api::Logs, None | Some("2020-08-15")) => Ok(Schema::Logs2020),
        (Api::Logs, Some("2021-03-18")) => Ok(Schema::Logs2021),
        (_, None) => Err("schemaVersion is not provided".to_owned()),
        (_, Some(_)) => Err("schemaVersion is not supported".to_owned()),
    }
}

fn streams(types: &[String]) -> Result<Vec<Stream>, String> {
    if types.is_empty() {
        return Err("types should not be empty".to_owned());
    }
    let mut streams = Vec::new();
    for name in types {
        let Some(stream) = Stream::ALL.into_iter().find(|stream| stream.name() == name) else {
            return Err("types should be platform, function or extension".to_owned());
        };
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    Ok(streams)
}

fn destination(api: Api, given: Option<BodyDestination>) -> Result<Destination, String> {
    let Some(given) = given else { return Err("destination is not provided".to_owned()) };
    match given.protocol.as_deref() {
        Some("HTTP") => http(api, &given),
        Some("TCP") => tcp(&given),
        Some(other) => Err(format!("unknown protocol: {other:.32}. Only tcp and http are supported")),
        None => Err("protocol is not provided".to_owned()),
    }
}

fn http(api: Api, given: &BodyDestination) -> Result<Destination, String> {
    let method = match (api, given.method.as_deref()) {
        (Api::Logs, Some("PUT")) => Method::PUT,
        (Api::Telemetry, _) | (_, None | Some("POST")) => Method::POST,
        (Api::Logs, Some(_)) => return Err("method should be POST or PUT".to_owned()),
    };
    let uri = uri(given)?;
    if uri.scheme_str() != Some("http") {
        return Err("URI scheme should be http".to_owned());
    }
    let port = port_of(&uri)?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok(Destination::Http { method, port, path })
}

/// The port stands alone, as the Logs API has it, or in a URI.
fn tcp(given: &BodyDestination) -> Result<Destination, String> {
    let port = match given.port {
        Some(port) => checked_port(port)?,
        None => port_of(&uri(given)?)?,
    };
    Ok(Destination::Tcp { port })
}

fn uri(given: &BodyDestination) -> Result<Uri, String> {
    let text = given.uri.as_deref().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| "URI is not provided".to_owned())?;
    let uri: Uri = text.parse().map_err(|error| format!("could not parse destination.URI: {error}"))?;
    if uri.host().is_some_and(|host| HOSTS.contains(&host)) {
        Ok(uri)
    } else {
        Err(format!("destination.URI host must be {}", HOSTS[0]))
    }
}

fn port_of(uri: &Uri) -> Result<u16, String> {
    let port = uri.port_u16().ok_or_else(|| "URI port is not provided".to_owned())?;
    checked_port(port.into())
}

fn checked_port(port: u64) -> Result<u16, String> {
    match u16::try_from(port) {
        Ok(RESERVED_PORT) => Err(format!("port {RESERVED_PORT} is reserved")),
        Ok(port) if port > 0 => Ok(port),
        _ => Err("port should be between 1 and 65535".to_owned()),
    }
}

fn buffering(given: BodyBuffering, faults: &mut Faults) -> Buffering {
    let mut within = |name: &str, value: Option<u64>, default: u64, least: u64, most: u64| {
        let value = value.unwrap_or(default);
        if !(least..=most).contains(&value) {
            faults.0.push(format!("{name} should be between {least} and {most}"));
        }
        value.min(most)
    };
    let max_items = within("maxItems", given.max_items, 10_000, 1_000, 10_000);
    let max_bytes = within("maxBytes", given.max_bytes, 256 << 10, 256 << 10, 1 << 20);
    let timeout = within("timeoutMs", given.timeout_ms, 1_000, 25, 30_000);
    let size = |value| usize::try_from(value).unwrap_or(usize::MAX);
    Buffering {
        max_items: size(max_items),
        max_bytes: size(max_bytes),
        timeout: Duration::from_millis(timeout),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(changes: &[(&str, Value)]) -> Value {
        let mut body = json!({
            "schemaVersion": "2022-12-13", "types": ["platform"],
            "destination": { "protocol": "HTTP", "URI": "http://sandbox.localdomain:8080" },
        });
        for (name, value) in changes {
            body[*name] = value.clone();
        }
        body
    }

    fn parse(api: Api, body: &Value) -> Result<Request, Invalid> {
        Request::parse(api, body.to_string().as_bytes())
    }

    fn refused(api: Api, changes: &[(&str, Value)], expected: &str) {
        assert_eq!(parse(api, &body(changes)).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_left_out_has_the_documented_defaults() {
        let request = parse(Api::Telemetry, &body(&[])).unwrap();
        let buffering =
            Buffering { max_items: 10_000, max_bytes: 262_144, timeout: Duration::from_millis(1_000) };
        let path = PathAndQuery::from_static("/");
        let destination = Destination::Http { method: Method::POST, port: 8080, path };
        let streams = vec![Stream::Platform];
        assert_eq!(request, Request { schema: Schema::December2022, streams, destination, buffering });
    }

    #[test]
    fn each_api_has_its_versions() {
        for (api, version, expected) in [
            (Api::Telemetry, "2022-07-01", Some(Schema::July2022)),
            (Api::Telemetry, "2022-12-13", Some(Schema::December2022)),
            (Api::Telemetry, "2025-01-29", Some(Schema::January2025)),
            (Api::Telemetry, "2020-08-15", None),
            (Api::Logs, "2020-08-15", Some(Schema::Logs2020)),
            (Api::Logs, "2021-03-18", Some(Schema::Logs2021)),
            (Api::Logs, "2022-07-01", None),
        ] {
            let request = parse(api, &body(&[("schemaVersion", version.into())]));
            assert_eq!(request.map(|request| request.schema).ok(), expected, "{api:?} {version}");
        }
        let logs = parse(Api::Logs, &body(&[("schemaVersion", Value::Null)])).unwrap();
        assert_eq!(logs.schema, Schema::Logs2020);
        refused(Api::Telemetry, &[("schemaVersion", Value::Null)], "schemaVersion is not provided");
    }

    #[test]
    fn destinations_are_ports_inside() {
        let destination = |api, destination| {
            parse(api, &body(&[("schemaVersion", Value::Null), ("destination", destination)]))
                .map(|request| request.destination)
        };
        let uri = "http://sandbox:53612/a/b?c=d";
        let put = json!({ "protocol": "HTTP", "URI": uri, "method": "PUT" });
        let path = PathAndQuery::from_static("/a/b?c=d");
        let http = Destination::Http { method: Method::PUT, port: 53612, path };
        assert_eq!(destination(Api::Logs, put), Ok(http));
        let tcp = Ok(Destination::Tcp { port: 4243 });
        assert_eq!(destination(Api::Logs, json!({ "protocol": "TCP", "port": 4243 })), tcp);
        let uri = "tcp://sandbox.localdomain:4243";
        assert_eq!(destination(Api::Logs, json!({ "protocol": "TCP", "URI": uri })), tcp);
    }

    #[test]
    fn what_is_wrong_is_listed() {
        let at = |uri: &str| ("destination", json!({ "protocol": "HTTP", "URI": uri }));
        for (change, expected) in [
            (at("http://sandbox.localdomain"), "URI port is not provided"),
            (at(""), "URI is not provided"),
            (at("https://sandbox.localdomain:8080"), "URI scheme should be http"),
            (at("http://127.0.0.1:8080"), "destination.URI host must be sandbox.localdomain"),
            (at("http://169.254.169.254:80"), "destination.URI host must be sandbox.localdomain"),
            (at("http://sandbox.localdomain:9001"), "port 9001 is reserved"),
            (at("http://sandbox.localdomain:0"), "port should be between 1 and 65535"),
            (("types", json!(["platform", "traces"])), "types should be platform, function or extension"),
            (("destination", json!({})), "protocol is not provided"),
            (("destination", Value::Null), "destination is not provided"),
            (
                ("destination", json!({ "protocol": "UDP" })),
                "unknown protocol: UDP. Only tcp and http are supported",
            ),
            (("destination", json!({ "protocol": "TCP" })), "URI is not provided"),
            (
                ("destination", json!({ "protocol": "TCP", "port": 65_536 })),
                "port should be between 1 and 65535",
            ),
            (("buffering", json!({ "maxItems": 999 })), "maxItems should be between 1000 and 10000"),
            (
                ("buffering", json!({ "maxBytes": 1_048_577, "timeoutMs": 24 })),
                "maxBytes should be between 262144 and 1048576; timeoutMs should be between 25 and 30000",
            ),
        ] {
            refused(Api::Telemetry, &[change], expected);
        }
        let changes = [at("http://sandbox.localdomain"), ("types", json!([]))];
        refused(Api::Telemetry, &changes, "URI port is not provided; types should not be empty");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in ["", "[]", "{", r#"{"types": 1}"#, r#"{"buffering": {"maxItems": -1}}"#] {
            let error = Request::parse(Api::Telemetry, text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("failed to parse JSON: "), "{error}");
        }
    }
}
