//! The one request to SNS that is needed: `Publish`, of its query API, signed.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Request, Url};

use crate::glacier::sigv4::{self, Credentials, RequestLine};

/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What stays as it is in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The longest part of a refusal that is logged, in characters.
const REFUSAL: usize = 300;

/// The way to an SNS service.
pub(in crate::server) struct Sns {
    http: reqwest::Client,
    url: Url,
    host: HeaderValue,
}

impl Sns {
    /// The service at `endpoint`. Fails with a message that names it and what is allowed.
    pub fn new(endpoint: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!("{endpoint:?} is not an SNS endpoint: {why}; allowed is http://HOST[:PORT] or https://HOST[:PORT]")
        };
        let url = Url::parse(endpoint).map_err(|error| bad(&error.to_string()))?;
        let plain = match url.scheme() {
            "http" => true,
            "https" => false,
            other => return Err(bad(&format!("{other:?} is not http or https"))),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it has more than a host and a port"));
        }
        let name = url.host_str().ok_or_else(|| bad("it has no host"))?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let host = HeaderValue::from_str(&host).map_err(|_| bad("its host can't be sent"))?;
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("glacierfs/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT);
        if plain {
            // No TLS, so no need to load the system's certificates, or to fail for the lack of any.
            http = http.tls_certs_only([]);
        }
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        if name == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| format!("HTTPS can't be set up: {error}"))?;
        Ok(Sns { http, url, host })
    }

    /// Publishes `message` to a topic once. The error is for the log.
    pub async fn publish(&self, key: &Credentials, topic: &str, message: &str) -> Result<(), String> {
        let region = region(topic).ok_or("it is no topic's ARN")?;
        let encode = |text| utf8_percent_encode(text, FORM);
        let body = format!("Action=Publish&Version=2010-03-31&TopicArn={}&Message={}", encode(topic), encode(message));
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
        let line = RequestLine { method: "POST", path: "/", query: "" };
        let hash = sigv4::payload_hash(body.as_bytes());
        sigv4::sign_for("sns", key, region, Timestamp::now(), line, &mut headers, &hash)
            .map_err(|_| "the request can't be signed".to_owned())?;
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let response = self.http.execute(request).await.map_err(|error| causes(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let said = response.text().await.unwrap_or_default();
        Err(format!("SNS answers {status}: {}", said.trim().chars().take(REFUSAL).collect::<String>()))
    }
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

/// The region of a topic's ARN, `arn:PARTITION:sns:REGION:ACCOUNT:NAME`; `None` when it is something else.
pub(in crate::server) fn region(topic: &str) -> Option<&str> {
    let parts: Vec<&str> = topic.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = parts[..] else { return None };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    [partition, region, account, name].into_iter().all(plain).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: an endpoint that can't be one is refused with what is wrong, and only ARNs of topics have a region.
    #[test]
    fn endpoints_and_topics() {
        assert!(Sns::new("http://127.0.0.1:5000").is_ok() && Sns::new("http://localhost/").is_ok());
        for (bad, says) in [
            ("localhost:5000", "is not http or https"),
            ("5000", "\"5000\" is not an SNS endpoint"),
            ("http://localhost/path", "more than a host and a port"),
            ("http://a:b@localhost", "more than a host and a port"),
        ] {
            let message = Sns::new(bad).map(drop).expect_err(bad);
            assert!(message.contains(says) && message.ends_with("https://HOST[:PORT]"), "{message}");
        }
        assert_eq!(region("arn:aws:sns:eu-west-1:000000000000:done"), Some("eu-west-1"));
        assert_eq!(region("arn:aws-cn:sns:cn-north-1:000000000000:done.fifo"), Some("cn-north-1"));
        for bad in [
            "",
            "done",
            "arn:aws:sqs:eu-west-1:0:done",
            "arn:aws:sns::0:done",
            "arn:aws:sns:r:0:a:b",
            "arn:aws:sns:r\n:0:a",
        ] {
            assert_eq!(region(bad), None, "{bad}");
        }
    }
}
