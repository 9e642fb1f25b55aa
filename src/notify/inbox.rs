//! The queue, by the AWS SDK: its regions, endpoints and credentials are those that every AWS tool finds.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;

use super::Settings;
use crate::util::causes;
use crate::util::queue::Queue;

/// How long the service waits for a message before it answers that there is none, in seconds: the most that it allows.
const WAIT: i32 = 20;
/// Most messages of an answer: the most that the service allows.
const MESSAGES: i32 = 10;
/// How long an attempt at a request may take.
const TIMEOUT: Duration = Duration::from_secs(WAIT as u64 + 10);

/// A queue that can be read.
pub(super) struct Inbox {
    client: Client,
    url: String,
}

/// A message of the queue.
pub(super) struct Message {
    /// What it says.
    pub text: String,
    /// What it is deleted by.
    handle: String,
}

impl Inbox {
    /// Finds the queue. The error is for a person.
    pub async fn open(settings: &Settings) -> Result<Self, String> {
        let region = settings.queue.region().unwrap_or(&settings.region).to_owned();
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TIMEOUT).build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region)).timeout_config(timeouts);
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = settings.queue.endpoint() {
            loader = loader.endpoint_url(endpoint);
        }
        let client = Client::new(&loader.load().await);
        let url = match &settings.queue {
            Queue::Url(url) => url.to_string(),
            Queue::Name(name) => {
                let found = client.get_queue_url().queue_name(name).send().await.map_err(|error| said(&error))?;
                found.queue_url.ok_or("the service doesn't know its URL")?
            }
        };
        Ok(Inbox { client, url })
    }

    /// The next messages, as soon as there are any; none when none came for a while.
    pub async fn receive(&self) -> Result<Vec<Message>, String> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request.wait_time_seconds(WAIT).max_number_of_messages(MESSAGES);
        let received = request.send().await.map_err(|error| said(&error))?;
        let message = |message: aws_sdk_sqs::types::Message| {
            Some(Message { text: message.body.unwrap_or_default(), handle: message.receipt_handle? })
        };
        Ok(received.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    /// Deletes messages, so that they don't come again.
    pub async fn delete(&self, messages: &[Message]) -> Result<(), String> {
        if messages.is_empty() {
            return Ok(());
        }
        let entry = |(n, message): (usize, &Message)| {
            DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(&message.handle).build()
        };
        let entries = messages.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>();
        let request = self.client.delete_message_batch().queue_url(&self.url);
        let request = request.set_entries(Some(entries.map_err(|error| error.to_string())?));
        let deleted = request.send().await.map_err(|error| format!("messages can't be deleted: {}", said(&error)))?;
        match deleted.failed.first() {
            None => Ok(()),
            Some(failed) => {
                Err(format!("a message can't be deleted: {}: {}", failed.code, failed.message().unwrap_or_default()))
            }
        }
    }
}

/// What the service said, or why it couldn't be asked.
fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let (Some(code), Some(message)) = (error.code(), error.message()) {
        return format!("{code}: {message}");
    }
    causes::append(error.to_string(), error)
}
