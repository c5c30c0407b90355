//! tokio-xmpp's own client as it comes: signs in, tells that it is there, and waits for one text.
//!
//! ACCOUNT PASSWORD PORT CA TEXT; prints a line of JSON when the text has come, and goes when its input ends. It has no
//! setting for an authority of one's own: `SSL_CERT_FILE` names it to rustls-native-certs.

use futures_util::StreamExt as _;
use tokio_xmpp::{
    Client, Event, Stanza,
    connect::DnsConfig,
    jid::BareJid,
    parsers::presence::{Presence, Type},
    rustls::crypto::ring,
    xmlstream::Timeouts,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(live())
}

async fn live() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [account, password, port, _, text] = &arguments[..] else {
        return Err("ACCOUNT PASSWORD PORT CA TEXT".into());
    };
    ring::default_provider().install_default().map_err(|_| "a provider was installed before")?;
    let server = DnsConfig::addr(&format!("127.0.0.1:{port}"));
    let account: BareJid = account.parse()?;
    let mut client = Client::new_direct_tls_with_config(account, password, server, Timeouts::default());
    while let Some(event) = client.next().await {
        match event {
            Event::Online { .. } => {
                client.send_stanza(Presence::new(Type::None).into()).await?;
            }
            Event::Stanza(Stanza::Message(message)) if message.bodies.values().any(|body| body == text) => {
                println!("{{\"shown\":1}}");
                std::io::stdin().read_line(&mut String::new())?;
                break;
            }
            Event::Disconnected(error) => return Err(error.into()),
            Event::Stanza(_) => {}
        }
    }
    Ok(())
}
