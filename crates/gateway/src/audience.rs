//! Whom the server answers.
//!
//! A server on loopback takes requests without credentials, and a browser on the same machine can be made to send
//! some: a page of any site may post to 127.0.0.1, or have its own name resolve there. Such requests show by their
//! `Host` or `Origin`, which no page can choose.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

/// Whom the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever asks for this machine by a name of loopback.
    Loopback,
    /// Everyone who reaches the port.
    Everyone,
}

/// A request that was meant for somebody else, or sent by a page of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("firelet listens on loopback and answers only for it: the {header} header names {value:?}")]
pub(crate) struct Stranger {
    header: &'static str,
    value: String,
}

impl Audience {
    pub(crate) fn check(self, headers: &HeaderMap) -> Result<(), Stranger> {
        if self == Self::Everyone {
            return Ok(());
        }
        let text = |name| {
            headers.get(name).map(|value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()))
        };
        if let Some(host) = text(HOST)
            && !is_loopback(&host)
        {
            return Err(Stranger { header: "Host", value: host.into_owned() });
        }
        match text(ORIGIN) {
            Some(origin) if !origin.split_once("://").is_some_and(|(_, host)| is_loopback(host)) => {
                Err(Stranger { header: "Origin", value: origin.into_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a host, with or without a port, is a name or address of loopback.
fn is_loopback(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address
        .map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: Option<&str>, origin: Option<&str>, is_answered: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            headers.extend(value.map(|value| (name, value.parse().unwrap())));
        }
        assert_eq!(Audience::Loopback.check(&headers).is_ok(), is_answered, "{headers:?}");
        assert_eq!(Audience::Everyone.check(&headers), Ok(()));
    }

    #[test]
    fn requests_for_loopback_are_answered() {
        check(None, None, true);
        check(Some("127.0.0.1:4566"), None, true);
        check(Some("localhost:4566"), Some("http://localhost:3000"), true);
        check(Some("lambda.localhost"), None, true);
        check(Some("[::1]:4566"), Some("http://127.0.0.1"), true);
    }

    #[test]
    fn pages_of_others_are_refused() {
        check(Some("evil.example:4566"), None, false);
        check(Some("127.0.0.1.evil.example"), None, false);
        check(Some("127.0.0.1:4566"), Some("https://evil.example"), false);
        check(Some("127.0.0.1:4566"), Some("null"), false);
        check(Some(""), None, false);
    }
}
