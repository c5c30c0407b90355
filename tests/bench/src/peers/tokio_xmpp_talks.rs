//! tokio-xmpp in a long conversation: it speaks the console's lines (tests/console.md), as far as the conversation needs them.
//!
//! What runs is its stanza stream, which its client stands on: that one cannot receive while a message waits to be sent. It
//! connects again and resumes by itself. Half a minute of silence is probed, another half minute is a dead link. A message
//! counts as taken when the stream's queue has it; nothing is said twice.

use std::{
    collections::VecDeque,
    io::{BufRead as _, Write as _},
    time::Duration,
};

use clap::Parser;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_xmpp::{
    Stanza,
    connect::{DirectTlsServerConnector, DnsConfig},
    jid::{BareJid, Jid},
    parsers::{
        message::{Id, Lang, Message, MessageType},
        presence::{Presence, Type},
    },
    rustls::crypto::ring,
    stanzastream::{Event, StanzaStream, StreamEvent},
    xmlstream::Timeouts,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the console's command line has. It has no setting for an authority of one's own: `SSL_CERT_FILE` names it.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    data: String,
    #[arg(long)]
    account: BareJid,
    #[arg(long)]
    server: String,
    #[arg(long)]
    ca: String,
    #[arg(long)]
    direct_tls: bool,
}

/// What the stream's queue has no room for yet.
enum Waiting {
    Presence,
    /// The request to answer, and what to send.
    Message(Value, Box<Message>),
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(live())
}

async fn live() -> Result<()> {
    let arguments = Arguments::parse();
    ring::default_provider().install_default().map_err(|_| "a provider was installed before")?;
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let half_a_minute = Duration::from_secs(30);
    let mut stream = StanzaStream::new_c2s(
        DirectTlsServerConnector::from(DnsConfig::addr(&arguments.server)),
        Jid::from(arguments.account),
        std::env::var("WHIMBREL_PASSWORD")?,
        Timeouts { read_timeout: half_a_minute, response_timeout: half_a_minute },
        16,
    );
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let mut first = true;
    loop {
        // A full queue is waited for, and meanwhile something can be received.
        while let Some(next) = waiting.front() {
            let stanza = match next {
                Waiting::Presence => Presence::new(Type::None).into(),
                Waiting::Message(_, message) => Message::clone(message).into(),
            };
            if stream.send(Box::new(stanza)).now_or_never().is_none() {
                break;
            }
            if let Some(Waiting::Message(id, _)) = waiting.pop_front() {
                tell(&json!({ "reply": id, "ok": true }));
            }
        }
        tokio::select! {
            event = stream.next() => match event {
                None => return Err("the stream has ended".into()),
                Some(Event::Stream(StreamEvent::Reset { .. })) => {
                    tell(&json!({ "event": "online", "resumed": false, "after_start": first }));
                    first = false;
                    waiting.push_front(Waiting::Presence);
                }
                Some(Event::Stream(StreamEvent::Resumed)) => {
                    tell(&json!({ "event": "online", "resumed": true, "after_start": false }));
                }
                Some(Event::Stream(StreamEvent::Suspended)) => tell(&json!({ "event": "offline" })),
                Some(Event::Stanza(Stanza::Message(message))) => {
                    for body in message.bodies.values() {
                        tell(&json!({ "event": "message", "text": body, "mine": false }));
                    }
                }
                Some(Event::Stanza(_)) => {}
            },
            line = lines.recv() => {
                let Some(line) = line else { return Ok(()) };
                let request: Value = serde_json::from_str(&line)?;
                let text = |field: &str| request[field].as_str().unwrap_or_default().to_owned();
                if text("do") == "send" {
                    let mut message = Message::new(Jid::new(&text("to"))?);
                    message.type_ = MessageType::Chat;
                    message.id = Some(Id(text("message")));
                    message.bodies.insert(Lang::new(), text("text"));
                    waiting.push_back(Waiting::Message(request["id"].clone(), Box::new(message)));
                } else {
                    tell(&json!({ "reply": request["id"], "error": "invalid_input" }));
                }
            }
            () = tokio::time::sleep(Duration::from_millis(20)), if !waiting.is_empty() => {}
        }
    }
}

fn tell(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
