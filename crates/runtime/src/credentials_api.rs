//! Where a function that starts from a snapshot finds its credentials (2021-04-23), over HTTP: what is in its environment
//! variables is as old as the snapshot.
//!
//! See <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>. Answers are those of AWS's open
//! Runtime Interface Emulator (`lambda/rapi/handler/credentials.go`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firelet_types::{AccountId, Clock, CredentialsToken};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;

use crate::answer::{Answer, not_found, text};

/// Where it is found.
pub(crate) const PATH: &str = "/2021-04-23/credentials";

/// Secret and token of the credentials in a function: firelet accepts any signature on loopback, and the access
/// key id names the account.
pub(crate) const LOCAL_SECRET: &str = "firelet";

/// How long they are said to be good for, as in the emulator.
const LIFETIME: Duration = Duration::from_secs(16 * 60);

/// The credentials of one function.
pub(crate) struct Credentials {
    /// What the function has to show.
    pub(crate) token: CredentialsToken,
    pub(crate) account: AccountId,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

/// Answers a request for `credentials`, which only a function that starts from a snapshot has to ask for.
pub(crate) fn answer(credentials: Option<&Credentials>, parts: &Parts) -> Answer {
    let Some(credentials) = credentials.filter(|_| parts.method == Method::GET) else { return not_found() };
    let shown = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown != Some(credentials.token.to_string().as_str()) {
        let problem = b"cannot get credentials for the provided token\n";
        return text(StatusCode::NOT_FOUND, Bytes::from_static(problem));
    }
    let body = Body {
        access_key_id: credentials.account.as_str(),
        secret_access_key: LOCAL_SECRET,
        token: LOCAL_SECRET,
        expiration: credentials.clock.now().plus(LIFETIME).iso8601(),
    };
    text(StatusCode::OK, Bytes::from(serde_json::to_vec(&body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use firelet_types::{Ids, Timestamp};
    use http::Request;
    use http_body_util::BodyExt;

    use super::*;

    #[derive(Debug)]
    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
    }

    async fn ask(token: CredentialsToken, authorization: Option<&str>) -> (u16, String) {
        let credentials = Credentials { token, account: AccountId::local(), clock: Arc::new(Epoch) };
        let mut request = Request::get(PATH);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let answer = answer(Some(&credentials), &parts);
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn credentials_are_for_those_who_show_the_token() {
        let token = CredentialsToken::new(&Ids::seeded(1));
        let account = AccountId::local();
        let expected = format!(
            r#"{{"AccessKeyId":"{}","SecretAccessKey":"firelet","Token":"firelet","Expiration":"1970-01-01T00:16:00.000Z"}}"#,
            account.as_str()
        );
        assert_eq!(ask(token, Some(&token.to_string())).await, (200, expected));
        let refused = (404, "cannot get credentials for the provided token\n".to_owned());
        let other = CredentialsToken::new(&Ids::seeded(2)).to_string();
        let loud = token.to_string().to_uppercase();
        for authorization in [None, Some("x"), Some(other.as_str()), Some(loud.as_str())] {
            assert_eq!(ask(token, authorization).await, refused);
        }
    }
}
