//! `glacierfs vault notify`: which of a vault's events are published, and where.

use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service::Confirmed;
use crate::cli::service::Service;
use crate::cli::service::Show;
use crate::cli::service::plain;
use crate::glacier::wire::NotificationConfig;
use crate::glacier::wire::NotificationEvent;

/// Say where a vault's events are published, without a mount
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs vault notify photos set arn:aws:sns:eu-central-1:123456789012:done ArchiveRetrievalCompleted")]
pub struct Notify {
    /// The vault
    vault: String,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Show the topic and the events
    Get {
        #[command(flatten)]
        show: Show,
    },
    /// Publish events to a topic; replaces what was published before
    Set {
        /// The topic's ARN
        topic: String,
        /// ArchiveRetrievalCompleted or InventoryRetrievalCompleted [default: both]
        #[arg(value_name = "EVENT", value_parser = event)]
        events: Vec<NotificationEvent>,
        #[command(flatten)]
        service: Service,
    },
    /// Publish nothing any more
    Delete {
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Notify {
    pub fn run(self) -> Result<(), Failure> {
        let vault = &self.vault;
        match self.command {
            Commands::Get { show } => show.ask(async |client| Ok(client.get_notifications(vault).await?), describe),
            Commands::Set { topic, mut events, service } => {
                if events.is_empty() {
                    events = NotificationEvent::WORDS.iter().map(|word| (*word).into()).collect();
                }
                service.ask(async |client| Ok(client.set_notifications(vault, &topic, &events).await?))?;
                output::print("Set.\n")
            }
            Commands::Delete { confirmed } => {
                confirmed.ask(&format!("This ends the notifications of {vault}."), async |client| {
                    Ok(client.delete_notifications(vault).await?)
                })?;
                output::print("Deleted.\n")
            }
        }
    }
}

fn describe(config: &NotificationConfig) -> String {
    let events: Vec<_> = config.events.iter().flatten().map(|event| plain(event.as_str())).collect();
    let topic = config.sns_topic.as_deref().map_or("-".to_owned(), plain);
    let rows = [("topic", topic), ("events", events.join(", "))];
    output::table(&["", ""], &[], &rows.map(|(key, value)| vec![key.to_owned(), value]))
}

fn event(text: &str) -> Result<NotificationEvent, String> {
    let event = NotificationEvent::from(text);
    match event.is_known() {
        true => Ok(event),
        false => Err(format!("{text:?} is not an event: allowed are {}", NotificationEvent::WORDS.join(" and "))),
    }
}
