//! The queue in which a mount is told that jobs have ended, as a setting names it.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// Domains of AWS's hosts, in all of its partitions.
const AWS: &[&str] = &["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws", "api.amazonwebservices.com.cn"];
/// The longest name of a queue, in characters (SQS developer guide, "Queue and message identifiers").
const LONGEST: usize = 80;

/// A queue of SQS, or of a service that speaks its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queue {
    /// By its name, in the mount's region and account.
    Name(String),
    /// By its URL.
    Url(Url),
}

impl Queue {
    /// The region that the URL of a queue at AWS says it is in.
    pub fn region(&self) -> Option<&str> {
        let Queue::Url(url) = self else { return None };
        let (service, rest) = url.host_str()?.split_once('.')?;
        let (region, domain) = rest.split_once('.')?;
        (service.starts_with("sqs") && AWS.contains(&domain)).then_some(region)
    }

    /// Where the service of a queue is that isn't AWS's: the origin of its URL.
    pub fn endpoint(&self) -> Option<String> {
        let Queue::Url(url) = self else { return None };
        let is_in = |host: &str, domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let is_aws = url.host_str().is_some_and(|host| AWS.iter().any(|domain| is_in(host, domain)));
        (!is_aws).then(|| url.origin().ascii_serialization())
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Queue::Name(name) => f.write_str(name),
            Queue::Url(url) => f.write_str(url.as_str()),
        }
    }
}

impl FromStr for Queue {
    type Err = String;

    /// Reads `sqs:NAME` or `sqs:URL`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a queue: allowed is sqs: and a queue's name or URL");
        let queue = text.strip_prefix("sqs:").ok_or_else(bad)?;
        // The names of FIFO queues end in ".fifo": the service doesn't publish to what feeds those.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if (1..=LONGEST).contains(&queue.len()) && queue.chars().all(allowed) {
            return Ok(Queue::Name(queue.to_owned()));
        }
        let url = Url::parse(queue).map_err(|_| bad())?;
        let plain =
            url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let valid = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path().len() > 1 && plain;
        valid.then_some(Queue::Url(url)).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(text: &str) -> Queue {
        text.parse().expect(text)
    }

    /// Promise: a queue has a name or a URL; that of another service than AWS leads to that service, and that of AWS to its region.
    #[test]
    fn names_and_urls() {
        assert_eq!(queue("sqs:done"), Queue::Name("done".to_owned()));
        assert_eq!((queue("sqs:done").region(), queue("sqs:done").endpoint()), (None, None));
        for (text, region, endpoint) in [
            ("sqs:https://sqs.eu-central-1.amazonaws.com/123456789012/done", Some("eu-central-1"), None),
            ("sqs:https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/done", Some("us-gov-west-1"), None),
            ("sqs:https://sqs.cn-north-1.amazonaws.com.cn/123456789012/done", Some("cn-north-1"), None),
            ("sqs:https://eu-west-1.queue.amazonaws.com/123456789012/done", None, None),
            ("sqs:http://127.0.0.1:5000/123456789012/done", None, Some("http://127.0.0.1:5000")),
            ("sqs:https://queues.example/done", None, Some("https://queues.example")),
            (
                "sqs:https://sqs.eu-central-1.notamazonaws.com/done",
                None,
                Some("https://sqs.eu-central-1.notamazonaws.com"),
            ),
        ] {
            assert_eq!((queue(text).region(), queue(text).endpoint().as_deref()), (region, endpoint), "{text}");
        }
    }

    /// Promise: what can't be a queue is refused with what is allowed.
    #[test]
    fn refused() {
        let long = format!("sqs:{}", "q".repeat(81));
        for text in [
            "",
            "done",
            "sqs:",
            "sqs:done.fifo",
            "sns:done",
            "sqs:a b",
            "sqs:ftp://host/done",
            "sqs:http://host",
            "sqs:http://user@host/done",
            "sqs:https://host/done?x=y",
            &long,
        ] {
            let message = text.parse::<Queue>().expect_err(text);
            assert!(message.ends_with("allowed is sqs: and a queue's name or URL"), "{message}");
        }
    }
}
